"""Text files: a line is a paragraph, a blank line ends a document."""

import codecs
from collections.abc import Iterator

from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import MAX_DOCUMENT_CHARACTERS, NUL_REASON, Document, cut_paragraph, cutting_place
from data_prep.readers.lines import LinePart, Lines, read_lines, report_undecodable
from data_prep.readers.sources import Source
from data_prep.readers.streams import BLOCK


def read_text(source: Source, bad: BadRecords) -> Iterator[Document]:
    """The documents of a text file.

    Raises:
        UnreadableFile: it cannot be read, or not to its end; the documents before that have been handed out.
    """
    documents = _Documents(source.url)
    try:
        yield from _complete_documents(source, bad, documents)
    except UnreadableFile:
        yield from documents.rest()
        raise
    yield from documents.rest()


def _complete_documents(source: Source, bad: BadRecords, documents: "_Documents") -> Iterator[Document]:
    long_line: _LongLine | None = None
    for lines in read_lines(source, bad, longest=BLOCK):
        if isinstance(lines, Lines):
            yield from documents.add_lines(lines)
            continue
        long_line = long_line or _LongLine(source, lines.number, bad)
        for number, piece in long_line.pieces(lines):
            if document := documents.add(piece, lines.number, number):
                yield document
        long_line = None if lines.last else long_line


class _Documents:
    """Puts paragraphs together to documents; holds the one that is not complete."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._paragraphs: list[str] = []
        self._size = 0
        self._start = ""

    def add_lines(self, lines: Lines) -> Iterator[Document]:
        """Takes lines; gives the documents that are complete with them."""
        for number, line in enumerate(lines.texts, start=lines.first):
            paragraph = line.strip()
            if not paragraph:
                yield from self.rest()
            elif len(paragraph) <= MAX_DOCUMENT_CHARACTERS:
                if document := self.add(paragraph, number):
                    yield document
            else:
                for part, piece in enumerate(cut_paragraph(paragraph), start=1):
                    if document := self.add(piece, number, part):
                        yield document

    def add(self, paragraph: str, line: int, part: int = 1) -> Document | None:
        """Takes a paragraph; gives the document before it if there is no room left in that."""
        full = self._complete() if self._size + len(paragraph) > MAX_DOCUMENT_CHARACTERS and self._paragraphs else None
        if not self._paragraphs:
            self._start = f"{self._url}:{line}" if part == 1 else f"{self._url}:{line} (part {part})"
        self._paragraphs.append(paragraph)
        self._size += len(paragraph)
        return full

    def rest(self) -> Iterator[Document]:
        """What has not been given yet, as a document."""
        if self._paragraphs:
            yield self._complete()

    def _complete(self) -> Document:
        document = Document(self._paragraphs, self._start)
        self._paragraphs, self._size = [], 0
        return document


class _LongLine:
    """Decodes a line that comes in parts and cuts it into paragraphs."""

    def __init__(self, source: Source, number: int, bad: BadRecords) -> None:
        self._source, self._number, self._bad = source, number, bad
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pending = ""
        self._pieces = 0
        self._damaged = self._repaired = False

    def pieces(self, part: LinePart) -> Iterator[tuple[int, str]]:
        """The paragraphs that are complete with this part, with their numbers within the line (from 1)."""
        self._pending += self._decode(part)
        while len(self._pending) > MAX_DOCUMENT_CHARACTERS:
            end = cutting_place(self._pending)
            yield from self._numbered(self._pending[:end])
            self._pending = self._pending[end:]
        if part.last:
            yield from self._numbered(self._pending)

    def _numbered(self, piece: str) -> Iterator[tuple[int, str]]:
        if piece := piece.strip():
            self._pieces += 1
            yield self._pieces, piece

    def _decode(self, part: LinePart) -> str:
        """Nothing from the first part on that is not UTF-8."""
        if self._damaged:
            return ""
        try:
            text = self._decoder.decode(part.data, part.last)
        except UnicodeDecodeError:
            self._damaged = True
            report_undecodable(self._source, self._number, self._bad)
            return ""
        if "\0" in text and not self._repaired:
            self._repaired = True
            self._bad.repair(f"{self._source}:{self._number}", NUL_REASON)
        return text.replace("\0", "")
