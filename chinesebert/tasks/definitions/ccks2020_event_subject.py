"""CCKS 2020 task 4-1: which company a piece of financial news is about, and what happens to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.checked_spans import checked_span
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import id_of, read_records, read_table, read_text, text_of
from chinesebert.tasks.metrics.spans import rates
from chinesebert.tasks.task import Defaults, Submission, Task

_NOTHING = {"", "nan", "none", "null"}


@dataclass(frozen=True)
class SubjectExample(SpanExample):
    """A text with its events as pairs of type and company; ``spans`` are all places where the companies stand."""

    subjects: tuple[tuple[str, str], ...] | None = None


def read(path: Path) -> Iterator[SubjectExample]:
    """The published table, ``id<TAB>text[<TAB>type<TAB>entity]``, or a JSON list of records with offsets."""
    if read_text(path).lstrip()[:1] in ("[", "{"):
        return _read_records(path)
    return _read_table(path)


def _read_table(path: Path) -> Iterator[SubjectExample]:
    """Rows of one text are one example, under the first one's id: each says one event of the text."""
    rows = list(read_table(path, ("id", "text", "type", "entity"), fewer=2))
    if not any("type" in row for _, row in rows):
        for where, row in rows:
            yield SubjectExample(row["id"], row["text"], where=where)
        return
    texts: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for where, row in rows:
        if "entity" not in row:
            raise InputError(
                f"{where}: has no columns type and entity, as others have; write NaN where there is no event"
            )
        texts.setdefault(row["text"], []).append((where, row))
    for text, said in texts.items():
        pairs = {(row["type"].strip(), row["entity"].strip()) for _, row in said}
        subjects = tuple(sorted(pair for pair in pairs if not _NOTHING & {part.lower() for part in pair}))
        spans = {Span(at, at + len(entity), kind) for kind, entity in subjects for at in _places(text, entity)}
        yield SubjectExample(said[0][1]["id"], text, tuple(sorted(spans)), where=said[0][0], subjects=subjects)


def _places(text: str, entity: str) -> list[int]:
    return [place for place in range(len(text)) if text.startswith(entity, place)]


def _read_records(path: Path) -> Iterator[SubjectExample]:
    """``{id, context, type: [..], entity: [[[start, end], …] for each type]}``; ``end`` is the last character."""
    for number, (where, record) in enumerate(read_records(path)):
        text = text_of(record, "context" if "context" in record else "text", where)
        kinds, places = record.get("type"), record.get("entity")
        if not kinds and not places:  # the same records without answers have empty lists
            yield SubjectExample(id_of(record, ("id",), where, number), text, where=where)
            continue
        spans = tuple(sorted(set(_record_spans(text, kinds, places, where))))
        subjects = tuple(sorted({(span.label, text[span.start : span.end]) for span in spans}))
        yield SubjectExample(id_of(record, ("id",), where, number), text, spans, where=where, subjects=subjects)


def _record_spans(text: str, kinds: Any, places: Any, where: str) -> Iterator[Span]:
    try:
        found = [(kind, start, end) for kind, each in zip(kinds, places, strict=True) for start, end in each]
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: `entity` is not a list of [start, end] for each of `type`") from error
    for kind, start, end in found:
        yield checked_span(text, start, end, kind, where, inclusive=True)


def subjects_of(example: SpanExample, spans: Sequence[Span]) -> list[tuple[str, str]]:
    """Pairs of type and company that spans say, each once, in the order of the text."""
    return list(dict.fromkeys((span.label, example.text[span.start : span.end]) for span in spans))


def score(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> dict[str, float]:
    """Precision, recall and F1 over the pairs of type and company of all texts, as the task ranks."""
    both = found = true = 0
    for example, spans in zip(examples, predictions, strict=True):
        subjects = getattr(example, "subjects", None)
        right = set(subjects_of(example, example.spans or ()) if subjects is None else subjects)
        guessed = set(subjects_of(example, spans))
        both, found, true = both + len(right & guessed), found + len(guessed), true + len(right)
    precision, recall, f1 = rates(both, found, true)
    return {"precision": precision, "recall": recall, "f1": f1}


def lines(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """``id<TAB>type<TAB>entity`` for each pair; a text without an event has no line."""
    for example, spans in zip(examples, predictions, strict=True):
        for kind, entity in subjects_of(example, spans):
            yield f"{example.id}\t{kind}\t{entity}"


TASKS = [
    Task(
        name="ccks2020_event_subject",
        title="subjects of financial events, 29 types, CCKS 2020 task 4-1",
        suite="ccks",
        kind="pointers",
        files={
            "train": ("event_entity_train_data_label.csv", "train.data"),
            "dev": ("val.data",),
            "test": ("event_entity_eval_data.csv", "event_entity_dev_data.csv", "test.data"),
        },
        read=read,
        metric="f1",
        labels=(
            *("不能履职", "业务资产重组", "业绩下滑", "交易违规", "信批违规", "债务违约", "债务重组", "失联跑路"),
            *("实控人股东变更", "实际控制人变更", "实际控制人涉诉仲裁", "履行连带担保责任", "投诉维权", "提现困难"),
            *("歇业停业", "涉嫌传销", "涉嫌欺诈", "涉嫌违法", "涉嫌非法集资", "股票转让-股权受让", "评级调整"),
            *(
                "财务信息造假",
                "财务造假",
                "资产负面",
                "资金紧张",
                "资金账户风险",
                "商业信息泄露",
                "重组失败",
                "高管负面",
            ),
        ),
        defaults=Defaults(
            "our choice",
            max_seq_length=256,
            per_device_train_batch_size=16,
            learning_rate=3e-5,
            num_train_epochs=5,
            doc_stride=64,
        ),
        submissions=(Submission("result.txt", lines),),
        score=score,
        source="https://www.biendata.xyz/competition/ccks_2020_4_1/",
    )
]
