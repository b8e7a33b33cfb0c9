"""Reads texts that lie in files of their own beside files of annotations, as CCKS 2017 and 2018 publish records."""

from collections.abc import Iterator
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.checked_spans import checked_span
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import read_lines, read_text

ORIGINAL = ".txtoriginal.txt"


def read_pairs(path: Path, inclusive: bool) -> Iterator[SpanExample]:
    """The text ``NAME.txtoriginal.txt`` with the annotations of ``NAME.txt`` beside it, or all of a folder's.

    An annotation is a line ``mention<TAB>start<TAB>end<TAB>category``. Without a file of annotations a text has no
    spans to score or learn from. The id is NAME.

    Args:
        path: a text, or a folder with texts in it, at any depth.
        inclusive: whether ends are the last character of a mention instead of the one behind it.

    Raises:
        InputError: a line is no annotation, or its offsets are not those of its mention.
    """
    if path.is_dir():
        for text_file in sorted(path.rglob(f"*{ORIGINAL}")):
            yield from read_pairs(text_file, inclusive)
        return
    if not path.name.endswith(ORIGINAL):
        raise InputError(f"{path}: is no text; texts are NAME{ORIGINAL}, and NAME.txt beside them are annotations")
    name = path.name.removesuffix(ORIGINAL)
    text = read_text(path)
    annotations = path.with_name(f"{name}.txt")
    spans = tuple(_spans(annotations, text, inclusive)) if annotations.is_file() else None
    yield SpanExample(name, text, spans, where=f"{path}:1")


def _spans(path: Path, text: str, inclusive: bool) -> Iterator[Span]:
    for where, line in read_lines(path):
        if not line.strip():
            continue
        cells = line.split("\t") if "\t" in line else line.rsplit(maxsplit=3)
        if len(cells) != 4:
            raise InputError(f"{where}: has {len(cells)} columns, not mention, start, end and category: {line[:60]!r}")
        mention, start, end, label = cells
        yield checked_span(text, start, end, label.strip(), where, mention, inclusive)
