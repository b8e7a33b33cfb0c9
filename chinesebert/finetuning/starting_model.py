"""The model that a run begins with: encoder from a pretrained directory, head for the task."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainingArguments
from transformers.integrations import set_hf_deepspeed_config, unset_hf_deepspeed_config

import chinesebert
from chinesebert.errors import InputError
from chinesebert.tasks.kinds import Kind, Lengths


def load_tokenizer(source: str) -> chinesebert.ChineseBertTokenizer:
    """The tokenizer of a model directory.

    Raises:
        InputError: there is no such directory, or it holds none.
    """
    if not Path(source).is_dir() and (source.startswith((".", "/")) or source.count("/") > 1):
        raise InputError(f"{source}: there is no such model directory")
    try:
        return chinesebert.ChineseBertTokenizer.from_pretrained(source)
    except OSError as error:
        raise InputError(f"{source}: holds no model that can be loaded ({' '.join(str(error).split())})") from error


def saved_task(source: str) -> dict[str, Any]:
    """What a fine-tuned directory says about its task, as ``starting_model`` writes it; {} for other directories.

    Raises:
        InputError: its ``config.json`` cannot be read.
    """
    return _configuration(source).get("finetuning") or {}


def _configuration(source: str) -> dict[str, Any]:
    """What ``config.json`` of a directory says; {} where there is none.

    Raises:
        InputError: it is not a JSON object.
    """
    path = Path(source) / "config.json"
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); copy the model again from where it is from") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: is not a JSON object; copy the model again from where it is from")
    return values


def positions_of(source: str) -> int:
    """How many tokens an input of a model directory can have; 512, BERT's, where its configuration does not say."""
    return int(_configuration(source).get("max_position_embeddings", 512))


def starting_model(
    source: str,
    kind: Kind,
    task: str,
    lengths: Lengths,
    random_weights: bool,
    changes: Mapping[str, Any] | None = None,
) -> Any:
    """A model with the kind's head; weights from ``source``, or drawn anew.

    A head of the directory stays if it has the outputs that this task needs, and they mean the same; else it is drawn.

    Args:
        source: the directory.
        kind: of the task, with its labels.
        task: the name of the task.
        lengths: how long inputs are, which the directory is to remember.
        random_weights: whether weights are drawn anew.
        changes: of the model's configuration, besides those that the kind asks for.

    Raises:
        InputError: the directory holds no model, or one of fewer positions than the inputs have tokens.
    """
    head = getattr(chinesebert, kind.head)
    # That a new head is drawn is what is wanted here; the table of missing weights would say it as a warning.
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        model = head.from_pretrained(source, ignore_mismatched_sizes=True, **kind.config_changes(), **(changes or {}))
    except OSError as error:
        raise InputError(f"{source}: holds no model that can be loaded ({' '.join(str(error).split())})") from error
    finally:
        transformers.logging.set_verbosity(before)
    positions = model.config.max_position_embeddings
    if lengths.max_seq_length > positions:
        raise InputError(
            f"max_seq_length is {lengths.max_seq_length}, and {source} has {positions} positions: "
            f"give --max_seq_length {positions} or less; longer texts are cut as --truncation says"
        )
    labels = saved_task(source).get("labels")
    if kind.has_labels and labels is not None and labels != kind.labels:
        draw_head(model)
    model.config.finetuning = {
        "task": task,
        "kind": kind.name,
        "labels": kind.labels,
        "state": kind.state(),
        "max_seq_length": lengths.max_seq_length,
        "doc_stride": lengths.doc_stride,
        "truncation": lengths.truncation,
    }
    if random_weights:
        draw_weights(model)
    return model


@contextlib.contextmanager
def whole_on_every_rank(args: TrainingArguments) -> Iterator[None]:
    """Hides ZeRO 3 from ``from_pretrained`` in the block; DeepSpeed cuts the model up when the training begins.

    transformers would send every tensor from the first rank to the others while it loads them, and there is no
    communication of 16-bit whole numbers, which spellings are.
    """
    config = getattr(args, "hf_deepspeed_config", None)
    if config is not None:
        unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            set_hf_deepspeed_config(config)


def draw_weights(model: Any) -> None:
    """Draws all weights anew as before pretraining; images, spellings and readings stay."""
    _draw(model, model)


def draw_head(model: Any) -> None:
    """Draws the weights of the head anew; encoder and pooler stay."""
    for part in model.children():
        if part is not model.base_model:
            _draw(part, model)


def _draw(part: Any, model: Any) -> None:
    for module in part.modules():
        module._is_hf_initialized = False
        for parameter in module.parameters(recurse=False):
            parameter._is_hf_initialized = False
    part.apply(model._init_weights)
