"""Reads raw text files as documents: ``.txt``, ``.txt.gz``, ``.jsonl``, ``.jsonl.gz``.

In a text file a line is a paragraph and a blank line ends a document. In JSON lines every line is a document: an object
whose text is in one field, with its paragraphs separated by line feeds. Text must be UTF-8.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from chinesebert.errors import InputError

SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
# A text file without blank lines would be one document of any size: it is cut after so many characters, at the end of
# a paragraph.
MAX_DOCUMENT_CHARACTERS = 100_000
# Where more lines than this share cannot be decoded, the file is in another encoding rather than damaged in places.
_FOREIGN_SHARE = 0.5
_FOREIGN_SAMPLE = 200
_CONVERT = "for example: iconv -f GB18030 -t UTF-8 FILE > NEW.txt"


@dataclass(frozen=True)
class Document:
    """Paragraphs that belong together, and where they stand: ``source`` is ``FILE:LINE`` of the first."""

    paragraphs: list[str]
    source: str


@dataclass
class BadRecords:
    """Lines that were skipped. With ``strict`` the first one is an error instead."""

    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, path: Path, line: int, reason: str, remedy: str = "mend or remove the line") -> None:
        """Counts one bad line; raises ``InputError`` with the ``remedy`` under ``strict``."""
        if self.strict:
            raise InputError(f"{path}:{line}: {reason}; {remedy}, or run without --strict to skip it")
        self.counts[reason] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{path}:{line}: {reason}")

    def report(self) -> None:
        """Prints how many lines were skipped, why, and where the first ones are; nothing where there were none."""
        for reason, count in sorted(self.counts.items()):
            print(f"skipped {count:,} bad line{'s' if count > 1 else ''}: {reason}")
        for example in self.examples:
            print(f"  {example}")


def find_inputs(inputs: Iterable[str | Path]) -> list[Path]:
    """The text files named by ``inputs``, folders opened (recursively, sorted by name).

    Raises:
        InputError: an input does not exist, is of another kind, or a folder holds none.
    """
    files: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = sorted(path for path in given.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
            if not found:
                raise InputError(f"{given}: no {', '.join(SUFFIXES)} files in this folder")
            files += found
        elif not given.exists():
            raise InputError(f"{given}: no such file or folder")
        elif not given.name.endswith(SUFFIXES):
            raise InputError(f"{given}: cannot read this kind of file; give {', '.join(SUFFIXES)}")
        else:
            files.append(given)
    return files


def read_documents(path: Path, bad: BadRecords, text_field: str = "text") -> Iterator[Document]:
    """The documents of one file in order. Lines that cannot be read go to ``bad``.

    Raises:
        InputError: the file cannot be opened, is a damaged archive, or is not UTF-8 as a whole.
    """
    lines = _decoded_lines(path, bad)
    return (
        _json_documents(path, lines, bad, text_field)
        if path.name.endswith((".jsonl", ".jsonl.gz"))
        else _text_documents(path, lines)
    )


def _text_documents(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Document]:
    paragraphs: list[str] = []
    first_line = size = 0
    for number, line in lines:
        paragraph = line.strip()
        if paragraph:
            first_line = first_line if paragraphs else number
            paragraphs.append(paragraph)
            size += len(paragraph)
        if paragraphs and (not paragraph or size >= MAX_DOCUMENT_CHARACTERS):
            yield Document(paragraphs, f"{path}:{first_line}")
            paragraphs, size = [], 0
    if paragraphs:
        yield Document(paragraphs, f"{path}:{first_line}")


def _json_documents(
    path: Path, lines: Iterator[tuple[int, str]], bad: BadRecords, text_field: str
) -> Iterator[Document]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            bad.add(path, number, "not valid JSON")
            continue
        if not isinstance(record, dict):
            bad.add(path, number, "not a JSON object")
            continue
        text = record.get(text_field)
        if text_field not in record:
            bad.add(path, number, f"no field {text_field!r} (name another with --text_field)")
            continue
        if not isinstance(text, str):
            bad.add(path, number, f"field {text_field!r} is not a string")
            continue
        if any("\ud800" <= character <= "\udfff" for character in text):
            bad.add(path, number, f"field {text_field!r} holds half of a surrogate pair")
            continue
        paragraphs = [paragraph.strip() for paragraph in text.split("\n")]
        if any(paragraphs):
            yield Document([paragraph for paragraph in paragraphs if paragraph], f"{path}:{number}")


def _decoded_lines(path: Path, bad: BadRecords) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) with their text; a line that is not UTF-8 comes as a blank one: nothing joins over it."""
    seen = undecodable = 0
    number = 0
    pending: list[int] = []
    for number, line in enumerate(_raw_lines(path), start=1):
        try:
            text = line.removeprefix(b"\xef\xbb\xbf").decode("utf-8") if number == 1 else line.decode("utf-8")
        except UnicodeDecodeError:
            text, undecodable = "", undecodable + 1
            pending.append(number)
        seen += bool(line.strip())
        yield number, text
        if seen >= _FOREIGN_SAMPLE:
            _refuse_foreign_encoding(path, pending, seen, undecodable)
        if seen >= _FOREIGN_SAMPLE or bad.strict:
            pending = _report_undecodable(path, pending, bad)
    _refuse_foreign_encoding(path, pending, seen, undecodable)
    _report_undecodable(path, pending, bad)


def _report_undecodable(path: Path, numbers: list[int], bad: BadRecords) -> list[int]:
    for number in numbers:
        bad.add(path, number, "not UTF-8", f"mend or remove the line, or convert the whole file ({_CONVERT})")
    return []


def _refuse_foreign_encoding(path: Path, pending: list[int], seen: int, undecodable: int) -> None:
    if pending and undecodable > _FOREIGN_SHARE * seen:
        raise InputError(
            f"{path}:{pending[0]}: the file is not UTF-8 ({undecodable} of {seen} lines so far); convert it first, "
            f"{_CONVERT}"
        )


def _raw_lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with _open_binary(path) as file:
            for line in file:  # binary files are split at line feeds only
                number += 1
                yield line.rstrip(b"\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}: damaged gzip file after line {number} ({error}); fetch or compress it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error


def _open_binary(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else open(path, "rb")
