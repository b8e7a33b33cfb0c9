"""A document, how long it may be, and where longer ones are cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from data_prep.readers.bad_records import BadRecords

# What is longer is cut: a text file without blank lines, or a book in one JSON line, would be one document of any size,
# and every later step holds whole documents in memory.
MAX_DOCUMENT_CHARACTERS = 100_000
# A paragraph that is too long itself is cut after a sentence if one ends in the last tenth of what there is room for.
_CUT_WINDOW = MAX_DOCUMENT_CHARACTERS // 10
_SENTENCE_ENDS = "。！？；…!?;"
_CLOSING = "”’」』）)】》"
NUL_REASON = "NUL characters removed"


@dataclass(frozen=True)
class Document:
    """Paragraphs that belong together: each not empty, without white space around it and without line feeds.

    ``source`` says where they stand: ``FILE:LINE`` of the first, or ``FILE:row N``, ``FILE:record N (URL)``.
    """

    paragraphs: list[str]
    source: str


def record_documents(text: str, where: str, bad: BadRecords) -> Iterator[Document]:
    """The document in one record's text, whose paragraphs are separated by line feeds; several where it is too long."""
    if "\0" in text:
        bad.repair(where, NUL_REASON)
        text = text.replace("\0", "")
    paragraphs = [paragraph for line in text.split("\n") if (paragraph := line.strip())]
    if len(text) <= MAX_DOCUMENT_CHARACTERS:
        if paragraphs:
            yield Document(paragraphs, where)
        return
    for part, group in enumerate(_groups(paragraphs), start=1):
        yield Document(group, where if part == 1 else f"{where} (part {part})")


def _groups(paragraphs: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for paragraph in paragraphs:
        for piece in cut_paragraph(paragraph):
            if group and size + len(piece) > MAX_DOCUMENT_CHARACTERS:
                yield group
                group, size = [], 0
            group.append(piece)
            size += len(piece)
    if group:
        yield group


def cut_paragraph(paragraph: str) -> list[str]:
    """The paragraph in pieces that are no longer than a document may be; blank ones are left out."""
    pieces = []
    while len(paragraph) > MAX_DOCUMENT_CHARACTERS:
        end = cutting_place(paragraph)
        pieces.append(paragraph[:end].strip())
        paragraph = paragraph[end:]
    return [piece for piece in [*pieces, paragraph.strip()] if piece]


def cutting_place(text: str) -> int:
    """Where to cut a text of more than ``MAX_DOCUMENT_CHARACTERS``; depends on so many characters only.

    After the last sentence that ends in the last tenth, else after the last space there, else anywhere.
    """
    start = MAX_DOCUMENT_CHARACTERS - _CUT_WINDOW
    window = text[start:MAX_DOCUMENT_CHARACTERS]
    end = max(window.rfind(character) for character in _SENTENCE_ENDS)
    if end < 0:
        end = window.rfind(" ")
    if end < 0:
        return MAX_DOCUMENT_CHARACTERS
    while end + 1 < len(window) and window[end + 1] in _CLOSING:
        end += 1
    return start + end + 1
