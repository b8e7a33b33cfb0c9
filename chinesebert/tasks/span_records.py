"""Reads JSON records of texts with lists of spans, as the CCKS tasks and many others are published."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.checked_spans import checked_span
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import field_of, id_of, read_records, text_of

# What publishers call the same field, the CCKS tasks' names first.
TEXTS = ("originalText", "text", "content", "context", "sentence")
LISTS = ("entities", "entity_list", "spans", "annotations")
TRIPLES = ("label", "labels")
STARTS = ("start_pos", "start", "start_idx", "start_offset")
ENDS = ("end_pos", "end", "end_idx", "end_offset")
LABELS = ("label_type", "label", "type", "entity_type", "category")
MENTIONS = ("mention", "entity", "word", "text")


def read_span_records(
    path: Path, inclusive: bool = False, labels: Mapping[str, str] | None = None
) -> Iterator[SpanExample]:
    """Records ``{text, entities: [{start, end, label}]}``, JSON lines or an array; numbered where they have no id.

    Records ``{text, label: {type: {mention: [[start, end], …]}}}``, as CLUENER has them, are read too, and
    ``{text, label: [[start, end, label], …]}``, as doccano writes them.

    Args:
        path: the file.
        inclusive: whether its ends are the last character of a span instead of the one behind it.
        labels: names of labels that this file calls otherwise.

    Raises:
        InputError: a record has no text, or a span is not what the file says it is.
    """
    for number, (where, record) in enumerate(read_records(path)):
        text = text_of(record, name_in(record, TEXTS), where)
        given = record.get(name_in(record, (*LISTS, *TRIPLES)))
        if isinstance(given, dict) or given == "":
            given = None
        spans = None if given is None else _spans(text, given, where, inclusive, labels or {})
        if given is None and isinstance(record.get("label"), dict):
            spans = mention_spans(text, record["label"], where)
        yield SpanExample(id_of(record, ("id",), where, number), text, spans, where=where)


def name_in(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of the names that the record has; the first of all if it has none."""
    return next((name for name in names if name in record), names[0])


def _spans(text: str, given: Any, where: str, inclusive: bool, labels: Mapping[str, str]) -> tuple[Span, ...]:
    objects = [_object(each) for each in given] if isinstance(given, list) else [None]
    found = [each for each in objects if each is not None]
    if len(found) < len(objects):
        raise InputError(f"{where}: its spans are no list of objects with start, end and label, or of such triples")
    spans = []
    for each in found:
        label = text_of(each, name_in(each, LABELS), where)
        mention = each.get(name_in(each, MENTIONS))
        spans.append(
            checked_span(
                text,
                field_of(each, name_in(each, STARTS), where),
                field_of(each, name_in(each, ENDS), where),
                labels.get(label, label),
                where,
                mention if isinstance(mention, str) else None,
                inclusive,
            )
        )
    return tuple(sorted(set(spans)))


def _object(each: Any) -> dict[str, Any] | None:
    """A span as an object, published as one or as ``[start, end, label]``; None for anything else."""
    if isinstance(each, list) and len(each) == 3:
        return dict(zip((STARTS[0], ENDS[0], LABELS[0]), each, strict=True))
    return each if isinstance(each, dict) else None


def mention_spans(text: str, label: Any, where: str) -> tuple[Span, ...]:
    """Spans from ``{type: {mention: [[start, end], …]}}``, where ``end`` is the last character.

    Raises:
        InputError: it is something else, or a mention is not where it is said to be.
    """
    try:
        places = [
            (kind, mention, start, end)
            for kind, mentions in label.items()
            for mention, found in mentions.items()
            for start, end in found
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{where}: `label` is not {{type: {{mention: [[start, end], …]}}}}; is this a file of CLUENER?"
        ) from error
    spans = {
        checked_span(text, start, end, kind, where, mention, inclusive=True) for kind, mention, start, end in places
    }
    return tuple(sorted(spans))
