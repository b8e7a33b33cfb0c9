"""The random numbers of samples: functions of seed, sample, purpose and place alone, computed for many rows at once.

Each purpose of each sample has a SplitMix64 generator of its own (Steele, Lea & Flood 2014), and place *p* of the row
takes its number *p*. So a sample is the same in whatever batch, worker or rank it is made, and no generator has to be
set up for it: numpy's Philox takes 8 microseconds for that, as long as all the rest of a row of 128 tokens.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1, _FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_MASK_64 = (1 << 64) - 1


class Purpose(IntEnum):
    """What a random number is for. The values are part of every run: a new purpose takes a new one."""

    SINGLE_SENTENCES = 0
    BY_WORDS = 1
    RUN_LENGTH = 2
    ORDER = 3
    LAST_UNIT = 4
    FATE = 5
    REPLACEMENT = 6


class SampleDraws:
    """The random numbers of some samples.

    Args:
        seed: of the run.
        samples: the numbers of B samples, below 2^64.
    """

    def __init__(self, seed: int, samples: Sequence[int]) -> None:
        key = mix(np.array([seed & _MASK_64], dtype=np.uint64))
        keys = mix(key ^ np.array(samples, dtype=np.uint64))
        self._generators = mix(keys ^ np.array(Purpose, dtype=np.uint64)[:, None])  # [purposes, B]

    def bits(self, purpose: Purpose, rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Random 64-bit numbers ``[N]``, one for each pair of a row in ``range(B)`` and a place in that row."""
        return mix(self._generators[purpose][rows] + places.astype(np.uint64) * _GOLDEN_GAMMA)

    def uniform(self, purpose: Purpose, rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same as float64 in [0, 1)."""
        return _fractions(self.bits(purpose, rows, places))

    def below(
        self, end: int, purpose: Purpose, rows: NDArray[np.int64], places: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The same as int64 in ``range(end)``, for an end up to 2^32; none is likelier by more than ``end`` / 2^32."""
        high_bits = self.bits(purpose, rows, places) >> np.uint64(32)
        return (high_bits * np.uint64(end) >> np.uint64(32)).astype(np.int64)

    def uniform_per_sample(self, purpose: Purpose) -> NDArray[np.float64]:
        """One number in [0, 1) for each sample: float64 ``[B]``."""
        return _fractions(mix(self._generators[purpose]))


def _fractions(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (bits >> np.uint64(11)) * 2.0**-53


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 over an array: every bit of a result hangs on every bit of its value."""
    values = values + _GOLDEN_GAMMA
    values ^= values >> _SHIFT_1
    values *= _FACTOR_1
    values ^= values >> _SHIFT_2
    values *= _FACTOR_2
    values ^= values >> _SHIFT_3
    return values
