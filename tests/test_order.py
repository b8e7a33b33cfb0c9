"""The order of samples: a permutation per epoch that any position can be asked of."""

import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chinesebert.corpus.order import KeyedPermutation, SampleOrder

KEYS = st.lists(st.integers(-(1 << 70), 1 << 70), max_size=3)
# No deadline: on a busy machine any example may be slow once.
few = settings(max_examples=50, deadline=None)


def permuted(size: int, *key: int) -> list[int]:
    """All values of a permutation."""
    permutation = KeyedPermutation(size, *key)
    return [permutation[index] for index in range(size)]


def chi_square(counts: np.ndarray) -> float:
    """Pearson's statistic against equal shares, as the number of standard deviations above its mean."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


# --------------------------------------------------------------------------------------------------- keyed permutation


@few
@given(st.integers(1, 700), KEYS)
def test_every_value_appears_once(size: int, key: list[int]) -> None:
    assert sorted(permuted(size, *key)) == list(range(size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4097])
def test_sizes_at_powers_of_two_are_permuted(size: int) -> None:
    assert sorted(permuted(size, 7)) == list(range(size))


@few
@given(st.integers(1 << 32, 1 << 62), KEYS, st.integers(0, 1 << 62))
def test_huge_sizes_stay_inside_and_apart(size: int, key: list[int], index: int) -> None:
    permutation = KeyedPermutation(size, *key)
    first, second = index % size, (index + 1) % size
    assert 0 <= permutation[first] < size
    assert permutation[first] != permutation[second]


def test_same_key_gives_same_permutation() -> None:
    assert permuted(1000, 3, 5) == permuted(1000, 3, 5)


@pytest.mark.parametrize("other", [(4, 5), (3, 6), (5, 3), (3,), (3, 5, 0), ()])
def test_other_key_gives_another_permutation(other: tuple[int, ...]) -> None:
    pairs = zip(permuted(1000, 3, 5), permuted(1000, *other), strict=True)
    # Two independent permutations agree in one place on average (Poisson): ten would be no accident.
    assert sum(one == two for one, two in pairs) < 10


@pytest.mark.parametrize("size", [5, 16, 100])
def test_every_place_is_equally_likely_over_keys(size: int) -> None:
    counts = np.zeros((size, size))
    for key in range(4000 if size < 100 else 1000):
        counts[np.arange(size), permuted(size, key)] += 1
    # Every row of the table is a chi-square test of its own; 5 sigma of the highest of 100 is generous.
    assert max(chi_square(row) for row in counts) < 5


def test_neighbours_are_torn_apart() -> None:
    size = 4096
    steps = np.diff(permuted(size, 11)) % size
    assert chi_square(np.bincount(steps // 256, minlength=16)) < 4


@pytest.mark.parametrize("index", [-1, 10, 1 << 40])
def test_index_outside_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=r"range\(10\)"):
        KeyedPermutation(10, 1)[index]


@pytest.mark.parametrize("size", [0, -3])
def test_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        KeyedPermutation(size, 1)


# -------------------------------------------------------------------------------------------------------- sample order


@few
@given(st.integers(1, 200), st.integers(0, 1 << 40), st.integers(0, 5))
def test_every_row_comes_once_an_epoch(size: int, seed: int, epoch: int) -> None:
    order = SampleOrder(size, seed)
    rows = [order.row(sample) for sample in range(epoch * size, (epoch + 1) * size)]
    assert sorted(rows) == list(range(size))


def test_epochs_differ() -> None:
    order = SampleOrder(1000, 0)
    epochs = [[order.row(epoch * 1000 + index) for index in range(1000)] for epoch in range(3)]
    for one, two in itertools.combinations(epochs, 2):
        assert sum(a == b for a, b in zip(one, two, strict=True)) < 10


def test_seeds_differ() -> None:
    one, two = SampleOrder(1000, 0), SampleOrder(1000, 1)
    assert sum(one.row(sample) == two.row(sample) for sample in range(1000)) < 10


@few
@given(st.integers(1, 50), st.lists(st.integers(0, 400), min_size=1))
def test_seeking_gives_what_iterating_gives(size: int, places: list[int]) -> None:
    iterated = SampleOrder(size, 9)
    rows = [iterated.row(sample) for sample in range(401)]
    sought = SampleOrder(size, 9)
    assert [sought.row(place) for place in places] == [rows[place] for place in places]


def test_seeking_far_ahead_is_immediate() -> None:
    # A run of 10^15 samples: anything that steps through them would never come back.
    assert 0 <= SampleOrder(10**9 + 7, 1).row(10**15) < 10**9 + 7


@pytest.mark.parametrize(
    ("size", "seed", "first", "digest"),
    [
        (
            390,
            11,
            [262, 44, 221, 88, 197, 211, 303, 70],
            "59d399218e2c9fd4eef0aaf84c38c7140e1e54b39e49254c570dac96525aef66",
        ),
        (
            1000,
            7,
            [977, 476, 228, 608, 462, 281, 547, 465],
            "3e59cf985efb44114b369b8b526095b0457ab4a7e876ea9659873f3b38fb23a6",
        ),
        (
            10**9 + 7,
            1,
            [632810650, 38767118, 751780528],
            "05c399347864e87f987f648513986ad5c7be6e9b719f217d562576ff4a701ca6",
        ),
    ],
)
def test_the_order_is_that_of_the_first_version(size: int, seed: int, first: list[int], digest: str) -> None:
    """Another order would give every run that goes on from an old checkpoint rows that it has seen."""
    order = SampleOrder(size, seed)
    assert [order.row(sample) for sample in range(len(first))] == first
    rows = [order.row(sample) for sample in [*range(2000), *range(10**12, 10**12 + 50)]]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == digest
