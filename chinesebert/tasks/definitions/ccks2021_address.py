"""CCKS 2021 track 2: the parts of Chinese addresses."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.conll import read_conll
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import read_lines, read_text
from chinesebert.tasks.task import Defaults, Submission, Task

_SEPARATOR = "\x01"


def read(path: Path) -> Iterator[SpanExample]:
    """Tag files (``character B-city``), or the test file's lines ``id\\x01text``."""
    if _SEPARATOR not in read_text(path):
        yield from read_conll(path)
        return
    for where, line in read_lines(path):
        cells = line.split(_SEPARATOR)
        if not line.strip() or cells[:2] == ["id", "text"]:  # a line of names, where somebody put one
            continue
        if len(cells) < 2:
            raise InputError(f"{where}: has no \\x01 between id and text: {line[:60]!r}")
        yield SpanExample(cells[0], cells[1], where=where)


def lines(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """``id\\x01text\\x01tags``, tags as in the training data: B, I, E, S and O, with spaces between them."""
    for example, spans in zip(examples, predictions, strict=True):
        tags = ["O"] * len(example.text)
        for span in spans:
            tags[span.start : span.end] = [f"I-{span.label}"] * (span.end - span.start)
            tags[span.start], tags[span.end - 1] = f"B-{span.label}", f"E-{span.label}"
            if span.end - span.start == 1:
                tags[span.start] = f"S-{span.label}"
        yield _SEPARATOR.join((str(example.id), example.text, " ".join(tags)))


TASKS = [
    Task(
        name="ccks2021_address",
        title="parts of addresses, CCKS 2021 track 2",
        suite="ccks",
        kind="tagging",
        files={
            "train": ("train.conll", "train.txt"),
            "dev": ("dev.conll", "dev.txt"),
            "test": ("final_test.txt", "test.conll", "test.txt"),
        },
        read=read,
        metric="f1",
        defaults=Defaults(
            "our choice, after OntoNotes 4 of the ChineseBERT authors (addresses are short)",
            max_seq_length=64,
            per_device_train_batch_size=32,
            learning_rate=3e-5,
            num_train_epochs=5,
            doc_stride=16,
        ),
        submissions=(Submission("result.txt", lines),),
        source="https://github.com/xueyouluo/ccks2021-track2-code; data at https://tianchi.aliyun.com",
    )
]
