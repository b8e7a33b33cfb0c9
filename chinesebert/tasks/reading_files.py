"""Reads files of extractive reading in the forms that such tasks are published in."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from chinesebert.errors import InputError
from chinesebert.tasks.examples import Answer, ReadingExample
from chinesebert.tasks.files import field_of, read_json, read_records, read_text, text_of

logger = logging.get_logger(__name__)

#: id, question, and answers: (text, where it begins or None); None where the file has no answers. Last, why it has no
#: span for an answer; "" if it has.
Question = tuple[str, str, list[tuple[str, int | None]] | None, str]

# Answers of CJRC (CAIL 2019 and 2020) to questions that ask whether something is so.
_VERDICTS = {"yes", "no", "unknown"}


def read_reading(path: Path) -> Iterator[ReadingExample]:
    """Questions in the file's order, from any of three forms.

    - that of SQuAD: ``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text",
      "answer_start"}]}]}]}]}``, or the list below ``data`` alone;
    - that of CMRC 2018's first release: ``[{"context_id", "context_text", "qas": [{"query_id", "query_text",
      "answers": [text]}]}]``;
    - a record a question, as JSON lines or array: ``{"id", "context", "question", "answers": {"text": [],
      "answer_start": []}}``.

    An answer that does not stand where ``answer_start`` says gets the nearest place where it stands. References that
    stand nowhere in the context (in CMRC 2018's dev file 2 % of them) count when predictions are scored, and have the
    start -1.

    Questions whose answer is no span of the context are left out, and a warning says how many: those with
    ``is_impossible``, as in SQuAD 2, and those answered by YES or NO alone, as CJRC has some.

    Raises:
        InputError: the file has another form, a context is empty, an id occurs twice, none of the references of a
            question stands in its context, or no question is left.
    """
    seen: dict[str, str] = {}
    left_out: list[str] = []
    for where, context, (name, question, answers, fault) in _questions(path):
        if not context.strip():
            raise InputError(f"{where}: the context is empty; take the question out, or give its context")
        if name in seen:
            raise InputError(f"{where}: the id {name} occurs twice; give each question one of its own")
        seen[name] = where
        fault = fault or _verdict(context, answers)
        if fault:
            left_out.append(f"{where}, {fault}")
            continue
        placed = None if answers is None else _placed(context, answers, where)
        yield ReadingExample(name, context, question, placed, where=where)
    _tell_left_out(path, left_out, len(seen))


def _tell_left_out(path: Path, left_out: Sequence[str], total: int) -> None:
    if not left_out:
        return
    said = f"{path}: {len(left_out)} of {total} questions have no answer in their context (the first: {left_out[0]})"
    if len(left_out) == total:
        raise InputError(f"{said}; questions without a span for an answer cannot be learned or scored")
    logger.warning(f"{said}; they are left out: scores and predictions are those of the others")


def _verdict(context: str, answers: Sequence[tuple[str, int | None]] | None) -> str:
    """What a question is answered by that only says whether something is so; "" where it is answered by a span."""
    texts = {text for text, _ in answers or ()}
    only = {text.lower() for text in texts} <= _VERDICTS and not any(text in context for text in texts)
    return f"answered by {min(texts)}" if texts and only else ""


def _questions(path: Path) -> Iterator[tuple[str, str, Question]]:
    """Where each question stands, its context, and the question."""
    content = _content(path)
    entries = content.get("data") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: is not a file of questions: it has neither `data` nor a list of contexts")
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: entry {number}"
        if "paragraphs" in entry:
            for paragraph in _list_of(entry, "paragraphs", where):
                yield from _squad(paragraph, where)
        elif "context_text" in entry:
            yield from _first_release(entry, where)
        elif "qas" in entry:
            yield from _squad(entry, where)
        else:
            yield where, text_of(entry, "context", where), _question(entry, "id", "question", where)


def _content(path: Path) -> Any:
    """The JSON value of the file; a list for JSON lines, or for one entry alone."""
    first, _, others = read_text(path).strip().partition("\n")
    if others and _is_record(first):
        return [record for _, record in read_records(path)]
    content = read_json(path)
    return [content] if isinstance(content, dict) and "data" not in content else content


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _squad(paragraph: dict[str, Any], where: str) -> Iterator[tuple[str, str, Question]]:
    context = text_of(paragraph, "context", where)
    for record in _list_of(paragraph, "qas", where):
        yield f"{where}, {record.get('id', '?')}", context, _question(record, "id", "question", where)


def _first_release(entry: dict[str, Any], where: str) -> Iterator[tuple[str, str, Question]]:
    context = text_of(entry, "context_text", where)
    for record in _list_of(entry, "qas", where):
        name = f"{where}, {record.get('query_id', '?')}"
        yield name, context, _question(record, "query_id", "query_text", where)


def _list_of(record: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    value = field_of(record, name, where)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{where}: `{name}` is not a list of objects; is this a file of questions?")
    return value


def _question(record: dict[str, Any], id_name: str, text_name: str, where: str) -> Question:
    name = str(field_of(record, id_name, where)).strip()  # the official script strips it too
    where = f"{where}, {name}"
    impossible = str(record.get("is_impossible", "")).lower() == "true"  # CJRC has it as text
    fault = "is_impossible" if impossible else ""
    return name, text_of(record, text_name, where), _answers(record.get("answers"), where), fault


def _answers(value: Any, where: str) -> list[tuple[str, int | None]] | None:
    """The answers of any form; None where there is none, as in test files."""
    if isinstance(value, dict):  # lists of texts and of starts, side by side
        texts, starts = value.get("text", []), value.get("answer_start", [])
        if not isinstance(texts, list) or not isinstance(starts, list):
            raise InputError(f"{where}: `text` and `answer_start` of `answers` are not lists, one entry an answer")
        value = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=False)]
    if value is not None and not isinstance(value, list):
        raise InputError(f"{where}: `answers` is {json.dumps(value, ensure_ascii=False)[:60]}, not a list")
    found = []
    for answer in value or ():
        text = answer.get("text") if isinstance(answer, dict) else answer
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        if not isinstance(text, str) or not (start is None or isinstance(start, int)):
            raise InputError(f"{where}: an answer is {json.dumps(answer, ensure_ascii=False)[:60]}, not text and start")
        if text:
            found.append((text, start))
    return found or None


def _placed(context: str, answers: Sequence[tuple[str, int | None]], where: str) -> tuple[Answer, ...]:
    placed = tuple(Answer(text, nearest(context, text, start or 0)) for text, start in answers)
    if all(answer.start < 0 for answer in placed):
        raise InputError(
            f"{where}: the answer {placed[0].text[:30]!r} does not stand in the context; "
            "are context and question of the same entry?"
        )
    return placed


def nearest(context: str, text: str, start: int) -> int:
    """Where ``text`` stands in the context: at ``start``, else as near to it as possible; -1 where it does not."""
    if start >= 0 and context.startswith(text, start):
        return start
    before, after = context.rfind(text, 0, max(0, start) + len(text)), context.find(text, max(0, start))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=-1)
