"""Reads tag files: a character a line with its tag, blank lines between texts."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.files import read_lines

# B(egin), I(nside) or M(iddle), E(nd) or L(ast), S(ingle) or U(nit), then the label.
_TAG = re.compile(r"([BIMELSU])(?:[-_](.+))?", re.IGNORECASE)
# Between the characters, and between the tags, of a text on one line, as MSRA is published with ERNIE and PaddleNLP.
_GLUE = "\x02"
# The line of names above such texts.
_NAMES = ("text_a\tlabel", "text_a")
# A character (or what is left of one) and its place in its word, as the raw Weibo release has them: 口0, 罗1.
_GLUED = re.compile(r"(.\D*)\d+", re.DOTALL)


@dataclass(frozen=True)
class _Line:
    where: str
    token: str
    tag: str | None


def read_conll(path: Path, labels: Mapping[str, str] | None = None, bare: str | None = None) -> Iterator[SpanExample]:
    """The texts of a tag file, numbered from 0; a text is its characters without anything between them.

    Read are ``character tag`` and ``character<TAB>tag``; with further columns between the two, these are passed over;
    and a text a line, its characters, a tab and its tags, with U+0002 between them, under a line of names or none.
    Tags may be BIO, BMES, BIOES, BMESO or BILOU. A span ends where the next tag does not go on with it; one that begins
    without a B (published files have some) begins there, as conlleval and seqeval read it. Digits that number the
    characters of a word, glued to all of them, are taken off. Texts without tags, in a file without any, have no spans.

    Args:
        path: the file.
        labels: names of labels that this file calls otherwise.
        bare: the label of tags without one (``B``, ``M``, ``E``, ``S`` of word segmentation); None refuses them.

    Raises:
        InputError: a line has no tag where others have, or one that is none of these.
    """
    lines = list(_lines(path))
    tokens = [line for line in lines if line is not None]
    glued = bool(tokens) and all(_GLUED.fullmatch(line.token) for line in tokens)
    if any(line.tag is not None for line in tokens):
        for line in tokens:
            if line.tag is None:
                raise InputError(
                    f"{line.where}: is {line.token!r}, without a tag; write a character and its tag, such as: 张 B-PER"
                )
    for number, sentence in enumerate(_sentences(lines)):
        yield _example(number, sentence, glued, labels or {}, bare)


def _lines(path: Path) -> Iterator[_Line | None]:
    """Each line's character and tag; None for what separates texts."""
    lines = list(read_lines(path))
    if any(_GLUE in line for _, line in lines):
        names = lines[0][1].lower() in _NAMES
        for where, line in lines[names:]:
            yield from _whole_text(where, line)
        return
    for where, line in lines:
        if not line.strip() or line.startswith("-DOCSTART-"):
            yield None
            continue
        separator = "\t" if "\t" in line else " "
        if line[0] == separator and separator not in line[1:].strip():
            line = " " + line if separator == "\t" else separator + line  # of the space only its tag was kept
        first, *rest = line[1:].rstrip().split(separator)  # the first character may be white space itself
        token = (line[0] + first).rstrip() or line[0]
        yield _Line(where, token, rest[-1].strip() if rest else None)


def _whole_text(where: str, line: str) -> Iterator[_Line | None]:
    """The characters of a text that is a line, and the end of it; nothing of an empty line."""
    if not line.strip():
        return
    text, separator, given = line.partition("\t")
    characters = text.split(_GLUE)
    tags: list[str | None] = [*given.strip().split(_GLUE)] if separator else [None] * len(characters)
    if len(tags) != len(characters):
        raise InputError(f"{where}: has {len(characters)} characters, but {len(tags)} tags")
    for character, tag in zip(characters, tags, strict=True):
        yield _Line(where, character, tag)
    yield None


def _sentences(lines: Iterable[_Line | None]) -> Iterator[list[_Line]]:
    sentence: list[_Line] = []
    for line in [*lines, None]:
        if line is not None:
            sentence.append(line)
        elif sentence:
            yield sentence
            sentence = []


def _example(number: int, lines: list[_Line], glued: bool, labels: Mapping[str, str], bare: str | None) -> SpanExample:
    tokens = [line.token for line in lines]
    if glued:
        tokens = [match[1] for match in map(_GLUED.fullmatch, tokens) if match]
    text, where = "".join(tokens), lines[0].where
    if lines[0].tag is None:
        return SpanExample(number, text, where=where)
    return SpanExample(number, text, tuple(_spans(lines, tokens, labels, bare)), where=where)


def _spans(lines: list[_Line], tokens: list[str], labels: Mapping[str, str], bare: str | None) -> Iterator[Span]:
    """The spans that tags describe: where one begins, goes on and ends."""
    begin, label, place = 0, None, 0
    parsed: dict[str | None, tuple[str, str | None]] = {}
    for line, token in zip(lines, tokens, strict=True):
        if line.tag not in parsed:
            parsed[line.tag] = _parsed(line, bare)
        part, found = parsed[line.tag]
        if label is not None and (part in "BSUO" or found != label):
            yield Span(begin, place, labels.get(label, label))
            label = None
        if label is None and part != "O":
            begin, label = place, found
        place += len(token)
        if label is not None and part in "ELSU":
            yield Span(begin, place, labels.get(label, label))
            label = None
    if label is not None:
        yield Span(begin, place, labels.get(label, label))


def _parsed(line: _Line, bare: str | None) -> tuple[str, str | None]:
    """Part and label of a tag, ``("O", None)`` outside."""
    tag = line.tag or ""
    if tag in ("O", "o"):
        return "O", None
    match = _TAG.fullmatch(tag)
    if match is None or (match[2] is None and bare is None):
        raise InputError(
            f"{line.where}: {tag!r} is no tag; tags are O, or B, I, M, E or S with a label, such as B-PER. "
            "Is this a file of this task?"
        )
    return match[1].upper(), match[2] or bare
