"""Distributions of lengths, counted exactly in bounded memory."""

import numpy as np
from numpy.typing import NDArray

# Lengths above this are counted as this; a document is about 100,000 characters at most.
_LONGEST_COUNTED = 1 << 20


class Lengths:
    """How often each length occurs."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, dtype=np.int64)
        self.total = 0
        self.longest = 0

    def add(self, lengths: NDArray[np.integer]) -> None:
        """Counts some lengths."""
        if not len(lengths):
            return
        self.total += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max()))
        counts = np.bincount(np.minimum(lengths, _LONGEST_COUNTED))
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    @property
    def number(self) -> int:
        """How many lengths were counted."""
        return int(self._counts.sum())

    @property
    def mean(self) -> float:
        """Their mean; 0 without any."""
        return self.total / max(self.number, 1)

    def percentile(self, share: float) -> int:
        """The smallest length that at least ``share`` per cent of all do not exceed."""
        return int(np.searchsorted(np.cumsum(self._counts), share / 100 * self.number))

    def histogram(self) -> NDArray[np.int64]:
        """How often each length from 0 on occurs."""
        return self._counts[: min(self.longest, _LONGEST_COUNTED) + 1]
