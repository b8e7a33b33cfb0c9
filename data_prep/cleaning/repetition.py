"""Drops texts that repeat themselves: Gopher's rules, for Chinese counted in Han characters.

Gopher counts words: no more than so much of a text may be in its most frequent n-gram, or in n-grams that have stood
before. A word of running Chinese text is 1.8 Han characters long, so n words become about 1.8 n characters. Whatever is
not Han is left out, since a Latin word would count as an n-gram of letters.
"""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from data_prep.cleaning.character_classes import han_code_points
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Count, Share, SharesByLength

# Any odd 64-bit number: hashes are sums of code points times its powers, modulo 2^64.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

TOP_NGRAMS = {3: 0.3, 6: 0.4}
DUPLICATE_NGRAMS = {8: 0.65, 13: 0.48}


class Repetition(CleaningStep):
    """Drops a text in which lines or stretches of characters come again too often.

    Args:
        max_duplicate_line_share: of the lines, that have stood before.
        max_duplicate_line_characters: of all characters, in lines that have stood before.
        min_han: with fewer Han characters, n-grams are not counted: old songs repeat themselves.
        max_top_ngram: n -> of the Han characters, in the n-gram that comes most often.
        max_duplicate_ngrams: n -> of the Han characters, in n-grams that have stood before.
        min_distinct_share: of the Han characters of a text with fewer than ``min_han``, that are different.
    """

    name = "repetition"

    def __init__(
        self,
        *,
        max_duplicate_line_share: Share = 0.4,
        max_duplicate_line_characters: Share = 0.2,
        min_han: Count = 50,
        max_top_ngram: SharesByLength = TOP_NGRAMS,
        max_duplicate_ngrams: SharesByLength = DUPLICATE_NGRAMS,
        min_distinct_share: Share = 0.2,
    ) -> None:
        super().__init__()
        self.max_duplicate_line_share = max_duplicate_line_share
        self.max_duplicate_line_characters = max_duplicate_line_characters
        self.min_han = min_han
        self.max_top_ngram = max_top_ngram
        self.max_duplicate_ngrams = max_duplicate_ngrams
        self.min_distinct_share = min_distinct_share

    def clean(self, text: str) -> str | Dropped:
        """``text``, or what it repeats."""
        return self._repeated_lines(text) or self._repeated_characters(text) or text

    def _repeated_lines(self, text: str) -> Dropped | None:
        lines = text.split("\n")
        counts = Counter(lines)
        again = len(lines) - len(counts)
        if again > self.max_duplicate_line_share * len(lines):
            return Dropped("duplicate lines", f"{again} of {len(lines)}")
        if not again:
            return None
        characters = sum(len(line) * (count - 1) for line, count in counts.items())
        if characters > self.max_duplicate_line_characters * len(text):
            return Dropped("characters in duplicate lines", f"{characters / len(text):.0%}")
        return None

    def _repeated_characters(self, text: str) -> Dropped | None:
        points = han_code_points(text)
        if len(points) < self.min_han:
            distinct = len(set(points.tolist()))
            few = distinct < self.min_distinct_share * len(points)
            return Dropped("few different characters", f"{distinct} in {len(points)}") if few else None
        for length, hashes in _ngram_hashes(points, {*self.max_top_ngram, *self.max_duplicate_ngrams}):
            if found := self._repeated_ngrams(hashes, length, len(points)):
                return found
        return None

    def _repeated_ngrams(self, hashes: np.ndarray, length: int, characters: int) -> Dropped | None:
        most_top = self.max_top_ngram.get(length, math.inf)
        most_duplicate = self.max_duplicate_ngrams.get(length, math.inf)
        ordered = np.sort(hashes)
        same = ordered[1:] == ordered[:-1]
        # So few n-grams come again in nearly every text that there is nothing left to count.
        if (np.count_nonzero(same) + 1) * length <= min(most_top, most_duplicate) * characters:
            return None
        if (top := _top_count(same) * length / characters) > most_top:
            return Dropped(f"top {length}-gram", f"{top:.0%} of the characters")
        if (share := _covered(hashes, length) / characters) > most_duplicate:
            return Dropped(f"duplicate {length}-grams", f"{share:.0%} of the characters")
        return None


def _ngram_hashes(points: np.ndarray, lengths: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    """For each of the ``lengths``, from the shortest: a uint64 hash of every n-gram, ``[len(points) - length + 1]``."""
    codes = points.astype(np.uint64)
    hashes = codes
    for length in range(1, min(max(lengths, default=0), len(points)) + 1):
        if length > 1:
            hashes = hashes[:-1] * _MULTIPLIER + codes[length - 1 :]
        if length in lengths:
            yield length, hashes


def _top_count(same: np.ndarray) -> int:
    """How often the most frequent entry of a sorted array is in it, if ``same`` says which entries equal the next."""
    different = np.flatnonzero(np.concatenate(([True], ~same, [True])))
    return int(np.diff(different).max())


def _covered(hashes: np.ndarray, length: int) -> int:
    """How many characters are in n-grams that have stood before."""
    again = np.ones(len(hashes), dtype=np.int8)
    again[np.unique(hashes, return_index=True)[1]] = 0
    begins_and_ends = np.zeros(len(hashes) + length, dtype=np.int32)
    begins_and_ends[: len(hashes)] = again
    begins_and_ends[length:] -= again
    return int(np.count_nonzero(np.cumsum(begins_and_ends)))
