"""Counting many different things in bounded memory: the most frequent ones, and how many different ones there are."""

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


class FrequentKeys:
    """How often 64-bit keys occur. Beyond ``most`` different ones, the rarest are forgotten from time to time.

    So what is frequent is kept, its count too low by at most ``lost`` (lossy counting, Manku & Motwani 2002).

    Args:
        most: different keys that are remembered, at 24 bytes each (half as much again while they are merged).

    Attributes:
        lost: how much too low a count can be.
    """

    def __init__(self, most: int = 1 << 20) -> None:
        self._most = most
        self._keys = np.zeros(0, dtype=np.uint64)
        self._counts = np.zeros(0, dtype=np.int64)
        self._places = np.zeros(0, dtype=np.int64)
        self._pending: list[tuple[Keys, NDArray[np.int64], NDArray[np.int64]]] = []
        self._pending_size = 0
        self.lost = 0

    def add(self, keys: Keys, places: NDArray[np.int64] | None = None) -> None:
        """Counts some keys; with ``places``, the place where a key was first met is remembered."""
        if places is None:
            different, counts = np.unique(keys, return_counts=True)
            firsts = np.zeros(len(different), dtype=np.int64)
        else:
            different, indices, counts = np.unique(keys, return_index=True, return_counts=True)
            firsts = places[indices]
        self._pending.append((different, counts, firsts))
        self._pending_size += len(different)
        if self._pending_size > self._most // 2:
            self._merge()

    def _merge(self) -> None:
        parts = [(self._keys, self._counts, self._places), *self._pending]
        keys, counts, places = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self._pending, self._pending_size = [], 0
        order = np.argsort(keys, kind="stable")  # stable: of equal keys the one met first stays first
        keys = keys[order]
        firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else order
        self._keys, self._places = keys[firsts], places[order][firsts]
        self._counts = np.add.reduceat(counts[order], firsts) if len(keys) else counts
        if len(self._keys) > self._most:
            self._forget()

    def _forget(self) -> None:
        """Keeps the more frequent half of what may be remembered."""
        limit = int(np.partition(self._counts, -(self._most // 2))[-(self._most // 2)])
        kept = self._counts > limit
        self.lost += limit
        self._keys, self._counts, self._places = self._keys[kept], self._counts[kept], self._places[kept]

    def counted(self) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
        """Keys in ascending order, their counts, and the places where they were first met."""
        self._merge()
        return self._keys, self._counts, self._places

    def most_frequent(self, number: int) -> list[tuple[int, int, int]]:
        """Key, count and first place of the most frequent keys; those of equal counts in the order of the keys."""
        keys, counts, places = self.counted()
        best = np.argsort(-counts, kind="stable")[:number]
        return list(zip(keys[best].tolist(), counts[best].tolist(), places[best].tolist(), strict=True))


class DifferentKeys:
    """How many different keys there are among well-mixed 64-bit keys.

    Up to ``most`` are remembered, and the number is exact. Beyond, only keys that begin with a zero bit are kept, then
    with two, and so on: a sample of the different keys, in which one that occurs a million times weighs no more than
    any other (adaptive sampling, Flajolet 1990). With a million keys in the sample, the number is right to 0.1 %.

    Args:
        most: keys that are remembered, at 8 bytes each.
    """

    def __init__(self, most: int = 1 << 20) -> None:
        self._most = most
        self._keys = np.zeros(0, dtype=np.uint64)
        self._pending: list[Keys] = []
        self._pending_size = 0
        self._zero_bits = 0
        self.total = 0

    def add(self, keys: Keys) -> None:
        """Counts some keys."""
        self.total += len(keys)
        different = np.unique(self._sampled(keys))
        self._pending.append(different)
        self._pending_size += len(different)
        if self._pending_size > self._most // 2:
            self._merge()

    def _sampled(self, keys: Keys) -> Keys:
        return keys[keys >> np.uint64(64 - self._zero_bits) == 0] if self._zero_bits else keys

    def _merge(self) -> None:
        self._keys = np.unique(self._sampled(np.concatenate([self._keys, *self._pending])))
        self._pending, self._pending_size = [], 0
        while len(self._keys) > self._most:
            self._zero_bits += 1
            self._keys = self._sampled(self._keys)

    @property
    def different(self) -> int:
        """How many different keys were counted, estimated where ``is_exact`` is false."""
        self._merge()
        return min(len(self._keys) << self._zero_bits, self.total)

    @property
    def is_exact(self) -> bool:
        """Whether all of them could be remembered."""
        self._merge()
        return self._zero_bits == 0
