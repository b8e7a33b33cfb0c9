"""Makes sure that a published span covers what its file says it covers."""

from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import Span


def checked_span(
    text: str, start: Any, end: Any, label: str, where: str, mention: str | None = None, inclusive: bool = False
) -> Span:
    """A span of a text, its end exclusive whatever the file's is.

    Args:
        text: as published, not stripped.
        start, end: as published, numbers or digits.
        label: what the span is.
        where: file and line, for messages.
        mention: the characters that the file says it covers; None where it does not say.
        inclusive: whether the file's ``end`` is the last character instead of the one behind it.

    Raises:
        InputError: it covers something else, or is not within the text; the message says which reading would fit.
    """
    first, last = _number(start, "start", where), _number(end, "end", where)
    stop = last + 1 if inclusive else last
    if not 0 <= first < stop <= len(text):
        raise InputError(
            f"{where}: the span {first}–{last} ({_reading(inclusive)}) is not within its text of {len(text)} "
            f"characters; {_hint_of_place(first, last, len(text), inclusive)}"
        )
    if mention is not None and text[first:stop] != mention:
        raise InputError(
            f"{where}: characters {first}–{last} ({_reading(inclusive)}) are {text[first:stop]!r}, but the mention is "
            f"{mention!r}; {_hint_of_mention(text, first, last, mention, inclusive)}"
        )
    return Span(first, stop, label)


def _number(value: Any, name: str, where: str) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{where}: the {name} of a span is {value!r}, not a number of characters")
    return value


def _reading(inclusive: bool) -> str:
    return "the last one included" if inclusive else "the last one excluded"


def _hint_of_place(first: int, last: int, length: int, inclusive: bool) -> str:
    other = last if inclusive else last + 1
    if 0 <= first < other <= length:
        return f"it would be with {_reading(not inclusive)}: is this the file of another year's task?"
    return "was the text shortened or stripped? Offsets count the characters of the published text"


def _hint_of_mention(text: str, first: int, last: int, mention: str, inclusive: bool) -> str:
    other = last if inclusive else last + 1
    if text[first:other] == mention:
        return f"with {_reading(not inclusive)} they would be: is this the file of another year's task?"
    places = [place for place in range(len(text)) if text.startswith(mention, place)] if mention else []
    if not places:
        return "the mention is nowhere in the text; take the file as published"
    nearest = min(places, key=lambda place: abs(place - first))
    shift = nearest - first
    side = (
        "earlier: was white space or a character taken off the text?" if shift < 0 else "later: was the text added to?"
    )
    return f"it is {abs(shift)} character{'s' * (abs(shift) > 1)} {side} Take the text as published"
