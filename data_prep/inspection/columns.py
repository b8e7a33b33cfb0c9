"""Text in columns on a terminal, where Chinese characters are two columns wide."""

import unicodedata
from collections.abc import Sequence


def display_width(text: str) -> int:
    """How many columns a terminal needs for a text: two for wide characters, none for combining and invisible ones."""
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int) -> str:
    """A text with spaces after it, up to ``width`` columns."""
    return text + " " * (width - display_width(text))


def wrapped(parts: Sequence[str], width: int, separator: str = "  ") -> list[str]:
    """Lines of whole parts, none wider than ``width`` unless a single part is."""
    lines: list[str] = []
    for part in parts:
        if lines and display_width(lines[-1]) + len(separator) + display_width(part) <= width:
            lines[-1] += separator + part
        else:
            lines.append(part)
    return lines
