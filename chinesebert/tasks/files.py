"""Reads the files of tasks as they are published: lines, JSON records, tables; says where a file is wrong.

Byte order marks and Windows line ends are taken off. Lines end at ``\\n`` only: some published texts hold U+2028 and
U+0085, where ``str.splitlines`` would cut them.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError


def read_text(path: Path) -> str:
    """A whole file as text, without a byte order mark, lines ended by ``\\n``.

    Raises:
        InputError: it cannot be opened, or is not UTF-8 (the message says which line, and how to convert it).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for mark, encoding in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if data.startswith(mark):
            raise InputError(f"{path}: is {encoding}; convert it: iconv -f {encoding} -t UTF-8 {path.name} > new")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: is not UTF-8; if it is GB 18030, convert it: iconv -f GB18030 -t UTF-8 {path.name} > new"
        ) from error
    return text.replace("\r\n", "\n")


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """``("file:line", line)`` for every line, empty ones among them; an empty end of the file is none."""
    lines = read_text(path).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield f"{path}:{number}", line


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(where, record)`` for JSON lines, for a JSON array, and for records that only commas separate.

    Raises:
        InputError: a line is not JSON, or a record is no object.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        records = _whole(path, text)
        named = ((f"{path}: record {number}", record) for number, record in enumerate(records, start=1))
    else:
        named = ((f"{path}:{number}", _line(path, number, line)) for number, line in _filled(text))
    for where, record in named:
        if not isinstance(record, dict):
            raise InputError(f"{where}: is {_short(record)}, not a JSON object; is it one of this task?")
        yield where, record


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
        raise InputError(f"{path}:{number}: is not a JSON record ({error.msg}): {_short(line)}") from error


def _short(value: Any) -> str:
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
        raise InputError(f"{where}: `{name}` is {_short(value)}, not a text")
    return value


def label_of(record: dict[str, Any], name: str, where: str) -> str | None:
    """A label as text (published as text or as number), None where the record has none."""
    value = record.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    raise InputError(f"{where}: `{name}` is {_short(value)}, not a label")


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
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return
    names = _names(first[1], [columns, *header])
    if names is None:
        yield first[0], _row(first, columns, fewer)
    for row in rows:
        yield row[0], _row(row, names or columns, fewer)


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every row that is not empty, as ``(where, cells)``."""
    lines = list(read_lines(path))
    if any("\t" in line for _, line in lines[:1]):
        for where, line in lines:
            if line.strip():
                yield where, line.split("\t")
        return
    reader = csv.reader(line + "\n" for _, line in lines)
    before = 0
    for cells in reader:
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
            f"{where}: has {len(cells)} columns, not {len(names)} ({', '.join(names)}): {_short(str(cells))}"
        )
    return dict(zip(names, cells, strict=False))
