"""Checks one shard: its bytes against its checksums, then its documents against the rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chinesebert.checksums import FileChecksums, file_checksums
from chinesebert.corpus.format import MANIFEST_FILE, Block, Shard, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.shard_stream import ShardStreamError, read_shard, schema_end
from chinesebert.corpus.verification.damage import Change, ChangedDocuments, find_changes
from chinesebert.corpus.verification.records import RecordChecker
from chinesebert.corpus.verification.rules import Failure, Findings, Rule
from chinesebert.corpus.writer import SHARD_TOKENS


@dataclass
class Counts:
    """What some documents hold.

    Attributes:
        occurrences: int64 ``[65536]``, of each token id.
        complete: whether these are all documents that there should be: none was unreadable.
    """

    documents: int = 0
    tokens: int = 0
    words: int = 0
    sentences: int = 0
    occurrences: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, dtype=np.int64))
    complete: bool = True

    def add_block(self, block: Block) -> None:
        """Counts the documents of a block."""
        self.documents += len(block.document_starts) - 1
        self.tokens += len(block.input_ids)
        self.words += int(np.count_nonzero(unpack_word_starts(block.pinyin_and_starts)))
        self.sentences += int(np.count_nonzero(unpack_sentence_starts(block.pinyin_and_starts)))
        self.occurrences += np.bincount(block.input_ids, minlength=len(self.occurrences))

    def add(self, other: "Counts") -> None:
        """Adds what other documents hold."""
        self.documents += other.documents
        self.tokens += other.tokens
        self.words += other.words
        self.sentences += other.sentences
        self.occurrences += other.occurrences
        self.complete &= other.complete


def check_shard(
    path: Path, shard: Shard, checker: RecordChecker, findings: Findings, progress: Callable[[int], object]
) -> Counts:
    """Checks one shard and counts what it holds.

    Args:
        path: the file.
        shard: what the manifest says of it.
        checker: for its documents.
        findings: where failures are noted.
        progress: called with numbers of bytes, each byte of the file being reported twice.
    """
    try:
        changes = _check_bytes(path, shard, findings)
        progress(path.stat().st_size)
        return _check_documents(path, shard, checker, findings, changes, progress)
    except OSError as error:
        findings.add(Failure(Rule.FILES, f"cannot be read ({error.strerror or error})", shard.file))
        return Counts(complete=False)


def _check_bytes(path: Path, shard: Shard, findings: Findings) -> list[Change] | None:
    """What has changed; None where something has, but nobody can say what."""
    size = path.stat().st_size
    if size == shard.bytes:
        return _compare_checksums(file_checksums(path), shard, findings)
    findings.add(Failure(Rule.SIZE, f"has {size:,} bytes, the manifest says {shard.bytes:,}", shard.file))
    return None


def _compare_checksums(found: FileChecksums, shard: Shard, findings: Findings) -> list[Change] | None:
    """Reports checksums that differ; returns what has changed, to be traced to documents; None if that is unknown."""
    same, same_pieces = found.sha256 == shard.sha256, found.crc32 == shard.crc32
    if not same:
        note = "; as the CRC-32 of every piece is right, it is the manifest that has changed" if same_pieces else ""
        what = f"its SHA-256 is {found.sha256}, the manifest says {shard.sha256}{note}"
        findings.add(Failure(Rule.SHA256, what, shard.file))
    if same_pieces or not shard.crc32:
        return [] if same or same_pieces else None
    if same:
        what = f"the CRC-32 given for {shard.file} are not those of the file, whose SHA-256 is right"
        findings.add(Failure(Rule.CRC32, what, MANIFEST_FILE))
        return []
    try:
        return find_changes(shard.crc32, found.crc32, shard.bytes)
    except ValueError as error:
        findings.add(Failure(Rule.CRC32, f"the CRC-32 given for {shard.file} are damaged ({error})", MANIFEST_FILE))
        return None


def _check_documents(
    path: Path,
    shard: Shard,
    checker: RecordChecker,
    findings: Findings,
    changes: list[Change] | None,
    progress: Callable[[int], object],
) -> Counts:
    counts, tokens_before_last_batch = Counts(), 0
    changed = ChangedDocuments(shard.file, changes or [])
    try:
        for stored in read_shard(path, _schema_may_be_damaged(path, changes)):
            tokens_before_last_batch = counts.tokens
            changed.look_at(stored)
            block = checker.check(stored, shard.file, findings)
            if block is None:
                counts.complete = False
            else:
                counts.add_block(block)
            progress(stored.end - stored.begin)
    except ShardStreamError as error:
        counts.complete = False
        what = str(error).removeprefix(f"{path}: ")
        findings.add(Failure(Rule.STREAM, f"{what}; documents read before this: {counts.documents:,}", shard.file))
    for failure in changed.failures():
        findings.add(failure)
    if tokens_before_last_batch >= SHARD_TOKENS:
        what = f"has {SHARD_TOKENS:,} tokens before its last record batch begins"
        findings.add(Failure(Rule.BATCHES, what, shard.file))
    _compare_counts(counts, shard, findings)
    return counts


def _schema_may_be_damaged(path: Path, changes: list[Change] | None) -> bool:
    if not changes:
        return changes is None
    end = schema_end(path)
    return any(change.begin < end for change in changes)


def _compare_counts(counts: Counts, shard: Shard, findings: Findings) -> None:
    if counts.complete and (counts.documents, counts.tokens) != (shard.documents, shard.tokens):
        found = f"holds {counts.documents:,} documents of {counts.tokens:,} tokens"
        expected = f"the manifest says {shard.documents:,} of {shard.tokens:,}"
        findings.add(Failure(Rule.SHARD_COUNTS, f"{found}, {expected}", shard.file))
