"""Fine-tuning runs of a few seconds on texts with spans."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from chinesebert.finetuning.main import run
from chinesebert.tasks.examples import Span
from chinesebert.tasks.kinds import Encoded, Kind


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
