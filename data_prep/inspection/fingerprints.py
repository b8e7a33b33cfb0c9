"""Fingerprints of documents and sentences: 64-bit numbers that are equal for equal rows of tokens."""

import numpy as np
from numpy.typing import NDArray

from data_prep.inspection.counters import Keys

# Beyond this many tokens the random numbers for the places are used again.
_PLACES = 1 << 16
_SEED = 20210630  # any: it is the same in every run, so that results are


class Fingerprints:
    """Multilinear hashing (Carter & Wegman 1979): a random number for each token times one for its place, added up."""

    def __init__(self) -> None:
        rng = np.random.default_rng(_SEED)
        self._of_tokens = rng.integers(1, 1 << 63, 1 << 16, dtype=np.uint64)
        self._of_places = rng.integers(1, 1 << 63, _PLACES, dtype=np.uint64) | np.uint64(1)

    def of(self, input_ids: NDArray[np.intp], starts: NDArray[np.intp]) -> Keys:
        """The fingerprint of each run of tokens: from one of the ``starts`` (the first is 0) to the next."""
        lengths = np.diff(starts, append=len(input_ids))
        places = np.arange(len(input_ids)) - np.repeat(starts, lengths)
        places &= _PLACES - 1
        return _mixed(np.add.reduceat(self._of_tokens[input_ids] * self._of_places[places], starts))


def _mixed(keys: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014), as ``chinesebert.corpus.order.mix`` for one number."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
