"""Which samples each step reads: phases, a growing batch, and what ranks can share."""

import itertools
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chinesebert.errors import InputError
from chinesebert.training.batches import RankBatches
from chinesebert.training.timeline import Phase, Ramp, Timeline, check_divides, read_phases

RANKS = st.sampled_from([1, 2, 3, 4])


@st.composite
def timelines(draw: st.DrawFn, ranks: int = 12) -> Timeline:
    """Runs of up to four phases, with and without a ramp, that up to four ranks can share."""
    micro = st.sampled_from([1, 2])
    phases = [
        Phase(draw(st.integers(1, 12)), draw(st.sampled_from([32, 64])), draw(micro))
        for _ in range(draw(st.integers(1, 4)))
    ]
    unit = 2 * ranks
    batch = unit * draw(st.integers(1, 4))
    ramp = None
    if batch > unit and phases[0].steps > 1 and draw(st.booleans()):
        increments = batch // unit - 1
        steps = draw(st.integers(1, phases[0].steps - 1))
        assume(steps >= increments)
        ramp = Ramp(unit, unit, steps)
    return Timeline(phases, batch, ramp)


# ------------------------------------------------------------------------------------------------------------- timeline


@given(timelines())
def test_steps_read_one_sample_after_another(timeline: Timeline) -> None:
    samples = 0
    for step in range(timeline.steps):
        assert timeline.consumed_samples(step) == timeline.at(step).first_sample_of(step) == samples
        samples += timeline.at(step).batch_size
    assert timeline.consumed_samples(timeline.steps) == samples


@given(timelines())
def test_every_phase_has_its_steps_and_its_length(timeline: Timeline) -> None:
    lengths = [timeline.at(step).length for step in range(timeline.steps)]
    assert lengths == list(itertools.chain(*([phase.length] * phase.steps for phase in timeline.phases)))
    starts = itertools.accumulate((phase.steps for phase in timeline.phases[:-1]), initial=0)
    assert timeline.first_samples() == [timeline.consumed_samples(step) for step in starts]


@given(timelines())
def test_places_are_rows_times_length(timeline: Timeline) -> None:
    for step in {0, 1, timeline.steps // 2, timeline.steps}:
        before = (timeline.at(earlier) for earlier in range(min(step, timeline.steps)))
        assert timeline.tokens(step) == sum(segment.batch_size * segment.length for segment in before)


@given(timelines())
def test_a_batch_never_shrinks_and_is_full_in_the_end(timeline: Timeline) -> None:
    sizes = [timeline.at(step).batch_size for step in range(timeline.steps)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == timeline.batch_size
    if timeline.ramp:
        assert sizes[0] == timeline.ramp.start
        assert sizes.index(timeline.batch_size) == timeline.ramp.steps


@given(timelines(), st.integers(1, 50))
def test_a_longer_run_reads_the_same_and_then_more(timeline: Timeline, more: int) -> None:
    last = timeline.phases[-1]
    phases = [*timeline.phases[:-1], Phase(last.steps + more, last.length, last.micro_batch_size)]
    longer = Timeline(phases, timeline.batch_size, timeline.ramp)
    assert longer.describe() == timeline.describe()
    for step in range(timeline.steps):
        assert longer.at(step) == timeline.at(step)


def test_a_ramp_takes_as_long_for_every_size() -> None:
    timeline = Timeline([Phase(100, 64, 1)], 16, Ramp(4, 4, 30))
    assert [(segment.first_step, segment.batch_size) for segment in timeline.segments] == [
        (0, 4),
        (10, 8),
        (20, 12),
        (30, 16),
    ]


@pytest.mark.parametrize("ramp", [Ramp(16, 4, 8), Ramp(20, 4, 8), Ramp(4, 5, 8), Ramp(4, 4, 2), Ramp(4, 4, 0)], ids=str)
def test_a_ramp_that_does_not_lead_to_the_batch_is_refused(ramp: Ramp) -> None:
    with pytest.raises(InputError, match="whole increments must lead"):
        Timeline([Phase(100, 64, 1)], 16, ramp)


def test_a_ramp_beyond_the_first_phase_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than the 10 steps of the first phase"):
        Timeline([Phase(10, 64, 1), Phase(90, 64, 1)], 16, Ramp(4, 4, 10))


# ------------------------------------------------------------------------------------------------------------ the ranks


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "hint"),
    [
        (24, 5, 2, "with 2 ranks the micro-batch can be 1, 2, 3, 4, 6, 12"),
        (4, 1, 8, "cannot be shared by 8 ranks"),
        (8, 4, 3, "8 rows cannot be shared by 3 ranks"),
    ],
)
def test_a_batch_that_ranks_cannot_share_is_refused_with_what_could_be(
    batch: int, micro: int, ranks: int, hint: str
) -> None:
    with pytest.raises(InputError, match=f"global batch {batch} .*{hint}"):
        check_divides(batch, micro, ranks)


def test_the_batches_of_a_ramp_have_to_be_shared_too() -> None:
    timeline = Timeline([Phase(100, 64, 2)], 16, Ramp(4, 4, 30))
    timeline.check_divides(2)
    with pytest.raises(InputError, match="global batch 4 is not a multiple of per_device_train_batch_size 2 x 4"):
        timeline.check_divides(4)


def test_the_micro_batches_of_every_phase_have_to_fit() -> None:
    timeline = Timeline([Phase(10, 64, 2), Phase(10, 128, 3)], 16)
    with pytest.raises(InputError, match="per_device_train_batch_size 3 x 1"):
        timeline.check_divides(1)


# -------------------------------------------------------------------------------------------------------- the batches


def steps_of(timeline: Timeline, ranks: int, first_step: int = 0) -> list[list[int]]:
    """The samples of each step in the order of the micro-batches: accumulation by accumulation, rank by rank."""
    batches = [iter(RankBatches(timeline, rank, ranks, first_step)) for rank in range(ranks)]
    found = []
    for step in range(first_step, timeline.steps):
        count = timeline.at(step).micro_batches(ranks)
        found.append([sample for _ in range(count) for own in batches for sample in next(own)])
    assert all(next(own, None) is None for own in batches)  # no rank has one more
    return found


@given(timelines(), RANKS)
def test_ranks_together_read_every_sample_once_and_in_order(timeline: Timeline, ranks: int) -> None:
    read = list(itertools.chain(*steps_of(timeline, ranks)))
    assert read == list(range(timeline.consumed_samples(timeline.steps)))


@given(timelines(), RANKS, RANKS, st.data())
def test_another_number_of_ranks_goes_on_where_the_first_stopped(
    timeline: Timeline, before: int, after: int, data: st.DataObject
) -> None:
    stopped = data.draw(st.integers(0, timeline.steps))
    assert steps_of(timeline, after, stopped) == steps_of(timeline, before)[stopped:]


@given(timelines(), RANKS)
def test_every_micro_batch_has_the_size_of_its_phase(timeline: Timeline, ranks: int) -> None:
    own = iter(RankBatches(timeline, ranks - 1, ranks))
    for step in range(timeline.steps):
        segment = timeline.at(step)
        for _ in range(segment.micro_batches(ranks)):
            assert len(next(own)) == segment.micro_batch_size


# -------------------------------------------------------------------------------------------------------------- phases


def test_a_recipe_without_phases_has_one() -> None:
    assert read_phases(None, 100, 64, 8) == [Phase(100, 64, 8)]


def test_what_a_phase_leaves_out_is_as_in_the_recipe() -> None:
    phases = [{"steps": 60, "max_length": 32}, {"per_device_train_batch_size": 2}]
    assert read_phases(phases, 100, 64, 8) == [Phase(60, 32, 8), Phase(40, 64, 2)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"steps": 60}, {"steps": 60}], "add up to 120, max_steps is 100"),
        ([{"steps": 30}, {"steps": 60}], "add up to 90"),
        ([{"steps": 100}, {}], "phase 2 is {}"),
        ([{}, {"steps": 60}], "phase 1 has no steps"),
        ([{"steps": 60, "lenght": 3}, {}], "unknown lenght; known are"),
        ([{"steps": 0}, {}], "above 0"),
        ([{"steps": 1.5}, {}], "whole numbers"),
        ([{"steps": True}, {}], "whole numbers"),
        ([{"steps": "many"}, {}], "whole numbers"),
        ({"steps": 3}, "write a list of phases"),
        ([3], "write a list of phases"),
    ],
)
def test_phases_that_make_no_run_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"phases.*{message}"):
        read_phases(given, 100, 64, 8)
