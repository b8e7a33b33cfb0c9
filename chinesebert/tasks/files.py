"""Reads the files of tasks as they are published: lines, JSON records, tables; says where a file is wrong.

Byte order marks and Windows line ends are taken off. Lines end at ``\\n`` only (and at ``\\r`` in a file without any):
some published texts hold U+2028 and U+0085, where ``str.splitlines`` would cut them.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError

# How files begin that are no UTF-8 text, and what to do with them.
_NO_TEXT = {
    b"PK\x03\x04": "is a zip archive; unpack it",
    b"\x1f\x8b": "is a gzip archive; unpack it",
    b"\xff\xfe": "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {name} > new",
    b"\xfe\xff": "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {name} > new",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; fetch it: git lfs pull",
}


def read_text(path: Path) -> str:
    """A whole file as text, without a byte order mark, lines ended by ``\\n``.

    Raises:
        InputError: it cannot be opened, or is not UTF-8 (the message says which line, and how to convert it).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for start, remedy in _NO_TEXT.items():
        if data.startswith(start):
            raise InputError(f"{path}: {remedy.format(name=path.name)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: is not UTF-8; if it is GB 18030, convert it: iconv -f GB18030 -t UTF-8 {path.name} > new"
        ) from error
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """``("file:line", line)`` for every line, empty ones among them; an empty end of the file is none."""
    lines = read_text(path).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield f"{path}:{number}", line


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(where, record)`` for JSON lines, for a JSON array, for records that only commas separate or that span lines.

    Raises:
        InputError: a line is not JSON, or a record is no object.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        records = _whole(path, text)
        named: Iterator[tuple[str, Any]] = (
            (f"{path}: record {number}", record) for number, record in enumerate(records, start=1)
        )
    elif text.lstrip().split("\n", 1)[0].rstrip() == "{":
        named = _spread(path, text)
    else:
        named = ((f"{path}:{number}", _line(path, number, line)) for number, line in _filled(text))
    for where, record in named:
        if not isinstance(record, dict):
            raise InputError(f"{where}: is {shortened(record)}, not a JSON object; is it one of this task?")
        yield where, record


#: Endings of files that hold JSON, whatever their first line looks like.
JSON_ENDINGS = (".json", ".jsonl")

_GAP = re.compile(r"[\s,]*")


def _spread(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Objects one after another, each over several lines."""
    decoder, end, line = json.JSONDecoder(), 0, 1
    while (start := _GAP.match(text, end).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing, too
        line += text.count("\n", end, start)
        try:
            record, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: is not JSON ({error.msg}); is the file complete?") from error
        yield f"{path}:{line}", record
        line += text.count("\n", start, end)


def read_json(path: Path) -> Any:
    """A file that is one JSON value.

    Raises:
        InputError: it is not JSON.
    """
    return _whole(path, read_text(path))


def _whole(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: is not JSON ({error.msg}); is the file complete?") from error


def _filled(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line.strip().rstrip(","))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: is not a JSON record ({error.msg}): {shortened(line)}") from error


def shortened(value: Any) -> str:
    """A value as a message quotes it: 60 characters at most."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def field_of(record: dict[str, Any], name: str, where: str) -> Any:
    """A field that every record of the task has.

    Raises:
        InputError: this one has not; the message says what it has instead.
    """
    if name not in record:
        raise InputError(
            f"{where}: has no `{name}` (it has {', '.join(map(str, record))}); is this a file of this task?"
        )
    return record[name]


def text_of(record: dict[str, Any], name: str, where: str) -> str:
    """A field that is text.

    Raises:
        InputError: it is missing, or something else.
    """
    value = field_of(record, name, where)
    if not isinstance(value, str):
        raise InputError(f"{where}: `{name}` is {shortened(value)}, not a text")
    return value


def label_of(record: dict[str, Any], name: str, where: str) -> str | None:
    """A label as text (published as text or as number), None where the record has none."""
    value = record.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    raise InputError(f"{where}: `{name}` is {shortened(value)}, not a label")


def id_of(record: dict[str, Any], names: Sequence[str], where: str, number: int) -> int | str:
    """The record's own id, under the first of the names that it has; the number of the record where it has none.

    An id that is written as text but is a number that one counts with becomes that number; hashes stay texts.

    Raises:
        InputError: the id is neither text nor a whole number.
    """
    for name in names:
        value = record.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, str):
            counted = value.isascii() and value.isdigit() and len(value) < 19 and str(int(value)) == value
            return int(value) if counted else value
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise InputError(f"{where}: the {name} is {shortened(value)}, neither a text nor a whole number")
    return number


def read_table(
    path: Path, columns: Sequence[str], header: Sequence[Sequence[str]] = (), fewer: int = 0
) -> Iterator[tuple[str, dict[str, str]]]:
    """``(where, row)`` for a table of tab- or comma-separated columns, with or without a line of names.

    Args:
        path: the file; commas separate where the first line holds no tab.
        columns: names of the columns in the order of the file, for a file without a line of names.
        header: lines of names that this task is published with, besides ``columns`` itself. Where the first line is one
            (in any order, upper or lower case), it says which column is which.
        fewer: so many columns may be missing at the end of a row: the label, in a test split.

    Raises:
        InputError: a row has more or fewer columns.
    """
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        return
    names = _names(first[1], [columns, *header])
    if names is None:
        yield first[0], _row(first, columns, fewer)
    for row in rows:
        yield row[0], _row(row, names or columns, fewer)


def read_rows(path: Path, comma: bool = True) -> Iterator[tuple[str, list[str]]]:
    """``(where, cells)`` for every row of a table that is not empty.

    Tabs separate where the first line has one; texts between them are taken as they are, quotes and all. Otherwise
    commas separate as in CSV, where a quoted cell may hold commas and line ends; or, where they do not, every line is
    a cell, empty ones among them.

    Args:
        path: the file.
        comma: whether commas separate where tabs do not.
    """
    lines = list(read_lines(path))
    while lines and not lines[-1][1].strip():
        lines.pop()
    if "\t" in next((line for _, line in lines if line.strip()), ""):
        yield from ((where, line.split("\t")) for where, line in lines if line.strip())
    elif not comma:
        yield from ((where, [line]) for where, line in lines)
    else:
        yield from _comma_rows(path, [line for _, line in lines])


def _comma_rows(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(line + "\n" for line in lines)
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}:{before + 1}: is not CSV ({error}); is a quotation mark left open?") from error
        if cells is None:
            return
        where, before = f"{path}:{before + 1}", reader.line_num
        if any(cell.strip() for cell in cells):
            yield where, [cell.removesuffix("\n") for cell in cells]


def _names(cells: Sequence[str], headers: Sequence[Sequence[str]]) -> list[str] | None:
    given = [cell.strip().lower() for cell in cells]
    for header in headers:
        known = [name.lower() for name in header]
        if len(given) > 1 and set(given) <= set(known):
            return [header[known.index(name)] for name in given]
    return None


def _row(row: tuple[str, list[str]], names: Sequence[str], fewer: int) -> dict[str, str]:
    where, cells = row
    if not len(names) - fewer <= len(cells) <= len(names):
        raise InputError(
            f"{where}: has {len(cells)} columns, not {len(names)} ({', '.join(names)}): {shortened(str(cells))}"
        )
    return dict(zip(names, cells, strict=False))
