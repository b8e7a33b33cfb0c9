"""From checksums that differ to the documents that have changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chinesebert.checksums import PIECE_BYTES, changed_bit
from chinesebert.corpus.format import SCHEMA
from chinesebert.corpus.shard_stream import StoredBatch
from chinesebert.corpus.verification.places import documents_of
from chinesebert.corpus.verification.rules import Failure, Rule

# The search for one changed bit takes a fifth of a second a piece. Damage in more pieces is no single bit anyway.
_MOST_SEARCHES = 10
_DIGITS = 8


@dataclass(frozen=True)
class Change:
    """Bytes of a file that are not as they were.

    Attributes:
        begin, end: the bytes, ``end`` exclusive.
        bit: of byte ``begin``, from the least significant, if this bit alone has changed.
    """

    begin: int
    end: int
    bit: int | None = None

    def __str__(self) -> str:
        if self.bit is not None:
            return f"bit {self.bit} of byte {self.begin:,} has changed"
        return f"something in bytes {self.begin:,} to {self.end - 1:,} has changed"


def find_changes(expected: str, found: str, size: int) -> list[Change]:
    """What has changed in a file of ``size`` bytes, by the CRC-32 of its pieces as they were and as they are.

    Raises:
        ValueError: ``expected`` is not 8 hexadecimal digits for each piece of such a file.
    """
    before, now = _pieces(expected), _pieces(found)
    if len(before) != len(now):
        raise ValueError(f"{len(before)} pieces, not {len(now)}")
    differ = [number for number, (one, other) in enumerate(zip(before, now, strict=True)) if one != other]
    changes: list[Change] = []
    for number in differ:
        begin = number * PIECE_BYTES
        end = min(begin + PIECE_BYTES, size)
        bit = changed_bit(before[number], now[number], end - begin) if len(differ) <= _MOST_SEARCHES else None
        if bit is not None:
            changes.append(Change(begin + bit // 8, begin + bit // 8 + 1, bit % 8))
        elif changes and changes[-1].end == begin and changes[-1].bit is None:
            changes[-1] = Change(changes[-1].begin, end)
        else:
            changes.append(Change(begin, end))
    return changes


def _pieces(checksums: str) -> list[int]:
    if len(checksums) % _DIGITS:
        raise ValueError("its length is no multiple of 8 digits")
    return [int(checksums[place : place + _DIGITS], 16) for place in range(0, len(checksums), _DIGITS)]


class ChangedDocuments:
    """Finds out which documents the changes of one shard concern, while its record batches pass by."""

    def __init__(self, file: str, changes: Sequence[Change]) -> None:
        self._file = file
        self._concerned: dict[Change, list[_Concerned]] = {change: [] for change in changes}

    def look_at(self, stored: StoredBatch) -> None:
        """Notes which documents of a record batch lie where something has changed."""
        for change, concerned in self._concerned.items():
            if change.begin < stored.end and stored.begin < change.end:
                concerned.extend(_concerned(change, stored))

    def failures(self) -> Iterator[Failure]:
        """One failure for each change; without documents where it lies outside all that could be read."""
        for change, concerned in self._concerned.items():
            if not concerned:
                yield Failure(Rule.CRC32, f"{change}; no record could be read there", self._file)
                continue
            documents = min(part.first for part in concerned), max(part.last for part in concerned)
            one = concerned[0]
            yield Failure(Rule.CRC32, f"{change}{one.what}", self._file, documents, one.token)


@dataclass(frozen=True)
class _Concerned:
    first: int
    last: int
    what: str = ""
    token: int | None = None


def _concerned(change: Change, stored: StoredBatch) -> Iterator[_Concerned]:
    """What of a record batch a change touches: its lists, its values, or, if neither, its header."""
    touched = False
    for number, (begin, end) in enumerate(stored.spans):
        if change.begin < end and begin < change.end:
            touched = True
            first, last = max(change.begin, begin) - begin, min(change.end, end) - 1 - begin
            if number % 2:
                yield _in_values(change, stored, number // 2, first // 2, last // 2)
            else:
                yield _in_offsets(stored, first // 4, last // 4)
    if not touched:
        yield _all_of(stored, ", in the header of their record batch")


def _all_of(stored: StoredBatch, what: str = "") -> _Concerned:
    return _Concerned(stored.first_document, max(stored.first_document, _last_document(stored)), what)


def _last_document(stored: StoredBatch) -> int:
    return stored.first_document + stored.batch.num_rows - 1


def _in_offsets(stored: StoredBatch, first: int, last: int) -> _Concerned:
    """Offset n is where document n begins and the one before it ends."""
    begin = stored.first_document + max(0, first - 1)
    return _Concerned(
        begin, min(_last_document(stored), stored.first_document + last), ", where its tokens begin or end"
    )


def _in_values(change: Change, stored: StoredBatch, column: int, first: int, last: int) -> _Concerned:
    starts = stored.batch.column(column).offsets.to_numpy()
    documents = np.clip(documents_of(starts, np.array([first, last])), 0, stored.batch.num_rows - 1)
    begin, end = (stored.first_document + documents).tolist()
    if change.bit is None:
        return _Concerned(begin, end)
    now = stored.batch.column(column).values[first].as_py()
    flipped = 1 << (change.bit + 8 * ((change.begin - stored.spans[2 * column + 1][0]) % 2))
    what = f": {SCHEMA.names[column]} is {now}, was {now ^ flipped}"
    return _Concerned(begin, end, what, first - int(starts[documents[0]]))
