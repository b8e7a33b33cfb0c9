"""TNEWS: titles of Toutiao news, fifteen classes (CLUE, and few-shot in FewCLUE)."""

from collections.abc import Iterator
from pathlib import Path

from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import label_of, read_records, text_of
from chinesebert.tasks.submission import Lines
from chinesebert.tasks.task import Defaults, Submission, Task


def read(path: Path) -> Iterator[TextExample]:
    """JSON lines: ``sentence``, ``label``; ``keywords``, which lift scores by ten points, are not read, as usual."""
    for number, (where, record) in enumerate(read_records(path)):
        yield TextExample(
            record.get("id", number),
            text_of(record, "sentence", where),
            label=label_of(record, "label", where),
            where=where,
        )


TASKS = [
    Task(
        name="tnews",
        title="news titles, 15 classes",
        suite="clue",
        kind="classification",
        files={
            "train": ("train.json", "train_few_all.json", "train_0.json"),
            "dev": ("dev.json", "dev_few_all.json", "dev_0.json"),
            "test": ("test.json", "test1.1.json", "test1.0.json", "test_public.json"),
        },
        read=read,
        metric="accuracy",
        labels=tuple(str(number) for number in range(100, 117) if number not in (105, 111)),
        defaults=Defaults("CLUE's own script"),
        submissions=(
            Submission("tnews11_predict.json", Lines()),
            Submission("tnews10_predict.json", Lines(), test_file="test1.0.json"),
        ),
        source="https://github.com/CLUEbenchmark/CLUE",
    )
]
