"""Entries of tasks with one label a text or pair of texts: most of them differ in names, labels and settings only."""

from collections.abc import Mapping, Sequence

from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.task import SPLITS, Defaults, Files, Reader, Submission, Task


def text_task(
    name: str,
    title: str,
    reader: LabelledTexts | Reader,
    defaults: Defaults,
    *,
    source: str,
    suite: str = "paper",
    files: Mapping[str, Sequence[Files]] | None = None,
    labels: tuple[str, ...] | None = None,
    metric: str = "accuracy",
    submissions: Sequence[Submission] = (),
    folders: tuple[str, ...] = (),
) -> Task:
    """A task of classification.

    Args:
        name, title, defaults, source, suite, metric, submissions, folders: as ``Task`` has them.
        reader: of its files.
        files: by default ``tables()``.
        labels: all of them; by default those that the reader knows, if it does.
    """
    known = reader.labels if isinstance(reader, LabelledTexts) else None
    return Task(
        name=name,
        title=title,
        suite=suite,
        kind="classification",
        files=tables() if files is None else files,
        read=reader,
        metric=metric,
        labels=labels or known,
        defaults=defaults,
        submissions=tuple(submissions),
        source=source,
        folders=folders,
    )


def tables(**published: Sequence[Files]) -> dict[str, tuple[Files, ...]]:
    """For each split the names that a set is published under, if it has some of its own, then the usual ones."""
    return {split: (*published.get(split, ()), *table_names(split)) for split in SPLITS}
