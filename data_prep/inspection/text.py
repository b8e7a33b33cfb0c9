"""The summary of a corpus for a terminal."""

from collections.abc import Iterator, Sequence

from data_prep.inspection.columns import display_width, padded, wrapped
from data_prep.inspection.sections import Section, sections
from data_prep.inspection.summary import Summary

_INDENT = "  "


def summary_lines(summary: Summary, width: int) -> Iterator[str]:
    """The lines of a summary; lists are wrapped at ``width`` columns."""
    yield f"{summary.corpus}  (pinyin of {summary.readings}, words of {summary.segmenter})"
    for section in sections(summary):
        yield ""
        yield section.title
        yield from (_INDENT + line.rstrip() for line in _section_lines(section, width - len(_INDENT)))


def _section_lines(section: Section, width: int) -> Iterator[str]:
    yield from _aligned(section.rows, section.header)
    for name, items in section.lists:
        if not items:
            continue
        yield f"{name}:"
        yield from (_INDENT + line for line in wrapped(items, width - len(_INDENT), separator="   "))


def _aligned(rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = ()) -> Iterator[str]:
    """Rows in columns: names to the left, columns of numbers to the right, columns with words to the left."""
    is_text = [any(any(map(str.isalpha, cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = [header, *rows] if header else rows
    widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            padded(cell, width) if number == 0 or text else " " * (width - display_width(cell)) + cell
            for number, (cell, width, text) in enumerate(zip(line, widths, is_text, strict=True))
        )
        yield _INDENT.join(cells)
