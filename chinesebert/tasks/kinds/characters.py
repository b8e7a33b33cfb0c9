"""One token a character, for kinds that label characters; long texts in windows.

Names and words may begin and end anywhere, so each character is a token of its own, letters and digits too, as in all
published baselines of Chinese named entities. Token ``i`` of a text is its character ``i``, whatever the character is:
what the vocabulary does not have (white space among it) is [UNK], so nothing can drift.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.errors import InputError
from chinesebert.tasks.kinds.base import Encoded, Lengths


def encode_characters(text: str, tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """One token a character, without special tokens.

    Latin words and numbers, which WordPiece joins, are split too. Characters that the tokenizer reads over (spaces,
    control characters) get no token; of those that it takes apart (Hangul) the first part stands for all.

    Args:
        text: any text.
        tokenizer: a ``ChineseBertTokenizer``.

    Returns:
        ``input_ids`` and ``pinyin_ids`` (readings in the context of the whole text), and which character each token is:
        three lists of one length.
    """
    if not text:
        return [], [], []
    batch = tokenizer(list(text), is_split_into_words=True, add_special_tokens=False, verbose=False)
    input_ids, pinyin_ids, positions = [], [], []
    before = None
    for token, pinyin, position in zip(batch["input_ids"], batch["pinyin_ids"], batch.word_ids(), strict=True):
        if position != before:
            input_ids.append(token)
            pinyin_ids.append(pinyin)
            positions.append(position)
        before = position
    return input_ids, pinyin_ids, positions


@dataclass(frozen=True)
class Window:
    """Characters ``[start, end)`` of a text, read in one input.

    Attributes:
        first, last: those of them, ``[first, last)``, that are labelled in this window: each character counts in the
            one window in which it has most context.
    """

    start: int
    end: int
    first: int
    last: int


def windows(length: int, size: int, shared: int) -> list[Window]:
    """Cuts a text of ``length`` characters into windows of at most ``size``; one for a text that fits.

    Args:
        length: of the text; 0 makes one empty window.
        size: characters of a window, 1 at least.
        shared: characters that neighbours share; at most half of a window, more is taken as half.
    """
    if length <= size:
        return [Window(0, length, 0, length)]
    step = size - min(shared, size // 2)
    starts = [*range(0, length - size, step), length - size]
    return owned([(start, start + size) for start in starts])


def owned(bounds: Sequence[tuple[int, int]]) -> list[Window]:
    """Windows from their bounds, in order: what two share is halved, which gives each character most context."""
    cuts = [(later[0] + earlier[1] + 1) // 2 for earlier, later in pairwise(bounds)]
    firsts, lasts = [bounds[0][0], *cuts], [*cuts, bounds[-1][1]]
    return [Window(*bound, first, last) for bound, first, last in zip(bounds, firsts, lasts, strict=True)]


class CharacterEncoder:
    """Makes inputs of texts, a token a character.

    Args:
        tokenizer: a ``ChineseBertTokenizer``; its vocabulary, its normalisation (lower case, accents) and its readings
            are used.
        lengths: how long inputs are, and how much neighbouring windows share.

    Raises:
        InputError: no character fits into an input.
    """

    def __init__(self, tokenizer: Any, lengths: Lengths) -> None:
        if lengths.max_seq_length < 3:
            raise InputError(
                f"max_seq_length is {lengths.max_seq_length}: it must be at least 3, [CLS] and [SEP] count"
            )
        self.size = lengths.max_seq_length - 2
        self.shared = lengths.doc_stride
        self._readings = tokenizer.readings
        self._ends = tokenizer.cls_token_id, tokenizer.sep_token_id
        self._unknown = tokenizer.unk_token_id
        self._vocabulary = tokenizer.get_vocab()
        self._normaliser = tokenizer.backend_tokenizer.normalizer
        self._known: dict[str, int] = {}

    def inputs(self, text: str) -> Iterator[tuple[Window, dict[str, Any]]]:
        """Each window with its ``input_ids`` and ``pinyin_ids``, ``[CLS]`` and ``[SEP]`` around the characters.

        Readings are those in the context of the whole text, also at the ends of windows.
        """
        ids = [self._id(character) for character in text]
        pinyin = self._readings.syllable_ids(text)
        first, last = self._ends
        for window in windows(len(text), self.size, self.shared):
            inside = slice(window.start, window.end)
            yield window, {"input_ids": [first, *ids[inside], last], "pinyin_ids": [0, *pinyin[inside], 0]}

    def _id(self, character: str) -> int:
        if character not in self._known:
            normal = self._normaliser.normalize_str(character).strip() if self._normaliser else character
            self._known[character] = self._vocabulary.get(normal, self._unknown) if normal else self._unknown
        return self._known[character]


def offsets_of(window: Window) -> list[tuple[int, int]]:
    """What each token of a window covers, as ``Encoded.offsets`` has it."""
    return [(0, 0), *((place, place + 1) for place in range(window.start, window.end)), (0, 0)]


def character_scores(encoded: Encoded, scores: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """For each example the scores ``[characters, outputs]`` of its characters, each from its window of most context.

    Args:
        encoded: inputs that a ``CharacterEncoder`` made; every example has one at least.
        scores: ``[inputs, longest, outputs]``.
    """
    inputs_of: dict[int, list[int]] = defaultdict(list)
    for number, owner in enumerate(encoded.owners):
        inputs_of[owner].append(number)
    for owner in sorted(inputs_of):
        numbers = inputs_of[owner]
        bounds = [_bounds(encoded.offsets[number]) for number in numbers]
        yield np.concatenate(
            [
                scores[number, window.first - window.start + 1 : window.last - window.start + 1]
                for number, window in zip(numbers, owned(bounds), strict=True)
            ]
        )


def _bounds(offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return (offsets[1][0], offsets[-2][1]) if len(offsets) > 2 else (0, 0)
