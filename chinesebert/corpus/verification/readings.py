"""Which syllables a token may carry, by the reading dictionary of its tokenizer."""

import itertools

import numpy as np
from numpy.typing import NDArray

from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import CONTINUATION, UNK

# Han characters end with U+323AF; nothing above is ever normalised to one.
_CODE_POINTS = [*range(0xD800), *range(0xE000, 0x323B0)]


class KnownReadings:
    """The pairs of token and syllable that can stand together in a corpus.

    A token that writes one character carries a reading of the character it was made from, in whatever context, or 0 if
    that has none. What it was made from may be another character: normalisation turns compatibility forms into ordinary
    ones, and pypinyin has readings for few of the former. An unknown token carries any reading, all others none.
    """

    def __init__(self, tokenizer: ChineseBertTokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        self._unknown_id = vocabulary[UNK]
        self._most_common = tokenizer.default_pinyin_ids().astype(np.uint16)
        self._numbers = len(tokenizer.readings.syllables) + 1
        known = _readings_of_characters(tokenizer.readings)
        pairs = {
            vocabulary[token] * self._numbers + syllable
            for character, written in _written_as(tokenizer)
            for token in (written, CONTINUATION + written)
            if token in vocabulary
            for syllable in known.get(character, _NO_READING)
        }
        written_tokens = {pair // self._numbers for pair in pairs}
        pairs.update(number * self._numbers for number in vocabulary.values() if number not in written_tokens)
        self._pairs = np.array(sorted(pairs), dtype=np.int64)

    def unknown_pairs(self, input_ids: NDArray[np.intp], pinyin_ids: NDArray[np.uint16]) -> NDArray[np.intp]:
        """Where a token carries a syllable that it cannot: positions, ascending. All ids must be in range."""
        # Nearly all tokens carry the most common reading of their character; only the others are looked up.
        rare = np.flatnonzero(pinyin_ids != self._most_common[input_ids])
        rare = rare[input_ids[rare] != self._unknown_id]
        pairs = input_ids[rare] * self._numbers + pinyin_ids[rare]
        places = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        return rare[self._pairs[places] != pairs]


_NO_READING = frozenset({0})


def _readings_of_characters(readings: Readings) -> dict[str, set[int]]:
    """Every character of the dictionary with the syllable ids that it can have, 0 for none."""
    ids = {"": 0} | {syllable: number for number, syllable in enumerate(readings.syllables, start=1)}
    known: dict[str, set[int]] = {}
    phrases = itertools.chain.from_iterable(
        zip(phrase, syllables, strict=True) for phrase, syllables in readings.phrases.items()
    )
    for character, syllable in itertools.chain(readings.characters.items(), phrases):
        known.setdefault(character, set()).add(ids[syllable])
    for character in known.keys() - readings.characters.keys():
        known[character].add(0)  # outside its phrases it has no reading
    return known


def _written_as(tokenizer: ChineseBertTokenizer) -> list[tuple[str, str]]:
    """Every character of Unicode with each character that the tokenizer's normalisation makes of it."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    normalize = normalizer.normalize_str if normalizer is not None else str
    return [
        (character, written)
        for character in map(chr, _CODE_POINTS)
        for written in normalize(character)
        if not written.isspace()
    ]
