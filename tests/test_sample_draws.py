"""The random numbers of samples: fixed by seed, sample, purpose and place, uniform, and independent of one another."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chinesebert.corpus.order import mix as mix_one
from chinesebert.sample_draws import Purpose, SampleDraws, mix

WORDS = st.integers(0, (1 << 64) - 1)
PLACES = 128


def grid(seed: int, samples: range, purpose: Purpose = Purpose.FATE) -> NDArray[np.float64]:
    """A number for every sample and place: ``[samples, PLACES]``."""
    rows, places = np.divmod(np.arange(len(samples) * PLACES), PLACES)
    return SampleDraws(seed, samples).uniform(purpose, rows, places).reshape(len(samples), PLACES)


@given(st.lists(WORDS, min_size=1))
def test_values_are_mixed_as_one_by_one(values: list[int]) -> None:
    assert mix(np.array(values, dtype=np.uint64)).tolist() == [mix_one(value) for value in values]


@given(st.integers(0, 1 << 70), st.lists(WORDS, min_size=1, max_size=5), st.integers(0, PLACES))
def test_a_number_does_not_hang_on_the_other_samples_or_places(seed: int, samples: list[int], place: int) -> None:
    draws = SampleDraws(seed, samples)
    rows = np.arange(len(samples))
    for purpose in Purpose:
        together = draws.bits(purpose, rows, np.full(len(samples), place))
        alone = [SampleDraws(seed, [n]).bits(purpose, np.array([0]), np.array([place]))[0] for n in samples]
        assert together.tolist() == alone


def test_the_numbers_are_those_of_the_first_version() -> None:
    draws = SampleDraws(7, [0, 1 << 40])
    found = draws.bits(Purpose.ORDER, np.array([0, 0, 1]), np.array([0, 1, 127])).tolist()
    assert found == [8655894791565660796, 9283269463502139748, 8867441846547764355]


def test_numbers_are_spread_evenly() -> None:
    numbers = grid(0, range(2000))
    counts = np.bincount((numbers.ravel() * 100).astype(int), minlength=100)
    expected = numbers.size / 100
    assert ((counts - expected) ** 2 / expected).sum() < 99 + 4 * np.sqrt(2 * 99)


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)])
def test_neighbours_in_samples_and_places_are_not_correlated(shift: tuple[int, int]) -> None:
    numbers = grid(3, range(2000)) - 0.5
    samples, places = shift
    products = numbers[samples:, places:] * numbers[: 2000 - samples, : PLACES - places] * 12
    assert abs(products.mean()) < 4 / np.sqrt(products.size)


def test_purposes_and_seeds_have_numbers_of_their_own() -> None:
    kinds = [grid(seed, range(300), purpose) - 0.5 for seed in (0, 1) for purpose in Purpose]
    for one, two in itertools.combinations(kinds, 2):
        assert abs((one * two * 12).mean()) < 4.5 / np.sqrt(one.size)


def test_sample_and_seed_cannot_be_exchanged() -> None:
    assert not np.array_equal(grid(3, range(5, 6)), grid(5, range(3, 4)))


@pytest.mark.parametrize("end", [1, 2, 7, 21000, 1 << 32])
def test_whole_numbers_stay_below_their_end_and_reach_it(end: int) -> None:
    rows, places = np.divmod(np.arange(50_000), PLACES)
    drawn = SampleDraws(0, range(400)).below(end, Purpose.REPLACEMENT, rows, places)
    assert 0 <= drawn.min() <= end / 1000
    assert end - 1 - end / 1000 <= drawn.max() < end


def test_whole_numbers_are_equally_likely() -> None:
    rows, places = np.divmod(np.arange(50_000), PLACES)
    counts = np.bincount(SampleDraws(0, range(400)).below(7, Purpose.REPLACEMENT, rows, places))
    expected = 50_000 / 7
    assert ((counts - expected) ** 2 / expected).sum() < 6 + 4 * np.sqrt(2 * 6)
