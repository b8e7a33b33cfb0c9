"""The texts of evaluation sets, in whatever form they were published.

Told apart by content: JSON and JSON lines (every string in them), Parquet (every string of every column), tables with
tabs or commas (every cell), CoNLL (a token a line, put together to sentences), else plain text (every line). UTF-8, or
the other encodings of Chinese text; .gz, .xz and .zst files are decompressed.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.vocabulary import HAN
from data_prep.readers.bad_records import UnreadableFile
from data_prep.readers.encodings import guess_encoding
from data_prep.readers.files import walk
from data_prep.readers.sources import Source
from data_prep.readers.streams import read_blocks

_HAN = re.compile(f"[{HAN}]")
_PARQUET_MAGIC = b"PAR1"
# A list of strings that are this short on average is a text in tokens: {"tokens": ["高", "勇", …]}. Chinese words have
# 1.6 characters on average.
_TOKEN_CHARACTERS = 3
# Files are taken for a table or CoNLL if all lines but this share look like it; damaged lines do occur.
_ODD_LINES = 0.05


@dataclass(frozen=True)
class EvaluationFile:
    """A file, and how it is called in reports: its path from the folder that was given on.

    No two files have the same name: as many folders above are named as it takes to tell them apart.
    """

    path: Path
    name: str


def find_evaluation_files(paths: Iterable[str | Path]) -> list[EvaluationFile]:
    """The files that ``paths`` name, each once; folders opened (recursively, sorted, links followed).

    Hidden files are left out.

    Raises:
        InputError: a path does not exist, or a folder cannot be looked into.
    """
    named_parts: dict[Path, int] = {}
    for given in map(Path, paths):
        path = given.resolve()
        if path.is_dir():
            for file in sorted(map(Path, walk(str(path)))):
                named_parts.setdefault(file, len(file.relative_to(path).parts) + 1)
        elif path.is_file():
            named_parts.setdefault(path, 1)
        else:
            raise InputError(f"{given}: no such file or folder; give evaluation sets that are there")
    return _named(named_parts)


def _named(named_parts: dict[Path, int]) -> list[EvaluationFile]:
    """Names each file by so many parts of its path, and by more where the names of several are the same."""
    while True:
        files = [EvaluationFile(path, "/".join(path.parts[1:][-count:])) for path, count in named_parts.items()]
        times = Counter(file.name for file in files)
        if len(times) == len(files):
            return files
        for file in files:
            named_parts[file.path] += times[file.name] > 1


def read_texts(path: Path) -> list[str] | None:
    """The texts of a file that hold Han characters, in order; None if it is no text at all (a picture, a program).

    Raises:
        InputError: it cannot be read: no permission, a damaged archive, an encoding that is none of those known.
    """
    try:
        data = b"".join(read_blocks(Source(str(path), "text")))
        if data[:4] == _PARQUET_MAGIC:
            return _with_han(_parquet_texts(path))
        text = _decoded(data)
    except UnreadableFile as problem:
        raise InputError(
            f"{path}: {problem.reason} ({problem.detail}); a corpus cannot be kept free of what cannot be read: "
            f"{problem.remedy}, or take the file away"
        ) from problem
    return None if text is None else _with_han(_texts(text, path.name))


def _with_han(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if _HAN.search(text)]


def _decoded(data: bytes) -> str | None:
    """None for what is not text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = guess_encoding(data)
        if encoding is not None:
            return data.decode(encoding, errors="replace").removeprefix("\ufeff")
        if b"\0" in data:
            return None
        raise UnreadableFile("not UTF-8, GB18030, Big5 or UTF-16", "", "convert it to UTF-8") from None
    return None if "\0" in text else text


def _texts(text: str, name: str) -> Iterator[str]:
    if text.lstrip()[:1] in ("{", "["):
        values = _json_values(text)
        if values is not None:
            return _strings(values)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    column = _token_column(lines)
    if column is not None:
        return _sentences(lines, column)
    if ".csv" in name.lower() and "\t" not in lines[0]:
        return _csv_cells(lines)
    return (cell for line in lines for cell in line.split("\t"))


# ----------------------------------------------------------------------------------------------------------------- JSON


def _json_values(text: str) -> list[Any] | None:
    """What a JSON document or JSON lines hold; None for other text. Damaged lines come as they stand."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    lines = [line for line in text.split("\n") if line.strip()]
    values = [_json_line(line) for line in lines]
    damaged = sum(value is line for value, line in zip(values, lines, strict=True))
    return values if damaged < len(lines) / 2 else None


def _json_line(line: str) -> Any:
    try:
        return json.loads(line.strip().removesuffix(","))
    except (ValueError, RecursionError):
        return line


def _strings(values: list[Any]) -> Iterator[str]:
    """Every string of nested lists and tables, in order."""
    waiting = list(reversed(values))
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            if _is_tokens(value):
                yield "".join(value)
            waiting += reversed(value)


def _is_tokens(values: list[Any]) -> bool:
    strings = len(values) > 1 and all(isinstance(value, str) for value in values)
    return strings and sum(map(len, values)) <= _TOKEN_CHARACTERS * len(values)


def _parquet_texts(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from _strings([column.to_pylist() for column in batch.columns])
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile("damaged Parquet file", str(error)) from error


# --------------------------------------------------------------------------------------------------------------- tables


def _token_column(lines: list[str]) -> int | None:
    """The column of CoNLL lines that holds the token, None if the lines are something else.

    In CoNLL all lines have the same number of columns and the last, a tag, has no Han character. The token is in the
    first column, or behind a number.
    """
    rows = [line.split() for line in lines if line.strip()]
    if not rows or len(rows[0]) < 2:
        return None
    column = 1 if len(rows[0]) > 2 and rows[0][0].isdigit() else 0
    width = len(rows[0])
    fitting = [row for row in rows if len(row) == width and not _HAN.search(row[-1])]
    if len(rows) - len(fitting) > _ODD_LINES * len(rows):
        return None
    characters = sum(len(row[column]) for row in fitting)
    return column if characters <= _TOKEN_CHARACTERS * len(fitting) else None


def _sentences(lines: list[str], column: int) -> Iterator[str]:
    tokens: list[str] = []
    for line in [*lines, ""]:
        fields = line.split()
        if fields:
            tokens += fields[column : column + 1]
        elif tokens:
            yield "".join(tokens)
            tokens = []


def _csv_cells(lines: list[str]) -> Iterator[str]:
    """Every cell; where it is no table after all (commas in sentences, a lost quotation mark), every line too."""
    try:
        rows = [row for row in csv.reader(line + "\n" for line in lines) if row]
    except csv.Error:
        rows = []
    odd = sum(len(row) != len(rows[0]) for row in rows)
    if not rows or odd > _ODD_LINES * len(rows):
        yield from lines
    for row in rows:
        yield from row
