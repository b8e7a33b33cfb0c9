"""Lines of UTF-8 text, split at line feeds only, many at a time: what text files and JSON lines have in common."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import NUL_REASON
from data_prep.readers.encodings import NAMES, NUL_SHARE, byte_order_mark, guess_encoding
from data_prep.readers.sources import Source
from data_prep.readers.streams import read_content

# Where more than this share of the first lines cannot be decoded, the file is in another encoding rather than damaged
# in places.
_FOREIGN_SHARE = 0.5
_FOREIGN_SAMPLE = 200
_UNPACK = {"": "iconv", ".gz": "gzip -dc FILE | iconv", ".zst": "zstd -dc FILE | iconv", ".xz": "xz -dc FILE | iconv"}


@dataclass(frozen=True)
class Lines:
    """Whole lines without their line feeds, the first of them the ``first`` of the file (from 1).

    A line that is not UTF-8 is here as an empty one, so that what stands around it does not become neighbours.
    """

    first: int
    texts: list[str]


@dataclass(frozen=True)
class LinePart:
    """A part of a line that is too long to be held in memory; ``last`` ends it. May end inside a character."""

    number: int
    data: bytes
    last: bool


def read_lines(source: Source, bad: BadRecords, longest: int) -> Iterator[Lines | LinePart]:
    """All lines of a file in order; those of more than about ``longest`` bytes (at least a block) in parts.

    Raises:
        UnreadableFile: it cannot be opened, is empty, damaged, or in another encoding.
    """
    number = 1
    try:
        for data, whole in _split(_utf8_blocks(source), longest):
            if whole:
                lines = _decode(data, source, number, bad)
                yield lines
                number += len(lines.texts)
            else:
                last = data.endswith(b"\n") or not data
                yield LinePart(number, data.removesuffix(b"\n"), last)
                number += last
    except UnreadableFile as problem:
        problem.detail += f"; all before line {number:,} was read" if number > 1 else ""
        raise


def iconv(source: Source, encoding: str) -> str:
    """The command that turns the source into UTF-8."""
    unpack = _UNPACK[source.compression]
    return f"{unpack} -f {encoding} -t UTF-8 {'' if '|' in unpack else 'FILE '}> NEW.txt"


def _split(blocks: Iterator[bytes], longest: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of the content, with whether they are whole lines or a part of one; a part that is empty ends a line."""
    waiting: list[bytes] = []  # the start of a line whose end has not been read yet
    size = 0
    in_long_line = False
    for block in blocks:
        if in_long_line:
            end = block.find(b"\n") + 1
            yield block[: end or None], False
            in_long_line, block = not end, block[end:] if end else b""
        end = block.rfind(b"\n") + 1
        if end:
            waiting.append(block[:end])
            yield b"".join(waiting), True
            waiting.clear()
            block, size = block[end:], 0
        if block:
            waiting.append(block)
            size += len(block)
        if size > longest:
            yield from ((part, False) for part in waiting)
            waiting.clear()
            size, in_long_line = 0, True
    if in_long_line:
        yield b"", False
    elif waiting:
        yield b"".join(waiting), True


def _utf8_blocks(source: Source) -> Iterator[bytes]:
    for number, block in enumerate(read_content(source)):
        if number == 0:
            _check_encoding(block, source)
            block = block.removeprefix(codecs.BOM_UTF8)
        yield block


def _check_encoding(block: bytes, source: Source) -> None:
    """Refuses a file in another encoding by its start."""
    full_of_nul = block.count(0) > NUL_SHARE * len(block)
    if not (byte_order_mark(block) or full_of_nul or _mostly_undecodable(block)):
        return
    name = NAMES.get(guess_encoding(block) or "")
    if name:
        raise UnreadableFile(f"not UTF-8, probably {name}", remedy=f"convert it first: {iconv(source, name)}")
    if not full_of_nul:  # what a crashed disk left is text between NULs, which are removed
        raise UnreadableFile("not UTF-8", remedy=f"convert it first, as in: {iconv(source, 'GB18030')}")


def _mostly_undecodable(block: bytes) -> bool:
    try:
        codecs.utf_8_decode(block, "strict", False)  # False: the block may end inside a character
        return False
    except UnicodeDecodeError:
        lines = [line for line in block.split(b"\n") if line.strip()][:_FOREIGN_SAMPLE]
        undecodable = sum(_decoded(line) is None for line in lines)
        return undecodable > _FOREIGN_SHARE * len(lines)


def _decode(data: bytes, source: Source, first: int, bad: BadRecords) -> Lines:
    data = data.removesuffix(b"\n")
    if b"\0" in data:
        data = _without_nul(data, source, first, bad)
    try:
        return Lines(first, data.decode().split("\n"))
    except UnicodeDecodeError:
        texts = [_decoded(line) for line in data.split(b"\n")]
    for number, text in enumerate(texts, start=first):
        if text is None:
            report_undecodable(source, number, bad)
    return Lines(first, [text or "" for text in texts])


def report_undecodable(source: Source, number: int, bad: BadRecords) -> None:
    """Counts a line that is not UTF-8."""
    remedy = f"mend or remove the line, or convert the whole file (as in: {iconv(source, 'GB18030')})"
    bad.add(f"{source}:{number}", "not UTF-8", remedy=remedy)


def _without_nul(data: bytes, source: Source, first: int, bad: BadRecords) -> bytes:
    for number, line in enumerate(data.split(b"\n"), start=first):
        if b"\0" in line:
            bad.repair(f"{source}:{number}", NUL_REASON)
    return data.replace(b"\0", b"")


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None
