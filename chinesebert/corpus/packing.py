"""Cuts a corpus into rows of the training length, and dresses each row for the model.

A row covers consecutive sentences. It is dressed in one of two ways (the paper's two input modes): *packed*, where each
document in it is one segment ``[CLS] … [SEP]``, or *single*, where each sentence is. Segments of single rows never see
one another; those of packed rows do or do not, as the switch ``isolate_documents`` says.

Where rows begin depends on the length alone. How a row is dressed is decided when it is read, anew in every epoch.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chinesebert.corpus.format import unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.reader import Block, PreparedCorpus

# [CLS] and [SEP] around each segment.
SPECIAL_TOKENS_PER_SEGMENT = 2
# A document or sentence is not begun at the end of a row with less room than this many tokens for its text.
MIN_SEGMENT_TOKENS = 4
# With fewer tokens a row would hold no text.
SHORTEST_ROW = SPECIAL_TOKENS_PER_SEGMENT + MIN_SEGMENT_TOKENS


@dataclass(frozen=True)
class Rows:
    """B rows of the model's input, before masking; all arrays have shape ``[B, L]``.

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


# A block and a range of tokens in it: the text of a row.
TokenRange = tuple[Block, int, int]


class RowPlan:
    """Where the rows of some corpora begin and end, for one length; row numbers run over all of them in order.

    Attributes:
        length: L, tokens in a row.
        corpus_rows: how many rows each corpus has.
    """

    def __init__(self, corpora: Sequence[PreparedCorpus], length: int) -> None:
        if length < SHORTEST_ROW:
            raise ValueError(f"rows of {length} tokens are too short to hold text")
        self.length = length
        self._blocks = [block for corpus in corpora for block in corpus.blocks]
        self._starts = [row_starts(block, length) for block in self._blocks]
        self._first_rows = [0, *itertools.accumulate(len(starts) - 1 for starts in self._starts)]
        last_blocks = itertools.accumulate((len(corpus.blocks) for corpus in corpora), initial=0)
        self.corpus_rows = [
            self._first_rows[last] - self._first_rows[first] for first, last in itertools.pairwise(last_blocks)
        ]

    def __len__(self) -> int:
        return self._first_rows[-1]

    def locate(self, row: int) -> TokenRange:
        """The block that holds a row, and the range of tokens in it."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is outside range({len(self)})")
        number = bisect_right(self._first_rows, row) - 1
        starts = self._starts[number]
        place = row - self._first_rows[number]
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
    while document < len(document_ends) and room >= SHORTEST_ROW:
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
    """Turns ranges of tokens into ``Rows``.

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

    def __call__(self, ranges: Sequence[TokenRange], single: NDArray[np.bool_]) -> Rows:
        """B rows at once, each as it would be alone.

        Args:
            ranges: what each row holds, as ``RowPlan.locate`` gives it.
            single: bool ``[B]``: where it is set, each sentence is a segment, isolated, and what the extra [CLS] and
                [SEP] leave no room for is left out this time. Elsewhere each document is a segment.
        """
        text = _gather(ranges, single)
        return self._dress(self._fitting(text), single)

    def _fitting(self, text: "_Text") -> "_Text":
        """The text without what does not fit its row: at most the end of single rows."""
        too_long = np.flatnonzero(text.lengths + SPECIAL_TOKENS_PER_SEGMENT * text.segments > self.length)
        if not len(too_long):
            return text
        kept = text.lengths.copy()
        for row in too_long.tolist():
            start = int(text.first[row])
            piece = slice(start, start + int(text.lengths[row]))
            kept[row] = self._fitting_tokens(text.begins_segment[piece], text.begins_word[piece])
        offsets = np.arange(len(text.input_ids)) - np.repeat(text.first, text.lengths)
        return text.keep(offsets < np.repeat(kept, text.lengths), kept)

    def _fitting_tokens(self, begins_segment: NDArray[np.bool_], begins_word: NDArray[np.bool_]) -> int:
        """How many tokens of a row that is too long to keep; the last segment ends between words or is left out."""
        segments = np.flatnonzero(begins_segment)
        ends = np.append(segments[1:], len(begins_segment))
        too_far = ends + SPECIAL_TOKENS_PER_SEGMENT * np.arange(1, len(ends) + 1) > self.length
        number = int(np.argmax(too_far))
        start = int(segments[number])
        stop = self.length - SPECIAL_TOKENS_PER_SEGMENT * (number + 1)
        if stop - start < MIN_SEGMENT_TOKENS:
            return start
        cut = _cut_between_words(start, stop, begins_word)
        return stop if cut == 0 else cut  # a word longer than a row is cut all the same

    def _dress(self, text: "_Text", single: NDArray[np.bool_]) -> Rows:
        size = (len(single), self.length)
        segments = np.flatnonzero(text.begins_segment)
        segments_before = np.cumsum(text.segments) - text.segments
        row_starts = self.length * np.arange(len(single))
        # Before a token of its row stand the [CLS] of its segment, and [CLS] and [SEP] of each segment before that.
        shift = row_starts - text.first - SPECIAL_TOKENS_PER_SEGMENT * segments_before - 1
        places = np.arange(len(text.input_ids)) + np.repeat(shift, text.lengths)
        places += SPECIAL_TOKENS_PER_SEGMENT * np.cumsum(text.begins_segment)
        cls = places[segments] - 1
        input_ids = np.full(size, self.pad_token_id, dtype=np.int64)
        input_ids.reshape(-1)[places] = text.input_ids
        input_ids.reshape(-1)[cls] = self.cls_token_id
        input_ids.reshape(-1)[places[np.append(segments[1:], len(places)) - 1] + 1] = self.sep_token_id
        segment_ids, position_ids = self._number(cls, segments_before, text, single)
        begins_word = text.begins_word | text.begins_segment  # a segment may begin inside a word longer than a row
        return Rows(
            input_ids,
            _scattered(size, np.int64, places, text.pinyin_ids),
            segment_ids,
            position_ids,
            _scattered(size, np.bool_, places, begins_word),
            _scattered(size, np.bool_, places, True),
        )

    def _number(
        self, cls: NDArray[np.int64], segments_before: NDArray[np.int64], text: "_Text", single: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Segment and position ids ``[B, L]``, from the places of all [CLS]."""
        size = (len(single), self.length)
        numbers = np.cumsum(_scattered(size, np.int64, cls, 1)).reshape(size)  # of segments, over all rows, from 1
        places = np.arange(numbers.size).reshape(size)
        position_ids = places - cls[numbers - 1]
        segment_ids = numbers - segments_before[:, None]
        used = text.lengths + SPECIAL_TOKENS_PER_SEGMENT * text.segments
        is_padding = np.arange(self.length) >= used[:, None]
        segment_ids[is_padding] = 0
        position_ids[is_padding] = 0
        if not self.isolate_documents:
            segment_ids[~single] = ~is_padding[~single]
            position_ids[~single] = np.arange(self.length)
        return segment_ids, position_ids


@dataclass(frozen=True)
class _Text:
    """The text of B rows, one after another: T tokens.

    Attributes:
        input_ids, pinyin_ids: uint16 ``[T]``.
        begins_word, begins_segment: bool ``[T]``.
        lengths: int64 ``[B]``, tokens of each row.
        first: int64 ``[B]``, the first token of each row.
        segments: int64 ``[B]``, how many each row has.
    """

    input_ids: NDArray[np.uint16]
    pinyin_ids: NDArray[np.uint16]
    begins_word: NDArray[np.bool_]
    begins_segment: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    first: NDArray[np.int64]
    segments: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        input_ids: NDArray[np.uint16],
        pinyin_ids: NDArray[np.uint16],
        begins_word: NDArray[np.bool_],
        begins_segment: NDArray[np.bool_],
        lengths: NDArray[np.int64],
    ) -> "_Text":
        """Counts what follows from the rest; every row has text."""
        first = np.cumsum(lengths) - lengths
        segments = np.add.reduceat(begins_segment, first, dtype=np.int64)
        return cls(input_ids, pinyin_ids, begins_word, begins_segment, lengths, first, segments)

    def keep(self, kept: NDArray[np.bool_], lengths: NDArray[np.int64]) -> "_Text":
        """Some of the tokens, so many of each row."""
        return _Text.of(
            self.input_ids[kept], self.pinyin_ids[kept], self.begins_word[kept], self.begins_segment[kept], lengths
        )


def _gather(ranges: Sequence[TokenRange], single: NDArray[np.bool_]) -> _Text:
    """The tokens of some ranges, cut into sentences where ``single`` is set and into documents elsewhere."""
    lengths = np.array([end - start for _, start, end in ranges])
    annotations = np.concatenate([block.pinyin_and_starts[start:end] for block, start, end in ranges])
    begins_segment = unpack_sentence_starts(annotations) & np.repeat(single, lengths)
    at = 0
    for block, start, end in ranges:
        begins_segment[at] = True
        # numpy would copy all starts to compare them with a Python integer.
        first = bisect_left(block.document_starts, start + 1)
        last = bisect_left(block.document_starts, end, lo=first)
        if first < last:
            begins_segment[block.document_starts[first:last] + (at - start)] = True
        at += end - start
    return _Text.of(
        np.concatenate([block.input_ids[start:end] for block, start, end in ranges]),
        unpack_pinyin_ids(annotations),
        unpack_word_starts(annotations),
        begins_segment,
        lengths,
    )


def _scattered(size: tuple[int, int], dtype: type, places: NDArray[np.int64], values: ArrayLike) -> NDArray:
    """An array of zeros with values at some places of it, counted row after row."""
    array: NDArray = np.zeros(size, dtype=dtype)
    array.reshape(-1)[places] = values
    return array
