"""What a record of a task is once it is read: one class for each kind of task.

``where`` names file and line (or record) for messages. Offsets count characters of the text as published, ends are
exclusive. What a file does not say (labels of a test split) is None.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """What all examples have. ``id`` is the file's own where it has one, else the number of the record from 0."""

    id: int | str
    where: str = field(default="", compare=False, kw_only=True)


@dataclass(frozen=True)
class TextExample(Example):
    """A text, or a pair of texts, with one label or several."""

    text: str
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    group: str | None = None  # examples of a group compete with each other: the candidates of one mention
    truth: str | None = None  # in a group: the right candidate, the same in every example of it
    candidate: str | None = None  # in a group: which candidate this example is


@dataclass(frozen=True, order=True)
class Span:
    """Characters ``[start, end)`` of a text, and what they are; spans sort in the order of the text."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class SpanExample(Example):
    """A text with labelled spans: names, events, words."""

    text: str
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class CharacterExample(Example):
    """A text of which the character at ``position`` has a label out of ``candidates`` (its readings, say)."""

    text: str
    position: int
    label: str | None = None
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A span of a context, by its first character."""

    text: str
    start: int


@dataclass(frozen=True)
class ReadingExample(Example):
    """A question about a context; the answer is a span of it. Several answers are several references."""

    context: str
    question: str
    answers: tuple[Answer, ...] | None = None


@dataclass(frozen=True)
class ChoiceExample(Example):
    """A question with choices; ``label`` is the number of the right one.

    With ``blank`` a choice stands in the context, in place of its characters ``[start, end)``.
    """

    context: str
    question: str
    choices: tuple[str, ...]
    label: int | None = None
    blank: tuple[int, int] | None = None
    group: str | None = None  # examples of a group share their choices: the blanks of one record


@dataclass(frozen=True)
class CorrectionExample(Example):
    """A text with wrong characters, and the same text, of the same length, without them."""

    text: str
    target: str | None = None
