"""Reads texts with spans in whichever of the published forms a file has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from chinesebert.tasks.annotation_pairs import ORIGINAL, read_pairs
from chinesebert.tasks.conll import read_conll
from chinesebert.tasks.examples import SpanExample
from chinesebert.tasks.files import JSON_ENDINGS, read_text
from chinesebert.tasks.span_records import read_span_records

# How records begin; a tag file may begin with the characters [ or { as well, but not like this.
_JSON = re.compile(r'\s*(\[\s*)?\{\s*"|\s*\[\s*\]')


def read_spans(path: Path, inclusive: bool = False, labels: Mapping[str, str] | None = None) -> Iterator[SpanExample]:
    """JSON records with spans, texts with files of annotations beside them, or a tag file.

    Args:
        path: a file, or a folder of texts with their annotations.
        inclusive: whether offsets end with the last character of a span instead of the one behind it.
        labels: names of labels that the file calls otherwise.

    Raises:
        InputError: the file is none of these, or its offsets are not those of its mentions.
    """
    if path.is_dir() or path.name.endswith(ORIGINAL):
        return read_pairs(path, inclusive)
    if path.suffix.lower() in JSON_ENDINGS or _JSON.match(read_text(path)):
        return read_span_records(path, inclusive, labels)
    return read_conll(path, labels)
