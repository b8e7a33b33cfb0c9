"""Fine-tuning runs of a few seconds on texts with spans: a tiny model and sentences of our own in published formats."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.finetuning.main import run
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.tasks.examples import Span
from chinesebert.tasks.kinds import Encoded, Kind
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer


def write_model(directory: Path, tokenizer: ChineseBertTokenizer) -> Path:
    """A model directory as pretraining leaves it: two layers of 32, weights drawn."""
    torch.manual_seed(3)
    config = ChineseBertConfig(
        vocab_size=len(tokenizer.tokens()),
        num_syllables=len(tokenizer.readings.syllables),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pinyin_embedding_dim=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    ChineseBertForMaskedLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def learn(suite: str, task: str, model: Path, data: Path, output: Path, *more: str) -> dict[str, Any]:
    """Trains long enough to know a dozen short texts by heart, evaluates on them, and predicts the test split."""
    status = run(
        suite,
        [
            *("--task", task, "--model_name_or_path", str(model), "--data_dir", str(data), "--output_dir", str(output)),
            *("--do_train", "--do_eval", "--do_predict", "--max_steps", "60", "--learning_rate", "1e-2"),
            *("--max_seq_length", "32", "--per_device_train_batch_size", "8", "--report_to", "none"),
            *("--disable_tqdm", "true", "--use_cpu", "--eval_strategy", "no", "--save_strategy", "no"),
            *("--load_best_model_at_end", "false", *more),
        ],
    )
    assert status == 0
    metrics: dict[str, Any] = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def inked(text: str, found: Iterable[Span]) -> tuple[Span, ...]:
    """Spans without the white space at their ends, which has no token; none of white space alone."""
    bounds = []
    for span in found:
        covered = text[span.start : span.end]
        start, end = span.end - len(covered.lstrip()), span.start + len(covered.rstrip())
        bounds += [Span(start, end, span.label)] if start < end else []
    return tuple(sorted(bounds))


def write(path: Path, content: str) -> Path:
    """A file in UTF-8, and the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def write_records(path: Path, records: Iterable[Any]) -> Path:
    """A file of JSON lines."""
    return write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_records(path: Path) -> list[Any]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def spans(*found: tuple[int, int, str]) -> tuple[Span, ...]:
    """Spans from start, end and label."""
    return tuple(Span(*each) for each in found)


def scores_of_labels(kind: Kind, encoded: Encoded) -> Any:
    """What a model would say that knows all labels of some inputs: ``[inputs, longest, outputs]``, -100 as padding.

    Where a label does not count it says something wrong.
    """
    labels = kind.collate(encoded.inputs)["labels"]
    if labels.dim() == 3:
        scores = torch.where(labels == -100, 1, labels)
    else:
        ignored = len(kind.output_names()) - 1
        scores = torch.nn.functional.one_hot(torch.where(labels == -100, ignored, labels), ignored + 1)
    scores = scores.float()
    for row, item in zip(scores, encoded.inputs, strict=True):
        row[len(item["input_ids"]) :] = -100
    return scores.numpy()


def tagged(text: str, tags: Sequence[str], separator: str = " ") -> str:
    """A text of a tag file, with the blank line behind it."""
    lines = (f"{character}{separator}{tag}\n" for character, tag in zip(text, tags, strict=True))
    return "".join(lines) + "\n"
