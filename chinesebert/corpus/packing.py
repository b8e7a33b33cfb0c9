"""Cuts a corpus into rows of the training length, and dresses each row for the model.

A row covers consecutive sentences. It is dressed in one of two ways (the paper's two input modes): *packed*, where each
document in it is one segment ``[CLS] … [SEP]``, or *single*, where each sentence is. Segments of single rows never see
one another; those of packed rows do or do not, as the switch ``isolate_documents`` says.

Where rows begin depends on the length alone. How a row is dressed is decided when it is read, anew in every epoch.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chinesebert.corpus.format import unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.reader import Block, PreparedCorpus

# [CLS] and [SEP] around each segment.
SPECIAL_TOKENS_PER_SEGMENT = 2
# A document or sentence is not begun at the end of a row with less room than this many tokens for its text.
MIN_SEGMENT_TOKENS = 4


@dataclass(frozen=True)
class Row:
    """One row of the model's input, before masking; all arrays have shape ``[L]``.

    Attributes:
        input_ids: int64, with [CLS], [SEP] and, at the end, [PAD].
        pinyin_ids: int64 syllable ids, 0 = none.
        segment_ids: int64; tokens attend to each other where these are equal; 0 is padding.
        position_ids: int64; they restart at 0 in every isolated segment.
        word_starts: bool, the first token of each word of the text.
        is_text: bool, everything but [CLS], [SEP] and [PAD]: what may be masked.
    """

    input_ids: NDArray[np.int64]
    pinyin_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    word_starts: NDArray[np.bool_]
    is_text: NDArray[np.bool_]


class RowPlan:
    """Where the rows of some corpora begin and end, for one length; row numbers run over all of them in order.

    Attributes:
        length: L, tokens in a row.
        corpus_rows: how many rows each corpus has.
    """

    def __init__(self, corpora: Sequence[PreparedCorpus], length: int) -> None:
        if length < SPECIAL_TOKENS_PER_SEGMENT + MIN_SEGMENT_TOKENS:
            raise ValueError(f"rows of {length} tokens are too short to hold text")
        self.length = length
        self._blocks = [block for corpus in corpora for block in corpus.blocks]
        self._starts = [row_starts(block, length) for block in self._blocks]
        self._first_rows = np.concatenate([[0], np.cumsum([len(starts) - 1 for starts in self._starts])])
        last_blocks = np.cumsum([0, *(len(corpus.blocks) for corpus in corpora)])
        self.corpus_rows: list[int] = np.diff(self._first_rows[last_blocks]).tolist()

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def locate(self, row: int) -> tuple[Block, int, int]:
        """The block that holds a row, and the range of tokens in it."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is outside range({len(self)})")
        number = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        starts = self._starts[number]
        place = row - int(self._first_rows[number])
        return self._blocks[number], int(starts[place]), int(starts[place + 1])


def row_starts(block: Block, length: int) -> NDArray[np.int32]:
    """Cuts one block into packed rows: int32 ``[rows + 1]``, the first token of each row and the end of the last."""
    begins_word = unpack_word_starts(block.pinyin_and_starts)
    document_ends = block.document_starts[1:].tolist()
    starts = [0]
    document = 0
    while starts[-1] < len(block.input_ids):
        end, document = _row_end(starts[-1], document, length, document_ends, begins_word)
        starts.append(end)
    return np.array(starts, dtype=np.int32)


def _row_end(
    start: int, document: int, length: int, document_ends: list[int], begins_word: NDArray[np.bool_]
) -> tuple[int, int]:
    """Where the row that begins at ``start``, inside ``document``, ends; and the document that the next one is in."""
    position, room = start, length
    while document < len(document_ends) and room >= SPECIAL_TOKENS_PER_SEGMENT + MIN_SEGMENT_TOKENS:
        space = room - SPECIAL_TOKENS_PER_SEGMENT
        if position + space < document_ends[document]:
            cut = _cut_between_words(position, position + space, begins_word)
            return (cut, document) if cut > position or position > start else (position + space, document)
        room -= document_ends[document] - position + SPECIAL_TOKENS_PER_SEGMENT
        position = document_ends[document]
        document += 1
    return position, document


def _cut_between_words(start: int, end: int, begins_word: NDArray[np.bool_]) -> int:
    """The last place up to ``end`` where a word begins; ``start`` if one word fills it all."""
    while end > start and not begins_word[end]:
        end -= 1
    return end


@dataclass(frozen=True)
class RowDresser:
    """Turns a range of a block's tokens into a ``Row``.

    Attributes:
        length: L, tokens in a row.
        isolate_documents: whether the documents of a packed row are hidden from one another. The paper does not say;
            its time's habit was not to.
    """

    length: int
    cls_token_id: int
    sep_token_id: int
    pad_token_id: int
    isolate_documents: bool = True

    def packed(self, block: Block, start: int, end: int) -> Row:
        """One segment a document."""
        first, last = np.searchsorted(block.document_starts, [start, end])
        inner = block.document_starts[first:last]
        bounds = [start, *inner[inner > start].tolist(), end]
        return self._dress(block, bounds, isolated=self.isolate_documents)

    def single(self, block: Block, start: int, end: int) -> Row:
        """One segment a sentence, isolated. What the extra [CLS] and [SEP] leave no room for is left out this time."""
        begins_sentence = unpack_sentence_starts(block.pinyin_and_starts[start:end])
        bounds = np.flatnonzero(begins_sentence) + start
        return self._dress(block, [start, *bounds[bounds > start].tolist(), end], isolated=True)

    def _dress(self, block: Block, bounds: list[int], isolated: bool) -> Row:
        row = self._empty()
        at = 0
        for segment, (start, end) in enumerate(itertools.pairwise(bounds), start=1):
            space = self.length - at - SPECIAL_TOKENS_PER_SEGMENT
            stop = end if end - start <= space else self._cut(block, start, space, first=at == 0)
            if stop == start:
                break
            self._fill(row, block, at, start, stop, segment)
            at += stop - start + SPECIAL_TOKENS_PER_SEGMENT
            if stop < end:
                break
        if not isolated:
            row.segment_ids[:at] = 1
            row.position_ids[:] = np.arange(self.length)
        return row

    def _cut(self, block: Block, start: int, space: int, first: bool) -> int:
        """Where a segment ends that is longer than ``space``: between words; ``start`` if none of it is to be used."""
        if space < MIN_SEGMENT_TOKENS:
            return start
        begins_word = unpack_word_starts(block.pinyin_and_starts[start : start + space + 1])
        kept = _cut_between_words(0, space, begins_word)
        return start + (space if kept == 0 and first else kept)  # a word longer than a row is cut all the same

    def _empty(self) -> Row:
        def zeros() -> NDArray[np.int64]:
            return np.zeros(self.length, dtype=np.int64)

        input_ids = np.full(self.length, self.pad_token_id, dtype=np.int64)
        return Row(input_ids, zeros(), zeros(), zeros(), zeros().astype(np.bool_), zeros().astype(np.bool_))

    def _fill(self, row: Row, block: Block, at: int, start: int, end: int, segment: int) -> None:
        """Writes ``[CLS] tokens [SEP]`` into the row from place ``at``."""
        text = slice(at + 1, at + 1 + end - start)
        annotations = block.pinyin_and_starts[start:end]
        row.input_ids[at], row.input_ids[text], row.input_ids[text.stop] = (
            self.cls_token_id,
            block.input_ids[start:end],
            self.sep_token_id,
        )
        row.pinyin_ids[text] = unpack_pinyin_ids(annotations)
        row.word_starts[text] = unpack_word_starts(annotations)
        row.word_starts[at + 1] = True  # a segment may begin inside a word that is longer than a row
        row.is_text[text] = True
        row.segment_ids[at : text.stop + 1] = segment
        row.position_ids[at : text.stop + 1] = np.arange(text.stop + 1 - at)
