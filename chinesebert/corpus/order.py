"""The order in which training sees samples: a function of the seed, computed for any position at once.

Sample *n* of a run belongs to epoch ``n // size``; within its epoch a keyed permutation says which row of the corpus it
is. Nothing is shuffled in memory and nothing depends on ranks, workers or batch sizes, so the position of a run is one
integer, ``consumed_samples``, and seeking to it costs nothing.

Where corpora are mixed by weight, sample *n* is the *k*-th draw from one of them, both computed from *n*, and each
corpus has epochs and permutations of its own.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

_MASK_64 = (1 << 64) - 1
# Four rounds make a Feistel network a good permutation if its round function is (Luby & Rackoff 1988); two more for the
# small domains that short corpora give.
_ROUNDS = 6


def mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a 64-bit integer in, a well-mixed one out."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return value ^ (value >> 31)


class KeyedPermutation:
    """A permutation of ``range(size)`` that computes any of its values directly (Feistel network, cycle walking)."""

    def __init__(self, size: int, *key: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self._size = size
        self._half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
        self._half_mask = (1 << self._half_bits) - 1
        seed = 0
        for part in key:
            seed = mix(seed ^ (part & _MASK_64))
        self._round_keys = [mix(seed + number) for number in range(_ROUNDS)]

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self._size:
            raise IndexError(f"{index} is outside range({self._size})")
        # The network permutes the next even power of two, at most four times as many: walk until back inside.
        index = self._network(index)
        while index >= self._size:
            index = self._network(index)
        return index

    def _network(self, value: int) -> int:
        left, right = value >> self._half_bits, value & self._half_mask
        for key in self._round_keys:
            left, right = right, left ^ (mix(right ^ key) & self._half_mask)
        return left << self._half_bits | right


class SampleOrder:
    """Maps sample numbers of a run, from 0 without end, to rows of the data.

    Args:
        size: rows in one epoch.
        key: the seed of the run; in a mixture, followed by the number of the corpus.
    """

    def __init__(self, size: int, *key: int) -> None:
        self.size = size
        self._key = key
        self._epoch = -1
        self._permutation: KeyedPermutation | None = None

    def row(self, sample: int) -> int:
        """The row that sample number ``sample`` reads."""
        epoch, index = divmod(sample, self.size)
        if self._permutation is None or epoch != self._epoch:
            self._epoch, self._permutation = epoch, KeyedPermutation(self.size, *self._key, epoch)
        return self._permutation[index]


class MixtureOrder:
    """Maps sample numbers of a run, from 0 without end, to rows of several corpora that are mixed by weight.

    The corpora take turns. Of the first *n* samples, all corpora but the last together get their share of *n*, rounded,
    and the last gets the rest; of theirs, all but the last but one get their share, rounded; and so on. Each count
    stays by its exact share for ever, at most half as many samples off as there are other corpora, and never falls as
    *n* grows. Sample *n* is of the corpus whose count is higher at *n* + 1; its count at *n* is the number of the draw.
    So no list of turns is made or kept, and a weight may be as small as one likes.

    Within a corpus, its draws go through all its rows in a keyed order before any row comes again.

    Args:
        sizes: rows of each corpus; row numbers run over all of them in order.
        weights: of each corpus, in any unit: the share of the samples that are rows of it is its weight / their sum.
        seed: of the run.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        if len(sizes) != len(weights) or min(sizes, default=0) < 1:
            raise ValueError("a mixture needs corpora that have rows, and a weight for each of them")
        self.sizes = list(sizes)
        self.ratio = whole_ratio(weights)
        self._orders = [SampleOrder(size, seed, number) for number, size in enumerate(sizes)]
        self._first_rows = list(itertools.accumulate(sizes, initial=0))
        self._ratio_before = list(itertools.accumulate(self.ratio, initial=0))

    def row(self, sample: int) -> int:
        """The row that sample number ``sample`` reads."""
        corpus, draw = self.draw(sample)
        return self._first_rows[corpus] + self._orders[corpus].row(draw)

    def draw(self, sample: int) -> tuple[int, int]:
        """The corpus that sample number ``sample`` is taken from, and how many samples before it were."""
        for corpus in range(len(self.sizes) - 1, 0, -1):
            earlier = self._from_earlier_corpora(corpus, sample)
            if self._from_earlier_corpora(corpus, sample + 1) == earlier:
                return corpus, sample - earlier
            sample = earlier
        return 0, sample

    def draws(self, samples: int) -> list[int]:
        """How many of the first ``samples`` samples are taken from each corpus."""
        counts = []
        for corpus in range(len(self.sizes) - 1, 0, -1):
            earlier = self._from_earlier_corpora(corpus, samples)
            counts.append(samples - earlier)
            samples = earlier
        return [samples, *reversed(counts)]

    def epochs(self, samples: int) -> list[float]:
        """How often the first ``samples`` samples pass over each corpus."""
        return [draws / size for draws, size in zip(self.draws(samples), self.sizes, strict=True)]

    def _from_earlier_corpora(self, corpus: int, samples: int) -> int:
        """How many of the first ``samples`` samples of the corpora up to ``corpus`` come from the ones before it."""
        part, whole = self._ratio_before[corpus], self._ratio_before[corpus + 1]
        return (2 * samples * part + whole) // (2 * whole)  # the nearest integer, exactly, however long the run is


def whole_ratio(weights: Sequence[float]) -> list[int]:
    """Weights as the smallest integers of the same ratio; 0.1 is taken for one tenth, as it was written.

    Raises:
        ValueError: a weight is not a number above 0.
    """
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError(f"weights must be numbers above 0, not {', '.join(map(str, weights))}")
    exact = [Fraction(str(weight)) for weight in weights]
    common = math.lcm(*(weight.denominator for weight in exact))
    integers = [int(weight * common) for weight in exact]
    return [number // math.gcd(*integers) for number in integers]
