"""Held-out documents that are in the training text too: what is measured on them says nothing about other text."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from chinesebert.corpus.format import Block
from chinesebert.corpus.reader import PreparedCorpus

# Tokens of a document that are looked at before the document is: one in each eighth of it.
_SAMPLED = 8
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def count_overlap(train: Sequence[PreparedCorpus], held_out: Sequence[PreparedCorpus]) -> int:
    """How many documents of held-out text are, token by token, documents of the training text too.

    The training text is read once, and of nearly all its documents only the length and a few tokens: those of another
    length, or with other tokens there, cannot be meant. What is kept is 24 bytes for each held-out document.

    Args:
        train: corpora that are trained on.
        held_out: corpora that are measured on, of the same tokenizer. A document that is there twice counts twice.
    """
    wanted = Counter(
        _digest(block, document) for block in _blocks(held_out) for document in range(len(block.document_starts) - 1)
    )
    outlines = np.unique(np.concatenate([np.zeros(0, np.uint64), *(_outlines(block) for block in _blocks(held_out))]))
    if not len(outlines):
        return 0
    found: set[bytes] = set()
    for block in _blocks(train):
        seen = _outlines(block)
        nearest = outlines[np.minimum(np.searchsorted(outlines, seen), len(outlines) - 1)]
        found.update(_digest(block, int(document)) for document in np.flatnonzero(nearest == seen))
    return sum(count for digest, count in wanted.items() if digest in found)


def _blocks(corpora: Sequence[PreparedCorpus]) -> Iterator[Block]:
    for corpus in corpora:
        yield from corpus.blocks


def _outlines(block: Block) -> NDArray[np.uint64]:
    """A hash of length and sampled tokens of each document, uint64 ``[documents]``; equal for equal documents."""
    starts = block.document_starts[:-1].astype(np.int64)
    lengths = np.diff(block.document_starts.astype(np.int64))
    outlines = lengths.astype(np.uint64)
    filled = np.flatnonzero(lengths)
    for number in range(_SAMPLED):
        tokens = block.input_ids[starts[filled] + lengths[filled] * number // _SAMPLED]
        outlines[filled] = (outlines[filled] + tokens) * _FACTOR
        outlines[filled] ^= outlines[filled] >> np.uint64(29)
    return outlines


def _digest(block: Block, document: int) -> bytes:
    start, end = block.document_starts[document : document + 2]
    return hashlib.blake2b(block.input_ids[start:end].tobytes(), digest_size=16).digest()
