"""Examples of a user's own: plain texts, tuples and dictionaries instead of the classes in ``examples.py``.

========================  ==============================================  =============================================
kind                      tuple, what is unknown left out or None         dictionary (the same names)
========================  ==============================================  =============================================
texts and pairs           ``(text, label)``, ``(text, text_pair, label)``  ``text``, ``text_pair``, ``label``
spans                     ``(text, [(start, end, label), …])``            ``text``, ``spans``
a character's label       ``(text, position, label)``                     ``text``, ``position``, ``label``
reading                   ``(context, question, [(answer, start), …])``   ``context``, ``question``, ``answers``
choices                   ``(context, question, choices, number)``        ``context``, ``question``, ``choices``,
                                                                          ``label``
correction                ``(text, target)``                              ``text``, ``target``
========================  ==============================================  =============================================

A string is a text without a label. Labels of texts may be numbers; they are read as text. Dictionaries may have an
``id``; others are numbered from 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import (
    Answer,
    CharacterExample,
    ChoiceExample,
    CorrectionExample,
    Example,
    ReadingExample,
    Span,
    SpanExample,
    TextExample,
)

# What the items of a tuple are.
_ORDER: dict[type[Example], tuple[str, ...]] = {
    TextExample: ("text", "text_pair", "label"),
    SpanExample: ("text", "spans"),
    CharacterExample: ("text", "position", "label"),
    ReadingExample: ("context", "question", "answers"),
    ChoiceExample: ("context", "question", "choices", "label"),
    CorrectionExample: ("text", "target"),
}


def as_examples(given: Iterable[Any], example: type[Example]) -> list[Any]:
    """Examples of one class; those that are of it already stay.

    Args:
        given: examples, strings, tuples or dictionaries as above.
        example: the class, ``Kind.example``.

    Raises:
        InputError: one is something else, or lacks something; the message says which.
    """
    return [item if isinstance(item, Example) else _made(item, number, example) for number, item in enumerate(given)]


def _made(item: Any, number: int, example: type[Example]) -> Example:
    where = f"example {number}"
    try:
        values = _values(item, example)
        return example(values.pop("id", number), **_typed(values, example), where=where)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: {item!r:.80} is no {example.__name__}: give ({', '.join(_ORDER[example])}), or a dictionary "
            f"with these names ({error})"
        ) from error


def _values(item: Any, example: type[Example]) -> dict[str, Any]:
    """The fields by name."""
    if isinstance(item, Mapping):
        known = {field.name for field in fields(example)} - {"where"}
        unknown = [name for name in item if name not in known]
        if unknown:
            raise ValueError(f"there is no {', '.join(map(str, unknown))}")
        return dict(item)
    order = _ORDER[example]
    if isinstance(item, str):
        return {order[0]: item}
    if not isinstance(item, Sequence) or not 1 <= len(item) <= len(order):
        raise ValueError(f"it must have 1 to {len(order)} items")
    if example is TextExample and len(item) == 2:
        order = ("text", "label")
    return dict(zip(order, item, strict=False))


def _typed(values: dict[str, Any], example: type[Example]) -> dict[str, Any]:
    """Labels as text, lists as tuples, spans and answers as what they are."""
    label = values.get("label")
    if label is not None and example is not ChoiceExample:
        values["label"] = tuple(map(str, label)) if isinstance(label, list | tuple | set) else str(label)
    if values.get("spans") is not None:
        values["spans"] = tuple(span if isinstance(span, Span) else Span(*span) for span in values["spans"])
    if values.get("answers") is not None:
        values["answers"] = tuple(item if isinstance(item, Answer) else Answer(*item) for item in values["answers"])
    for name in ("choices", "candidates"):
        if name in values:
            values[name] = tuple(values[name])
    for name in ("text", "context", "question"):
        if name in values and not isinstance(values[name], str):
            raise ValueError(f"{name} is {values[name]!r:.40}, not a text")
    return values
