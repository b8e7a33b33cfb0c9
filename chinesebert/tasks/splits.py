"""Finds the file of a split in a folder, reads its examples, and checks what holds for all tasks."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from chinesebert.errors import InputError
from chinesebert.tasks.task import Task
from chinesebert.tasks.text_columns import some

logger = logging.get_logger(__name__)


def find_split(task: Task, data_dir: Path, split: str) -> list[Path]:
    """The files of a split as published, none if the folder has none of their names.

    Raises:
        InputError: the folder is missing.
    """
    if not data_dir.is_dir():
        raise InputError(f"{data_dir}: there is no such folder; give --data_dir DIR with the files of {task.name}")
    for files in task.files.get(split, ()):
        names = (files,) if isinstance(files, str) else files
        found = [sorted(data_dir.glob(name)) for name in names]
        if all(found):
            return [path for paths in found for path in paths]
    return []


def missing_split(task: Task, data_dir: Path, split: str) -> InputError:
    """What to say when a split is needed and ``data_dir`` has no file of it."""
    names = _in_short(["+".join((files,) if isinstance(files, str) else files) for files in task.files.get(split, ())])
    there = sorted(path.name for path in data_dir.iterdir() if not path.name.startswith("."))[:12]
    return InputError(
        f"{data_dir}: has no {split} file of {task.name} ({' or '.join(names) or 'none is published'}); "
        f"it has {', '.join(there) or 'nothing'}. Name one with --{split}_file FILE"
    )


def _in_short(names: Sequence[str]) -> list[str]:
    """Names of files, those that differ in their endings as one: ``train.tsv/.txt/.json``."""
    short = []
    for _, alike in itertools.groupby(names, key=lambda name: name.rpartition(".")[0] or name):
        first, *others = alike
        short.append("/".join([first, *(f".{name.rpartition('.')[2]}" for name in others)]))
    return short


def read_split(task: Task, files: Sequence[Path], ids_count: bool = False) -> list[Any]:
    """The examples of some files of a task, in their order.

    Args:
        task: which reads them.
        files: read one after another; where two number their records from 0, the second goes on where the first ends.
        ids_count: refuse ids that occur twice: predictions are told apart by them.

    Raises:
        InputError: a file cannot be read or holds no examples, a label is unknown, or an id occurs twice.
    """
    examples: list[Any] = []
    for path in files:
        if not path.exists():
            raise InputError(f"{path}: there is no such file")
        more = list(task.read(path))
        if not more:
            raise InputError(f"{path}: holds no examples")
        examples += _numbered_on(more, examples)
    _check_labels(task, examples)
    if ids_count:
        _check_ids(examples)
    return examples


def _numbered_on(more: Sequence[Any], before: Sequence[Any]) -> Sequence[Any]:
    """The examples of a further file, with other numbers if some are those of the files before it."""
    taken = {example.id for example in before}
    if not all(isinstance(example.id, int) for example in more) or taken.isdisjoint(example.id for example in more):
        return more
    first = 1 + max((number for number in taken if isinstance(number, int)), default=-1)
    return [dataclasses.replace(example, id=first + example.id) for example in more]


def without_empty(examples: Sequence[Any]) -> list[Any]:
    """The examples that can be trained on: an empty text teaches nothing, and published sets hold a few.

    Splits that are evaluated and predicted keep theirs: scores and submissions are over all records.
    """
    kept = [example for example in examples if not is_empty(example)]
    if len(kept) < len(examples):
        first = next(example.where for example in examples if is_empty(example))
        logger.warning(f"{first}: has an empty text; {len(examples) - len(kept)} such are not trained on")
    return kept


def is_empty(example: Any) -> bool:
    """Whether a text of the example, or one of its pair, has nothing but spaces."""
    texts = (getattr(example, "text", None), getattr(example, "text_pair", None))
    return any(isinstance(text, str) and not text.strip() for text in texts)


def _check_labels(task: Task, examples: Sequence[Any]) -> None:
    if task.labels is None:
        return
    for example in examples:
        for label in labels_in(example):
            if label not in task.labels:
                raise InputError(
                    f"{example.where}: the label {label!r} is none of {task.name}'s ({some(task.labels)}); "
                    "is this a file of this task?"
                )


def labels_in(example: Any) -> list[str]:
    """The labels that an example carries, as texts; none where labels are not texts."""
    spans = getattr(example, "spans", None)
    if spans is not None:
        return [span.label for span in spans]
    label = getattr(example, "label", None)
    if isinstance(label, str):
        return [label]
    return list(label) if isinstance(label, tuple) else []


def _check_ids(examples: Sequence[Any]) -> None:
    seen: dict[Any, str] = {}
    for example in examples:
        if example.id in seen:
            raise InputError(
                f"{example.where}: the id {example.id} is that of {seen[example.id]} too; give each record one of its "
                "own, or take the ids out: records are then numbered from 0"
            )
        seen[example.id] = example.where
