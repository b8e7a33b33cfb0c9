"""CCKS 2020 task 3: financial events with their arguments, some types with few examples."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.checked_spans import checked_span
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import id_of, read_records, text_of
from chinesebert.tasks.task import Defaults, Submission, Task

TRIGGER = "trigger"


def read(path: Path) -> Iterator[SpanExample]:
    """JSON lines ``{id, content, events: [{type, mentions: [{role, span, word}]}]}``; labels are ``type-role``."""
    for number, (where, record) in enumerate(read_records(path)):
        text = text_of(record, "content", where)
        events = record.get("events")
        spans = None if events is None else _spans(text, events, where)
        yield SpanExample(id_of(record, ("id",), where, number), text, spans, where=where)


def _spans(text: str, events: Any, where: str) -> tuple[Span, ...]:
    try:
        mentions = [
            (f"{event['type']}-{mention['role']}", *mention["span"], mention.get("word"))
            for event in _list(events)
            for mention in event["mentions"]
        ]
        spans = {
            checked_span(text, start, end, label, where, word if isinstance(word, str) else None)
            for label, start, end, word in mentions
        }
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{where}: `events` is not a list of {{type, mentions: [{{role, span: [start, end], word}}]}}"
        ) from error
    return tuple(sorted(spans))


def _list(events: Any) -> list[Any]:
    if not isinstance(events, list):
        raise TypeError("no list")
    return events


def events_of(text: str, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The events that spans make up: one for each trigger of a type, one for a type without.

    An argument goes to the nearest trigger of its type: which of several events of a type it belongs to is not scored
    apart from that, and the spans do not say it.
    """
    by_type: dict[str, list[tuple[str, Span]]] = {}
    for span in spans:
        kind, _, role = span.label.partition("-")
        by_type.setdefault(kind, []).append((role, span))
    events = []
    for kind, said in by_type.items():
        triggers = [span for role, span in said if role == TRIGGER]
        groups: list[list[tuple[str, Span]]] = [[] for _ in triggers] or [[]]
        for role, span in said:
            nearest = min(range(len(groups)), key=lambda place: _distance(span, triggers[place]) if triggers else 0)
            groups[nearest].append((role, span))
        events += [{"type": kind, "mentions": [_mention(text, *each) for each in group]} for group in groups]
    return events


def _distance(span: Span, other: Span) -> int:
    return abs(span.start - other.start)


def _mention(text: str, role: str, span: Span) -> dict[str, Any]:
    return {"role": role, "span": [span.start, span.end], "word": text[span.start : span.end]}


def lines(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """JSON lines ``{id, events}``, one for each text, also where nothing happens."""
    for example, spans in zip(examples, predictions, strict=True):
        yield json.dumps({"id": example.id, "events": events_of(example.text, spans)}, ensure_ascii=False)


TASKS = [
    Task(
        name="ccks2020_fewshot_events",
        title="financial events and their arguments, 10 types, CCKS 2020 task 3",
        suite="ccks",
        kind="pointers",
        files={
            "train": (("train_base.json", "trans_train.json"), "train.json", "train_base.json"),
            "dev": ("dev.json",),
            "test": ("trans_test.json", ("dev_base.json", "trans_dev.json"), "test.json"),
        },
        read=read,
        metric="f1",
        defaults=Defaults(
            "our choice",
            max_seq_length=256,
            per_device_train_batch_size=16,
            learning_rate=3e-5,
            num_train_epochs=20,
            doc_stride=64,
        ),
        submissions=(Submission("result.json", lines),),
        source="https://github.com/JiaweiSheng/CCKS2020-Task3-EventExtraction",
    )
]
