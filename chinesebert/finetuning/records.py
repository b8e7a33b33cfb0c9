"""Texts and JSON records that somebody wants predictions for, as examples of a kind of task."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.definitions.chid import BLANK
from chinesebert.tasks.examples import (
    CharacterExample,
    ChoiceExample,
    CorrectionExample,
    Example,
    ReadingExample,
    SpanExample,
    TextExample,
)

#: For each class of examples the fields that a record must have, and the names that published files have for them.
FIELDS: Mapping[type[Example], Mapping[str, tuple[str, ...]]] = {
    TextExample: {"text": ("sentence", "sentence1", "content")},
    SpanExample: {"text": ("sentence", "content", "originalText")},
    CorrectionExample: {"text": ("sentence", "source", "original_text")},
    CharacterExample: {"text": ("sentence",), "position": ()},
    ReadingExample: {"context": (), "question": ()},
    ChoiceExample: {"context": (), "question": (), "choices": ("choice",)},
}
_OPTIONAL = {"text_pair": ("sentence2", "text2")}
#: What marks the character that a line of plain text asks about, as in the data of g2pM.
MARK = "_"


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of input: what was given, and the example it makes; None for a line without text."""

    id: int | str
    text: Any
    example: Any | None


def read_lines_as(example: type[Example], lines: Iterable[str], name: str, pairs: bool = False) -> Iterator[Line]:
    """Every line as an example: plain text, a pair with a tab between, or a JSON object with the fields of the kind.

    Args:
        example: the class of examples.
        lines: of the input, with or without line ends.
        name: of the input, for messages.
        pairs: the model compares two texts, so each line must have two.

    Raises:
        InputError: a line is not such as the model reads; the message says which and what it must be.
    """
    for number, line in enumerate(lines):
        text = line.removesuffix("\n").removesuffix("\r")
        text = text.removeprefix("\ufeff") if number == 0 else text
        where = f"{name}:{number + 1}"
        if not text.strip():
            yield Line(number, text, None)
            continue
        record = _record(text)
        made = _from_record(example, record, number, where, pairs) if record is not None else None
        made = made or _from_text(example, text, number, where, pairs)
        yield Line(made.id, text if record is None else shown_text(made), made if _says_something(made) else None)


def _record(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None  # a text may begin with a brace
    return record if isinstance(record, dict) else None


def _says_something(example: Any) -> bool:
    """Whether there is any text to predict something of."""
    texts = (getattr(example, name, None) for name in ("text", "text_pair", "context", "question"))
    return any(text and text.strip() for text in texts)


def _from_record(example: type[Example], record: dict[str, Any], number: int, where: str, pairs: bool) -> Any:
    values: dict[str, Any] = {}
    if example is ChoiceExample:
        record, values["blank"] = _with_blank(record)
    for field, names in {**FIELDS[example], **(_OPTIONAL if example is TextExample else {})}.items():
        found = [name for name in (field, *names) if name in record]
        if not found and (field not in _OPTIONAL or pairs):
            raise InputError(f"{where}: has no `{field}` (it has {', '.join(record)}); {needed(example, pairs)}")
        if found:
            values[field] = _checked(field, record[found[0]], where)
    if example is CharacterExample and not 0 <= values["position"] < len(values["text"]):
        raise InputError(f"{where}: `position` is {values['position']}, which is outside of the text")
    identity = record.get("id", number)
    if isinstance(identity, str):
        _whole("id", identity, where)
    return example(identity if isinstance(identity, int | str) else number, **values, where=where)


def _with_blank(record: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """A record without a question whose context has the one blank of ChID (#idiom#), which is what is asked."""
    context = record.get("context")
    blanks = list(BLANK.finditer(context)) if isinstance(context, str) and not record.get("question") else []
    return ({**record, "question": ""}, blanks[0].span()) if len(blanks) == 1 else (record, None)


def _checked(field: str, value: Any, where: str) -> Any:
    if field == "choices":
        if not isinstance(value, list) or not value or not all(isinstance(choice, str) for choice in value):
            raise InputError(f"{where}: `choices` must be a list of texts")
        return tuple(_whole(field, choice, where) for choice in value)
    wanted = int if field == "position" else str
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise InputError(f"{where}: `{field}` must be {'a number' if wanted is int else 'a text'}")
    return _whole(field, value, where) if isinstance(value, str) else value


def _whole(field: str, text: str, where: str) -> str:
    """A text that UTF-8 can write: escapes in JSON may hold half a character."""
    half = next((character for character in text if "\ud800" <= character <= "\udfff"), None)
    if half is not None:
        raise InputError(f"{where}: `{field}` has half a character, \\u{ord(half):x}; write the whole of it")
    return text


def _from_text(example: type[Example], text: str, number: int, where: str, pairs: bool) -> Any:
    if example in (SpanExample, CorrectionExample):
        return example(number, text, where=where)
    if example is TextExample:
        return _text_example(text, number, where, pairs)
    if example is CharacterExample:
        before, *inside = text.split(MARK)
        if len(inside) == 2 and len(inside[0].strip()) == 1:
            return CharacterExample(number, before + inside[0].strip() + inside[1], len(before), where=where)
    raise InputError(f"{where}: {needed(example, pairs)}")


def _text_example(text: str, number: int, where: str, pairs: bool) -> TextExample:
    parts = text.split("\t")
    if pairs and len(parts) != 2:
        raise InputError(f"{where}: has {len(parts)} texts; {needed(TextExample, pairs)}")
    return TextExample(number, *(parts if pairs else [text]), where=where)


def needed(example: type[Example], pairs: bool) -> str:
    """What a line must be for a model that reads these examples."""
    if example is TextExample and pairs:
        return 'this model reads two texts: a line with a tab between them, or JSON {"text": …, "text_pair": …}'
    if example is CharacterExample:
        return (
            f"this model reads one character in its context: mark it ({MARK}行{MARK}), or give JSON "
            '{"text": …, "position": …}, counted from 0'
        )
    fields = ", ".join(f'"{field}": …' for field in FIELDS[example])
    plain = "plain text, or " if example in (TextExample, SpanExample, CorrectionExample) else ""
    return f"this model reads {plain}JSON {{{fields}}} a line"


def shown_text(example: Any) -> Any:
    """The text of an example as output shows it: a text, or the texts by their names."""
    fields = next(FIELDS[kind] for kind in type(example).__mro__ if kind in FIELDS)  # tasks have classes of their own
    names = [*fields, *(_OPTIONAL if isinstance(example, TextExample) else ())]
    values = {name: getattr(example, name) for name in names if getattr(example, name) is not None}
    return values["text"] if list(values) == ["text"] else values
