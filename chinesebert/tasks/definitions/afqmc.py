"""AFQMC: do two questions to Alipay's customer service mean the same (CLUE)."""

from collections.abc import Iterator
from pathlib import Path

from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import label_of, read_records, text_of
from chinesebert.tasks.submission import Lines
from chinesebert.tasks.task import Defaults, Submission, Task


def read(path: Path) -> Iterator[TextExample]:
    """JSON lines: ``sentence1``, ``sentence2``, ``label`` "0" or "1"."""
    for number, (where, record) in enumerate(read_records(path)):
        yield TextExample(
            record.get("id", number),
            text_of(record, "sentence1", where),
            text_of(record, "sentence2", where),
            label_of(record, "label", where),
            where=where,
        )


TASKS = [
    Task(
        name="afqmc",
        title="do two questions mean the same",
        suite="clue",
        kind="classification",
        files={"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json",)},
        read=read,
        metric="accuracy",
        labels=("0", "1"),
        defaults=Defaults("CLUE's own script"),
        submissions=(Submission("afqmc_predict.json", Lines()),),
        source="https://github.com/CLUEbenchmark/CLUE",
    )
]
