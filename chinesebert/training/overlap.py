"""Held-out documents that are in the training text too: what is measured on them says nothing about other text.

A document counts where at least half of its runs of ``RUN`` tokens are somewhere in the training text: so does a copy
with some characters changed, and one that is a part of a longer document. A document without a run counts where it is a
document of the training text. GPT-3 (Brown et al. 2020, appendix C) looks at runs of 8 to 13 words; half a document of
them is no formula or quotation that anybody may write.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chinesebert.atomic import atomic_file
from chinesebert.corpus.format import Block
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.errors import InputError

RUN = 13
# Tokens of the training text that are looked at together: what is computed of them stays in the cache of a CPU.
_PIECE = 1 << 16
# A hash is looked up where a table has its leading bits; at 16 bits for each hash of the held-out text, nearly all that
# are not among these are passed over.
_TABLE_BITS_PER_HASH = 16
_FACTORS = [np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)]

Hashes = NDArray[np.uint64]


def count_overlap(train: Sequence[PreparedCorpus], held_out: Sequence[PreparedCorpus]) -> int:
    """How many documents of held-out text are, whole or for at least half of it, in the training text too.

    The training text is read once. What is kept is some 12 bytes for each token of held-out text.

    Args:
        train: corpora that are trained on.
        held_out: corpora that are measured on, of the same tokenizer. A document that is there twice counts twice.
    """
    hashes = [_document_hashes(block, number) for block in _blocks(held_out) for number in _documents(block)]
    wanted = np.unique(np.concatenate([np.zeros(0, np.uint64), *hashes]))
    if not len(wanted):
        return 0
    found = np.zeros(len(wanted), np.bool_)
    table = _Table(wanted)
    for block in _blocks(train):
        for seen in _all_hashes(block):
            found[table.places(seen)] = True
    return sum(2 * int(found[np.searchsorted(wanted, runs)].sum()) >= len(runs) for runs in hashes)


def remembered_overlap(train: Sequence[PreparedCorpus], held_out: Sequence[PreparedCorpus], path: Path) -> int:
    """``count_overlap``, counted once for the same corpora: a restart need not read all of the training text.

    Args:
        train: see ``count_overlap``.
        held_out: likewise.
        path: a JSON file that keeps the count; where it cannot be written, the next call counts again.
    """
    compared = [f"runs of {RUN}", *(corpus.fingerprint for corpus in train), "", *(c.fingerprint for c in held_out)]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none yet, or not of this version
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["compared"] == compared:
            return int(kept["documents"])
    documents = count_overlap(train, held_out)
    with contextlib.suppress(OSError, InputError), atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps({"compared": compared, "documents": documents}), encoding="utf-8")
    return documents


class _Table:
    """Sorted hashes, found fast where most that are asked for are not among them."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        bits = max(len(hashes) * _TABLE_BITS_PER_HASH, 2).bit_length()
        self._shift = np.uint64(64 - bits)
        self._begins = np.zeros(1 << bits, np.bool_)
        self._begins[hashes >> self._shift] = True

    def places(self, hashes: Hashes) -> NDArray[np.int64]:
        """The numbers, in the sorted hashes, of those that are among them."""
        possible = hashes[self._begins[hashes >> self._shift]]
        places = np.minimum(np.searchsorted(self._hashes, possible), len(self._hashes) - 1)
        return places[self._hashes[places] == possible]


def _blocks(corpora: Sequence[PreparedCorpus]) -> Iterator[Block]:
    for corpus in corpora:
        yield from corpus.blocks


def _documents(block: Block) -> range:
    return range(len(block.document_starts) - 1)


def _document_hashes(block: Block, number: int) -> Hashes:
    """Those of the runs of a document; of one without a run, its own."""
    start, end = block.document_starts[number : number + 2]
    tokens = block.input_ids[start:end]
    return _run_hashes(tokens) if len(tokens) >= RUN else _whole(tokens)


def _all_hashes(block: Block) -> Iterator[Hashes]:
    """Those of all runs within documents, piece by piece, and those of documents without a run."""
    starts = block.document_starts.astype(np.int64)
    for first in range(0, len(block.input_ids) - RUN + 1, _PIECE):
        runs = _run_hashes(block.input_ids[first : first + _PIECE + RUN - 1])
        inner = starts[np.searchsorted(starts, first, side="right") : np.searchsorted(starts, first + len(runs) + RUN)]
        # A run that begins up to RUN - 1 tokens before a document is one of two documents.
        across = (inner[:, None] - np.arange(1, RUN) - first).ravel()
        within = np.ones(len(runs), np.bool_)
        within[across[(across >= 0) & (across < len(runs))]] = False
        yield runs[within]
    for number in np.flatnonzero(np.diff(starts) < RUN).tolist():
        yield _whole(block.input_ids[starts[number] : starts[number + 1]])


def _run_hashes(tokens: NDArray[np.uint16]) -> Hashes:
    """A hash of every run of ``RUN`` tokens, uint64 ``[T - RUN + 1]``: of 8 tokens, and of the 8 that end the run."""
    hashes = (tokens.astype(np.uint64) + np.uint64(1)) * _FACTORS[0]
    for step in (1, 2, 4):
        hashes = _together(hashes[:-step], hashes[step:])
    return _together(hashes[: -(RUN - 8)], hashes[RUN - 8 :])


def _together(first: Hashes, second: Hashes) -> Hashes:
    """Hashes of two parts each; which of them comes first matters."""
    both = (first ^ (first >> np.uint64(29))) * _FACTORS[1] + second * _FACTORS[2]
    return both ^ (both >> np.uint64(32))


def _whole(tokens: NDArray[np.uint16]) -> Hashes:
    """A hash of a document without a run, uint64 ``[1]``."""
    digest = hashlib.blake2b(tokens.tobytes(), digest_size=8, person=b"document").digest()
    return np.frombuffer(digest, dtype=np.uint64)
