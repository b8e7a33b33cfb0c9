"""Tables for documents (Markdown) and for the terminal."""

import unicodedata
from collections.abc import Sequence

Row = Sequence[str]


def markdown_table(header: Row, rows: Sequence[Row], left: int = 1) -> str:
    """A table in Markdown; the first ``left`` columns are texts, the others figures."""
    rule = ["---" if number < left else "---:" for number in range(len(header))]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in (header, rule, *rows))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def terminal_table(header: Row, rows: Sequence[Row], left: int = 1, indent: str = "  ") -> str:
    """A table in aligned columns; Chinese characters take two places each."""
    widths = [max(map(_places, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [
            cell + " " * (width - _places(cell)) if number < left else " " * (width - _places(cell)) + cell
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def _places(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
