"""Reads segmented text: a sentence a line, white space between words."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import read_lines, shortened

WORD = "WORD"
# How all lines of other files look, which would pass for segmented text.
_OTHERS = {
    re.compile(r"\s*\{.*\}\s*$"): "a JSON record",
    re.compile(r"\S+[ \t](?:[BIMES]-\S+|[OS])\s*$"): "a character with a tag",
}


def read_segmented(path: Path) -> Iterator[SpanExample]:
    """Each line as a text without white space and its words; empty lines too, so that lines stay numbered.

    A file in which no line has white space within it is text that nobody segmented: it has no words.

    Raises:
        InputError: the file holds JSON records, a character and a tag a line, or the rows of a table.
    """
    lines = list(read_lines(path))
    filled = [(where, line) for where, line in lines if line.strip()]
    for form, what in _OTHERS.items():
        if filled and all(form.match(line) for _, line in filled):
            where, line = filled[0]
            raise InputError(f"{where}: is {what}, not words with spaces between them: {shortened(line)}")
    if len({line.count("\t") for _, line in filled}) == 1 and "\t" in filled[0][1]:
        where, line = filled[0]
        raise InputError(f"{where}: is a row of a table, not words with spaces between them: {shortened(line)}")
    segmented = any(len(line.split()) > 1 for _, line in lines)
    for number, (where, line) in enumerate(lines):
        words = line.split()  # U+3000, which separates words in the files of Academia Sinica, too
        spans = word_spans(words) if segmented else None
        yield SpanExample(number, "".join(words), spans, where=where)


def word_spans(words: Sequence[str]) -> tuple[Span, ...]:
    """Where each of the words lies in their text."""
    spans, start = [], 0
    for word in words:
        spans.append(Span(start, start + len(word), WORD))
        start += len(word)
    return tuple(spans)


def segmented_lines(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """A line a text, two spaces between words: what the ``score`` script of the Bakeoffs reads."""
    for example, words in zip(examples, predictions, strict=True):
        yield "  ".join(example.text[word.start : word.end] for word in words)


def read_treebank(path: Path) -> Iterator[SpanExample]:
    """The words (second column) of a treebank in CoNLL-X or CoNLL-U, blank lines between sentences."""
    words: list[str] = []
    number, first = 0, ""
    for where, line in [*read_lines(path), ("", "")]:
        cells: list[Any] = line.split("\t")
        if line.strip() and not line.startswith("#") and cells[0].isdecimal():
            first = first if words else where
            words.append("".join(cells[1].split()))
        elif not line.strip() and words:
            yield SpanExample(number, "".join(words), word_spans(words), where=first)
            number, words = number + 1, []
