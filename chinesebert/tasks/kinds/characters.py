"""One token a character, for kinds that label characters; long texts in windows.

Names and words may begin and end anywhere, so each character is a token of its own, letters and digits too, as in all
published baselines of Chinese named entities. What the vocabulary does not have is [UNK].

White space and control characters have no token, although those baselines make them [UNK]: the tokenizer reads over
them, a corpus does not store them, so a model has never seen a token in their place, and with one every character
behind it would stand elsewhere than in pretraining. Which character each token is, is kept beside it
(``Tokens.positions``, ``Encoded.offsets``), so that spans are cut out of the text as published.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chinesebert.errors import InputError
from chinesebert.tasks.kinds.base import Encoded, Lengths


class Tokens(NamedTuple):
    """A text, a token a character: three lists of one length; ``positions`` are those of the characters, ascending."""

    input_ids: list[int]
    pinyin_ids: list[int]
    positions: list[int]


@dataclass(frozen=True)
class Window:
    """Tokens ``[start, end)`` of a text, read in one input.

    Attributes:
        first, last: those of them, ``[first, last)``, that count in this window: each in the one in which it has most
            context.
    """

    start: int
    end: int
    first: int
    last: int


def windows(length: int, size: int, shared: int) -> list[Window]:
    """Cuts a text of ``length`` tokens into windows of at most ``size``; one for a text that fits.

    What two windows share is halved, which gives each token most context.

    Args:
        length: of the text; 0 makes one empty window.
        size: tokens of a window, 1 at least.
        shared: tokens that neighbours share; at most half of a window, more is taken as half.
    """
    if length <= size:
        return [Window(0, length, 0, length)]
    step = size - min(shared, size // 2)
    starts = [*range(0, length - size, step), length - size]
    cuts = [(later + earlier + size + 1) // 2 for earlier, later in pairwise(starts)]
    bounds = zip(starts, [0, *cuts], [*cuts, length], strict=True)
    return [Window(start, start + size, first, last) for start, first, last in bounds]


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
        self._tokenizer = tokenizer
        self._known: dict[str, int | None] = {}

    def tokens(self, text: str) -> Tokens:
        """The tokens of a text, without special ones; readings are those in the context of the whole text.

        Of characters that the tokenizer takes apart (Hangul) the first part stands for all.
        """
        new = [character for character in dict.fromkeys(text) if character not in self._known]
        if new:
            batch = self._tokenizer(new, add_special_tokens=False, verbose=False)
            for character, ids in zip(new, batch["input_ids"], strict=True):
                self._known[character] = ids[0] if ids else None
        pinyin = self._tokenizer.readings.syllable_ids(text)
        found = [(self._known[character], position) for position, character in enumerate(text)]
        read = [(token, pinyin[position], position) for token, position in found if token is not None]
        return Tokens(*([each[part] for each in read] for part in range(3)))

    def inputs(self, tokens: Tokens) -> Iterator[tuple[Window, dict[str, Any], list[tuple[int, int]]]]:
        """Each window with its ``input_ids`` and ``pinyin_ids``, ``[CLS]`` and ``[SEP]`` around, and its offsets.

        Offsets, as ``Encoded`` has them, are those of the characters that count in the window.
        """
        first, last = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        for window in windows(len(tokens.positions), self.size, self.shared):
            inside = slice(window.start, window.end)
            item = {
                "input_ids": [first, *tokens.input_ids[inside], last],
                "pinyin_ids": [0, *tokens.pinyin_ids[inside], 0],
            }
            offsets = [
                (place, place + 1) if window.first <= number < window.last else (0, 0)
                for number, place in enumerate(tokens.positions[inside], start=window.start)
            ]
            yield window, item, [(0, 0), *offsets, (0, 0)]


def character_scores(encoded: Encoded, scores: NDArray[Any]) -> Iterator[tuple[list[int], NDArray[Any]]]:
    """For each example which characters have tokens, and their scores ``[tokens, outputs]``.

    Args:
        encoded: inputs that a ``CharacterEncoder`` made; every example has one at least.
        scores: ``[inputs, longest, outputs]``.
    """
    inputs_of: dict[int, list[int]] = defaultdict(list)
    for number, owner in enumerate(encoded.owners):
        inputs_of[owner].append(number)
    for owner in sorted(inputs_of):
        positions: list[int] = []
        rows = []
        for number in inputs_of[owner]:
            offsets = np.array(encoded.offsets[number])
            counted = np.flatnonzero(offsets[:, 1])
            positions += offsets[counted, 0].tolist()
            rows.append(scores[number, counted])
        yield positions, np.concatenate(rows)
