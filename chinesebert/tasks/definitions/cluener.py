"""CLUENER2020: fine-grained named entities in news (CLUE)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import id_of, read_records, text_of
from chinesebert.tasks.span_records import mention_spans
from chinesebert.tasks.submission import server_ids
from chinesebert.tasks.task import Defaults, Submission, Task


def read(path: Path) -> Iterator[SpanExample]:
    """JSON lines: ``text``, ``label`` ``{type: {mention: [[start, end], …]}}``; ``end`` is the last character."""
    for number, (where, record) in enumerate(read_records(path)):
        text = text_of(record, "text", where)
        label = record.get("label")
        spans = None if label is None else mention_spans(text, label, where)
        yield SpanExample(id_of(record, ("id",), where, number), text, spans, where=where)


def lines(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """Lines ``{"id", "label"}``, ids as ``server_ids`` gives them, the label as in the training data."""
    for number, example, spans in zip(server_ids(examples), examples, predictions, strict=True):
        label: dict[str, dict[str, list[list[int]]]] = {}
        for span in spans:
            mentions = label.setdefault(span.label, {})
            mentions.setdefault(example.text[span.start : span.end], []).append([span.start, span.end - 1])
        yield json.dumps({"id": number, "label": label}, ensure_ascii=False)


TASKS = [
    Task(
        name="cluener",
        title="named entities in news, 10 types",
        suite="clue",
        kind="tagging",
        files={"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json",)},
        read=read,
        metric="macro_f1",
        labels=(
            *("address", "book", "company", "game", "government"),
            *("movie", "name", "organization", "position", "scene"),
        ),
        defaults=Defaults(
            "the softmax script of lonePatient/BERT-NER-Pytorch, CLUENER2020's PyTorch baseline; doc_stride our choice",
            max_seq_length=128,
            per_device_train_batch_size=24,
            learning_rate=3e-5,
            num_train_epochs=3,
            doc_stride=32,
        ),
        submissions=(Submission("cluener_predict.json", lines),),
        source="https://github.com/CLUEbenchmark/CLUENER2020",
    )
]
