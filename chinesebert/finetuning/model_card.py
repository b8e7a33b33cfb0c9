"""The card of a fine-tuned model: ``README.md`` of its directory, in the form that the Hugging Face hub reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from chinesebert.atomic import atomic_file
from chinesebert.finetuning.announcements import SPLITS, figures_of, shown
from chinesebert.finetuning.tables import markdown_table
from chinesebert.tasks.kinds import Kind
from chinesebert.tasks.task import Task

CARD_FILE = "README.md"
_PIPELINES = {
    "ChineseBertForSequenceClassification": "text-classification",
    "ChineseBertForTokenClassification": "token-classification",
    "ChineseBertForQuestionAnswering": "question-answering",
    "ChineseBertForMultipleChoice": "multiple-choice",
    "ChineseBertForMaskedLM": "fill-mask",
}
_LICENSE = "# license: …   yours to choose; model and texts that it was trained on may have a say in it"
_UNUSED = ("model_name_or_path", "random_weights", "do_train", "do_eval", "do_predict", "world_size")


def write_finetuned_card(directory: Path, task: Task, kind: Kind, summary: Mapping[str, Any]) -> Path:
    """Writes the card into the directory of a model; returns its path.

    Args:
        directory: of the model.
        task, kind: what it was trained for.
        summary: what ``metrics.json`` holds.
    """
    path = directory / CARD_FILE
    with atomic_file(path) as unfinished:
        unfinished.write_text("\n".join(_card(directory.name, task, kind, summary)) + "\n", encoding="utf-8")
    return path


def _card(name: str, task: Task, kind: Kind, summary: Mapping[str, Any]) -> Iterator[str]:
    metadata = {
        "language": ["zh"],
        "library_name": "transformers",
        "pipeline_tag": _PIPELINES[kind.head],
        "tags": ["chinesebert", "glyph", "pinyin", task.name],
    }
    start = "random weights" if summary["random_weights"] else f"the weights of {Path(summary['model']).name}"
    source = f" ({task.source})" if task.source else ""
    yield f"---\n{yaml.safe_dump(metadata, sort_keys=False).strip()}\n{_LICENSE}\n---\n"
    yield f"# {name}\n"
    yield f"A ChineseBERT, fine-tuned for {task.name}: {task.title}{source}.\n"
    yield f"## How to use it\n\n{_usage(kind)}\n"
    yield "## Training\n"
    yield f"{summary['train_examples']:,} examples, {summary['train_steps']:,} steps, from {start}.\n"
    settings = [
        [setting, str(value)]
        for setting, value in summary["settings"].items()
        if setting not in _UNUSED and value not in (None, False, "", [], {})
    ]
    yield f"{markdown_table(['setting', 'value'], settings, left=2)}\n"
    yield from _results(summary)
    yield "## Made with\n"
    yield markdown_table(
        ["", ""], [[package, str(version)] for package, version in summary["versions"].items()], left=2
    )


def _usage(kind: Kind) -> str:
    lines = [
        *("```bash", "python launch/predict.py --model DIR --input FILE", "```\n", "```python"),
        "import chinesebert  # of the package chinesebert-pretraining; registers the model with transformers",
        f"from chinesebert import {kind.head}, ChineseBertTokenizer\n",
        'path = "."  # this directory, or the name of its repository on the hub',
        "tokenizer = ChineseBertTokenizer.from_pretrained(path)",
        f"model = {kind.head}.from_pretrained(path)",
        "```",
    ]
    return "\n".join(lines)


def _results(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Results\n"
    by_split = {split: figures_of(summary, split) for split in SPLITS}
    rows = [
        [split, f"{summary[split]['examples']:,}", name, shown(value)]
        for split, figures in by_split.items()
        for name, value in figures.items()
    ]
    if rows:
        yield f"{markdown_table(['split', 'examples', 'figure', '%'], rows, left=3)}\n"
    else:
        yield "Not evaluated.\n"
