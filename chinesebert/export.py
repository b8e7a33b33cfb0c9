"""Taking a trained model elsewhere.

python -m chinesebert.export folded         MODEL OUTPUT    the fusion as two tables: inference at the cost of a BERT
python -m chinesebert.export self-contained MODEL OUTPUT    with its own code, for machines without this package
python -m chinesebert.export onnx           MODEL OUTPUT    model.onnx, for onnxruntime and its kin
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils.logging import disable_progress_bar

from chinesebert.atomic import atomic_directory
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.modeling_chinesebert import MODEL_CLASSES, ChineseBertPreTrainedModel
from chinesebert.released import load_saved, tokenizer_of
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

Source = str | os.PathLike[str]
ONNX_FILE = "model.onnx"
# What the outputs of a model are called, in their order.
_ONNX_OUTPUTS = {
    "ChineseBertModel": ("last_hidden_state", "pooler_output"),
    "ChineseBertForQuestionAnswering": ("start_logits", "end_logits"),
}
# Float32 on both sides, in another order of summation.
_ONNX_TOLERANCE = 1e-4


def export_folded(source: Source, output: Source, overwrite: bool = False) -> str:
    """Writes a model folded (``ChineseBertPreTrainedModel.fold``), with its tokenizer."""
    model = load_saved(source).fold()
    with atomic_directory(output, overwrite) as directory:
        _save(model, source, directory)
    return "folded; it loads as before, and cannot be trained"


def export_self_contained(source: Source, output: Source, overwrite: bool = False) -> str:
    """Writes a model with the code it needs, which transformers runs with ``trust_remote_code=True``.

    The machine that loads it needs torch and transformers, and not this package, pypinyin or any font. With
    ``ahocorasick_rs`` installed its tokenizer is faster.
    """
    model = load_saved(source)
    with atomic_directory(output, overwrite) as directory:
        _save(model, source, directory)
        _copy_code(directory)
        classes = {"AutoConfig": _code_name(ChineseBertConfig)}
        classes |= {_auto_class(model_class): _code_name(model_class) for model_class in MODEL_CLASSES}
        _add_auto_map(directory / "config.json", classes)
        _add_auto_map(directory / "tokenizer_config.json", {"AutoTokenizer": [None, _code_name(ChineseBertTokenizer)]})
    return f"self-contained; load it with {_auto_class(type(model))}.from_pretrained(…, trust_remote_code=True)"


def _save(model: ChineseBertPreTrainedModel, source: Source, directory: Path) -> None:
    tokenizer = tokenizer_of(model, source)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _copy_code(directory: Path) -> None:
    """Copies the modules that a model and its tokenizer are made of; within the package they import each other
    relatively. Those that an Auto class names get a mention of all others: transformers before 5.17 fetches only what
    these import themselves."""
    kinds = (ChineseBertConfig, ChineseBertPreTrainedModel, ChineseBertTokenizer)
    roots = {Path(str(sys.modules[kind.__module__].__file__)) for kind in kinds}
    needed = roots | {Path(file) for root in roots for file in get_relative_import_files(str(root))}
    for path in needed:
        code = path.read_text(encoding="utf-8")
        if path in roots:
            others = sorted(other.stem for other in needed - {path})
            code += "\nif False:  # for transformers, which looks here for what to fetch\n"
            code += "".join(f"    from .{other} import *\n" for other in others)
        (directory / path.name).write_text(code, encoding="utf-8")


def _code_name(kind: type) -> str:
    return f"{kind.__module__.rsplit('.', 1)[-1]}.{kind.__name__}"


def _auto_class(model_class: type) -> str:
    return model_class.__name__.replace("ChineseBert", "AutoModel").removesuffix("Model") or "AutoModel"


def _add_auto_map(path: Path, classes: dict[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | {"auto_map": classes}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


class _ForOnnx(nn.Module):
    """A model as ONNX sees it: three inputs, a tuple of outputs."""

    def __init__(self, model: ChineseBertPreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.output_names = _ONNX_OUTPUTS.get(type(model).__name__, ("logits",))

    def forward(
        self, input_ids: torch.Tensor, pinyin_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        outputs = self.model(input_ids, pinyin_ids, attention_mask)
        return tuple(outputs[name] for name in self.output_names)


def export_onnx(source: Source, output: Source, overwrite: bool = False) -> str:
    """Writes ``model.onnx`` (folded; batch and length free) with the tokenizer, and compares it with the model.

    Inputs are ``input_ids``, ``pinyin_ids`` and ``attention_mask``, int64 ``[B, L]``; ``[B, C, L]`` for
    multiple choice.

    Raises:
        InputError: the packages for it are missing, or onnxruntime gives other outputs than the model.
    """
    _need_onnx()
    model = _ForOnnx(load_saved(source).float().fold()).eval()
    with atomic_directory(output, overwrite) as directory:
        tokenizer_of(model.model, source).save_pretrained(directory)
        model.model.config.save_pretrained(directory)
        _trace(model).save(directory / ONNX_FILE)
        difference = onnx_difference(model, directory / ONNX_FILE)
        if difference > _ONNX_TOLERANCE:
            raise InputError(f"{source}: onnxruntime differs from the model by {difference:.1e}; not written")
    return f"inputs {', '.join(_inputs(model, 1, 1))}; onnxruntime differs from the model by at most {difference:.1e}"


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"exporting to ONNX needs more packages ({error}): pip install '.[onnx]'") from error


def _inputs(model: _ForOnnx, rows: int, length: int) -> dict[str, torch.Tensor]:
    """Random inputs ``[rows, length]``, the second half of the last row being padding."""
    config = model.model.config
    shape = (rows, 2, length) if "MultipleChoice" in type(model.model).__name__ else (rows, length)
    attention_mask = torch.ones(shape, dtype=torch.long)
    attention_mask[-1, ..., length // 2 + 1 :] = 0
    return {
        "input_ids": torch.randint(config.vocab_size, shape),
        "pinyin_ids": torch.randint(config.num_syllables + 1, shape),
        "attention_mask": attention_mask,
    }


def _trace(model: _ForOnnx) -> Any:
    warnings.simplefilter("ignore")  # the exporter's, about torchvision and its own internals
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    inputs = _inputs(model, 2, 8)
    names = ("batch", "length") if inputs["input_ids"].dim() == 2 else ("batch", "choices", "length")
    free = {dimension: torch.export.Dim(name) for dimension, name in enumerate(names)}
    return torch.onnx.export(
        model,
        tuple(inputs.values()),
        input_names=list(inputs),
        output_names=list(model.output_names),
        dynamic_shapes=dict.fromkeys(inputs, free),
        dynamo=True,
        verbose=False,
    )


def onnx_difference(model: _ForOnnx, path: Path) -> float:
    """The largest difference between a model and its ONNX form over batches of several sizes and lengths."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    longest = int(model.model.config.max_position_embeddings)
    largest = 0.0
    for rows, length in ((1, 1), (1, min(7, longest)), (3, min(33, longest)), (2, longest)):
        inputs = _inputs(model, rows, length)
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        with torch.no_grad():
            wanted = model(*inputs.values())
        kept = inputs["attention_mask"].bool().numpy()
        differences = (_largest_difference(a, b.numpy(), kept) for a, b in zip(found, wanted, strict=True))
        largest = max(largest, *differences)
    return largest


def _largest_difference(one: NDArray[Any], two: NDArray[Any], kept: NDArray[np.bool_]) -> float:
    if one.shape[: kept.ndim] == kept.shape:  # what stands at padding is nobody's
        one, two = one[kept], two[kept]
    return float(np.abs(one - two).max())


_KINDS: dict[str, tuple[Callable[[Source, Source, bool], str], str]] = {
    "folded": (export_folded, "the fusion as two tables: inference at the cost of a BERT, no more training"),
    "self-contained": (export_self_contained, "with its code, for trust_remote_code=True without this package"),
    "onnx": (export_onnx, "model.onnx with free batch and length, compared with the model by onnxruntime"),
}


def main(arguments: list[str] | None = None) -> int:
    """``python -m chinesebert.export``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m chinesebert.export", description="Takes a trained model elsewhere."
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name, (_, help_text) in _KINDS.items():
        kind = kinds.add_parser(name, help=help_text)
        kind.add_argument("model", help="directory of a model (ours, released, or a plain Chinese BERT)")
        kind.add_argument("output", help="directory to write")
        kind.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    args = parser.parse_args(arguments)
    disable_progress_bar()
    try:
        result = _KINDS[args.kind][0](args.model, args.output, args.overwrite)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
