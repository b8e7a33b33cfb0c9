"""The order in which training sees samples: a function of the seed, computed for any position at once.

Sample *n* of a run belongs to epoch ``n // size``; within its epoch a keyed permutation says which row of the corpus it
is. Nothing is shuffled in memory and nothing depends on ranks, workers or batch sizes, so the position of a run is one
integer, ``consumed_samples``, and seeking to it costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
        seed: of the run.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._epoch = -1
        self._permutation: KeyedPermutation | None = None

    def row(self, sample: int) -> int:
        """The row that sample number ``sample`` reads."""
        epoch, index = divmod(sample, self.size)
        if self._permutation is None or epoch != self._epoch:
            self._epoch, self._permutation = epoch, KeyedPermutation(self.size, self._seed, epoch)
        return self._permutation[index]


@dataclass(frozen=True)
class RankBatches:
    """The micro-batches of one rank, as lists of sample numbers: iterate to get them, without end.

    Every step takes the next ``global_batch_size`` samples of the run; within it the micro-batches of all ranks follow
    one another, so which samples a step sees does not depend on how they are split.

    Attributes:
        consumed_samples: where to begin; a multiple of ``global_batch_size``.
    """

    rank: int
    world_size: int
    micro_batch_size: int
    global_batch_size: int
    consumed_samples: int = 0

    def __post_init__(self) -> None:
        if self.global_batch_size % (self.micro_batch_size * self.world_size):
            raise ValueError("the global batch must be a multiple of micro-batch x ranks")
        if self.consumed_samples % self.global_batch_size:
            raise ValueError("a run stands between two global batches: consumed_samples must be a multiple of them")

    def __iter__(self) -> Iterator[list[int]]:
        start = self.consumed_samples + self.rank * self.micro_batch_size
        while True:
            yield list(range(start, start + self.micro_batch_size))
            start += self.world_size * self.micro_batch_size
