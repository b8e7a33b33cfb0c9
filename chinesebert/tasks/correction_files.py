"""Reads spelling-correction data in the forms it is published in; which one a file has is seen from its content.

=====================================  ===============================================================================
``<ESSAY>`` with ``<PASSAGE id>``      SIGHAN 2014 and 2015, training: ``<MISTAKE id location>`` with ``<WRONG>`` and
                                       ``<CORRECTION>``, words of which one character is wrong
``<DOC Nid>`` with ``<P>``             SIGHAN 2013, sample set: ``<MISTAKE wrong_position>``, ``<CORRECT>``
``<SENTENCE>`` with ``<TEXT>``         Wang271K (Wang et al. 2018): ``<LOCATION>`` inside ``<MISTAKE>``
``(pid=…)`` or ``(NID=…)`` and text    SIGHAN, test; beside it a truth file, lines ``id, position, character, …`` or
                                       ``id, 0``, positions from 1
``…error….txt``                        beside it ``…correct….txt``, line by line (also ``src`` and ``tgt``)
JSON, array or lines                   ``original_text``, ``correct_text`` (pycorrector), or ``source``, ``target``
tab-separated                          ``text, target``; ``id, text, target`` (and more); ``id, text`` with a truth file
                                       ``….lbl.tsv`` beside it (ReaLiSe)
other lines                            texts to be corrected, without the truth
=====================================  ===============================================================================

Only single characters are replaced in this task. Sentences whose mistakes cannot be told so, because the correction is
longer or shorter or an annotation is not in the text, are left out, and a warning says how many.

A few truths "correct" a character to what it already is (four sentences of 2013's test, two of 2014's). Here such
sentences have no such mistake; the official tools count them as missed, since no system can report them.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformers.utils import logging

from chinesebert.errors import InputError
from chinesebert.tasks.examples import CorrectionExample
from chinesebert.tasks.files import id_of, read_lines, read_records, read_text
from chinesebert.vocabulary import HAN

logger = logging.get_logger(__name__)

_SOURCES = ("original_text", "source", "src", "text", "error", "wrong", "sentence", "input", "text_a")
_TARGETS = ("correct_text", "target", "tgt", "trg", "correct", "correction", "label", "output", "text_b")
_COLUMN_NAMES = frozenset((*_SOURCES, *_TARGETS, "id", "errors", "wrong_ids"))
# A part of a file's name, and what stands in its place in the name of the file with the truth.
_PARALLEL = (("error", "correct"), ("source", "target"), ("src", "tgt"), ("src", "trg"), ("wrong", "right"))
_TEST_LINE = re.compile(r"\s*\((?:NID|pid)=([^)]*)\)[\t ]?(.*)", re.IGNORECASE | re.DOTALL)
_TRUTH_LINE = re.compile(r"\s*[\w-]+, *\d+ *(,|$)")
_BLOCK = re.compile(r"<(ESSAY|DOC|SENTENCE)\b([^>]*)>(.*?)</\1>", re.DOTALL)
# What holds the text in each of them.
_PASSAGES = {
    name: re.compile(rf"<{tag}\b([^>]*)>(.*?)</{tag}>", re.DOTALL)
    for name, tag in (("ESSAY", "PASSAGE"), ("DOC", "P"), ("SENTENCE", "TEXT"))
}
_MISTAKE = re.compile(r"<MISTAKE\b([^>]*)>(.*?)</MISTAKE>", re.DOTALL)
_HAN = re.compile(f"[{HAN}]")


class Sentence(NamedTuple):
    """A sentence as read; ``target`` is None where the file does not say, ``fault`` why it cannot be used."""

    id: int | str
    where: str
    text: str
    target: str | None = None
    fault: str = ""


def read_corrections(path: Path) -> Iterator[CorrectionExample]:
    """The sentences of a file in any of the forms above.

    Raises:
        InputError: the file has none of these forms, or does not fit the one with the truth, or no sentence is left.
    """
    left_out: list[Sentence] = []
    total = 0
    for sentence in _sentences(path):
        total += 1
        if sentence.target is not None and len(sentence.target) != len(sentence.text):
            sentence = sentence._replace(fault=f"{len(sentence.text)} characters become {len(sentence.target)}")
        if sentence.fault:
            left_out.append(sentence)
            continue
        yield CorrectionExample(sentence.id, sentence.text, sentence.target, where=sentence.where)
    if left_out:
        first = left_out[0]
        if len(left_out) == total:
            raise InputError(
                f"{first.where}: single characters cannot mend any of the {total} sentences (here {first.fault}); "
                "is this a file of this task?"
            )
        logger.warning(
            f"{path}: {len(left_out)} of {total} sentences are left out: single characters cannot mend them "
            f"(the first: {first.where}, {first.fault})"
        )


def _sentences(path: Path) -> Iterator[Sentence]:
    parallel = _beside(path, _PARALLEL)
    if parallel is not None:
        return _parallel(path, parallel)
    text = _text(path)
    start = text.lstrip()[:200]
    if start.startswith("<"):
        return _markup(path, text)
    if start.startswith(("[", "{")):
        return _records(path)
    if _TEST_LINE.match(start):
        return _official(path)
    if _TRUTH_LINE.match(start.split("\n")[0]):
        raise InputError(
            f"{path}: holds the truth alone; name the file with the sentences, this one is found beside it"
        )
    return _table(path, text)


def _beside(path: Path, replacements: Sequence[tuple[str, str]]) -> Path | None:
    """The file whose name has something else in one place; None where there is none."""
    for part, other in replacements:
        for old, new in ((part, other), (part.capitalize(), other.capitalize())):
            before, found, after = path.name.rpartition(old)
            other_path = path.with_name(f"{before}{new}{after}")
            if found and other_path.exists():
                return other_path
    return None


def _text(path: Path) -> str:
    """The file; of the official training files, which have a few damaged characters, those are taken as U+FFFD."""
    try:
        return read_text(path)
    except InputError:
        text = path.read_bytes().decode("utf-8-sig", errors="replace") if path.is_file() else ""
        damaged = text.count("\ufffd")
        if not text.startswith("<") or damaged * 1000 > len(text):
            raise
        logger.warning(f"{path}: {damaged} characters are damaged (not UTF-8); they are read as U+FFFD")
        return text.replace("\r\n", "\n")


# --------------------------------------------------------------------------------------------------- pairs of sentences


def _parallel(path: Path, other: Path) -> Iterator[Sentence]:
    texts, targets = list(read_lines(path)), list(read_lines(other))
    if len(texts) != len(targets):
        raise InputError(
            f"{path}: has {len(texts)} lines and {other.name} {len(targets)}; they must match line by line: are both "
            "files complete, and of one set?"
        )
    for number, ((where, text), (_, target)) in enumerate(zip(texts, targets, strict=True)):
        yield Sentence(number, where, text, target)


def _records(path: Path) -> Iterator[Sentence]:
    for number, (where, record) in enumerate(read_records(path)):
        text, target = _field(record, _SOURCES), _field(record, _TARGETS)
        if text is None:
            raise InputError(
                f"{where}: has no `original_text` or `source` (it has {', '.join(record)}); "
                "is this a file of this task?"
            )
        yield Sentence(id_of(record, ("id",), where, number), where, text, target)


def _field(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((record[name] for name in names if isinstance(record.get(name), str)), None)


def _table(path: Path, text: str) -> Iterator[Sentence]:
    rows = list(_rows(path, text))
    if rows and {cell.strip().lower() for cell in rows[0][1]} <= _COLUMN_NAMES:
        rows = rows[1:]
    if not rows:
        return
    columns = len(rows[0][1])
    named = columns > 2 or (columns == 2 and not _HAN.search(rows[0][1][0]))  # the first column is an id
    if columns == 2 and named:
        yield from _with_truth(path, [(where, *cells) for where, cells in rows])
        return
    flags = named and {cells[0] for _, cells in rows} <= {"0", "1"}  # whether there is a mistake: no id either
    for number, (where, cells) in enumerate(rows):
        if len(cells) != columns:
            raise InputError(f"{where}: has {len(cells)} columns, and the first line {columns}")
        texts = cells[1:] if named else cells
        yield Sentence(cells[0] if named and not flags else number, where, texts[0], (*texts, None)[1])


def _rows(path: Path, text: str) -> Iterator[tuple[str, list[str]]]:
    """The cells of every line that is not empty."""
    if path.suffix.lower() == ".csv":
        reader = csv.reader(line + "\n" for line in text.split("\n"))
        rows = ((reader.line_num, cells) for cells in reader)
    else:
        rows = ((number, line.split("\t")) for number, line in enumerate(text.split("\n"), start=1))
    for number, cells in rows:
        if any(cell.strip() for cell in cells):
            yield f"{path}:{number}", cells


# ------------------------------------------------------------------------------------- sentences, and a file of truths


def _official(path: Path) -> Iterator[Sentence]:
    lines = []
    for where, line in read_lines(path):
        if not line.strip():
            continue
        match = _TEST_LINE.match(line)
        if match is None:
            raise InputError(f"{where}: does not begin with (pid=…) or (NID=…), as the lines before do")
        lines.append((where, match[1].strip(), match[2]))
    return _with_truth(path, lines)


def _with_truth(path: Path, lines: Sequence[tuple[str, ...]]) -> Iterator[Sentence]:
    """Sentences ``(where, id, text)`` with the truth of the file beside theirs, if there is one."""
    end = path.suffix or ".txt"
    other = _beside(path, (("Input", "Truth"), (end, f"_Truth{end}"), (".tsv", ".lbl.tsv")))
    truths = None if other is None else _truths(other)
    for where, name, text in lines:
        if truths is None:
            yield Sentence(name, where, text)
        elif name not in truths:
            raise InputError(f"{where}: {name} is not in {other}; are both files of one set?")
        else:
            yield Sentence(name, where, text, _corrected(text, *truths[name]))


Truths = dict[str, tuple[str, list[tuple[int, str]]]]


def _truths(path: Path) -> Truths | None:
    """``id -> (where, [(position from 1, character), …])``; None for a file of positions alone (2013's subtask 1)."""
    rows = [
        (where, [cell.strip() for cell in line.split(",") if cell.strip()])
        for where, line in read_lines(path)
        if line.strip()
    ]
    if all(cell.isdecimal() for _, cells in rows for cell in cells[1:]) and any(
        cells[1:] != ["0"] for _, cells in rows
    ):
        logger.warning(f"{path}: says where mistakes are, not what is right; the sentences are read without the truth")
        return None
    truths: Truths = {}
    for where, (name, *changes) in rows:
        changes = [] if changes == ["0"] else changes or [""]
        if len(changes) % 2 or not all(cell.isdecimal() for cell in changes[::2]):
            raise InputError(f"{where}: is not `id, position, character, …` or `id, 0`")
        truths[name] = where, list(zip(map(int, changes[::2]), changes[1::2], strict=True))
    return truths


def _corrected(text: str, where: str, changes: Sequence[tuple[int, str]]) -> str:
    characters = list(text)
    for position, character in changes:
        if not 1 <= position <= len(text) or len(character) != 1:
            raise InputError(
                f"{where}: position {position} with {character!r} does not fit a sentence of {len(text)} characters; "
                "are both files of one set?"
            )
        characters[position - 1] = character
    return "".join(characters)


# ------------------------------------------------------------------------------------------------------------- markup


def _markup(path: Path, text: str) -> Iterator[Sentence]:
    number, line, before = 0, 1, 0
    for block in _BLOCK.finditer(text):
        mistakes = list(_MISTAKE.finditer(block[3]))
        for passage in _PASSAGES[block[1]].finditer(block[3]):
            begin = block.start(3) + passage.start()
            line, before = line + text.count("\n", before, begin), begin
            name = _attribute(passage[1], "id") or _attribute(block[2], "nid")
            own = [mistake for mistake in mistakes if _attribute(mistake[1], "id") in (None, name)]
            sentence = Sentence(name or number, f"{path}:{line}", passage[2].strip("\n"))
            yield _mended(sentence, own)
            number += 1
    if not number:
        raise InputError(f"{path}: has no <ESSAY>, <DOC> or <SENTENCE> with a text; is this a file of this task?")


def _attribute(attributes: str, name: str) -> str | None:
    match = re.search(rf"""\b{name}\s*=\s*["']?([^"'\s>]+)""", attributes, re.IGNORECASE)
    return match[1] if match else None


def _mended(sentence: Sentence, mistakes: Sequence[re.Match[str]]) -> Sentence:
    """The sentence with its target, or with what is wrong with an annotation."""
    target = list(sentence.text)
    for mistake in mistakes:
        location = _attribute(mistake[1], "(?:location|wrong_position)") or _element(mistake[2], "LOCATION")
        if location == "0":  # 2013: a sentence without mistakes
            continue
        wrong, right = _element(mistake[2], "WRONG"), _element(mistake[2], "CORRECT(?:ION)?")
        if not wrong or len(wrong) != len(right):
            return sentence._replace(fault=f"{wrong} becomes {right}")
        start = _nearest(sentence.text, wrong, right, int(location) - 1 if location.isdecimal() else 0)
        if start is None:
            return sentence._replace(fault=f"it does not contain {wrong}")
        for place, (old, new) in enumerate(zip(wrong, right, strict=True), start=start):
            if old != new:
                target[place] = new
    return sentence._replace(target="".join(target))


def _element(content: str, name: str) -> str:
    match = re.search(rf"<({name})>(.*?)</\1>", content, re.DOTALL)
    return match[2].strip() if match else ""


def _nearest(text: str, wrong: str, right: str, location: int) -> int | None:
    """Where a word with a mistake begins: over the location that is given, where possible with the mistake there.

    A few published locations are off by some characters; then the nearest occurrence is meant.
    """
    starts = [match.start() for match in re.finditer(f"(?={re.escape(wrong)})", text)]

    def misfit(start: int) -> tuple[bool, bool, int]:
        inside = start <= location < start + len(wrong)
        there = inside and wrong[location - start] != right[location - start]
        return not inside, not there, abs(start - location)

    return min(starts, key=misfit, default=None)
