"""Which samples each step of a run reads: lengths and batch sizes over time, and nothing else.

A run is a sequence of *phases*, each with its own length of rows (128, then 512, say). Within the first phase the
global batch may grow in equal increments (a ramp, as in Megatron-LM's ``--rampup-batch-size``). Everything here follows
from the recipe alone; ranks and micro-batches only divide what a step reads.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chinesebert.errors import InputError

_PHASE_KEYS = {"steps", "max_length", "per_device_train_batch_size"}


@dataclass(frozen=True)
class Phase:
    """Steps with rows of one length.

    Attributes:
        steps: how many; the last phase of a run has what is left.
        length: tokens in a row.
        micro_batch_size: rows that a rank runs at a time.
    """

    steps: int
    length: int
    micro_batch_size: int


@dataclass(frozen=True)
class Ramp:
    """A global batch that grows from ``start`` by ``increment`` until it is full, over ``steps`` steps."""

    start: int
    increment: int
    steps: int


@dataclass(frozen=True)
class Segment:
    """Steps that are alike.

    Attributes:
        first_step: the first of them.
        first_sample: the number of the first sample of the first of them.
        batch_size: rows in a step, over all ranks.
        phase: the number of the phase, from 0.
        length: tokens in a row.
        micro_batch_size: rows that a rank runs at a time.
    """

    first_step: int
    first_sample: int
    batch_size: int
    phase: int
    length: int
    micro_batch_size: int

    def first_sample_of(self, step: int) -> int:
        """The number of the first sample of a step of this segment."""
        return self.first_sample + (step - self.first_step) * self.batch_size

    def micro_batches(self, ranks: int) -> int:
        """How many micro-batches each rank runs in a step."""
        return self.batch_size // (self.micro_batch_size * ranks)


class Timeline:
    """The segments of a run, in order.

    Args:
        phases: at least one.
        batch_size: the global batch, in rows.
        ramp: how the global batch begins; None where it is full from the start.

    Raises:
        InputError: the ramp does not end at the global batch, or not within the first phase.
    """

    def __init__(self, phases: Sequence[Phase], batch_size: int, ramp: Ramp | None = None) -> None:
        self.phases, self.batch_size, self.ramp = list(phases), batch_size, ramp
        self.steps = sum(phase.steps for phase in phases)
        sizes = _ramp_sizes(ramp, batch_size) if ramp else []
        if ramp and ramp.steps >= phases[0].steps:
            raise InputError(
                f"batch_size_ramp_steps {ramp.steps}: must be fewer than the {phases[0].steps} steps of the first phase"
            )
        self.segments: list[Segment] = []
        step = 0
        for number, phase in enumerate(phases):
            full_from = ramp.steps if ramp and number == 0 else step
            for first, size in [*(sizes if number == 0 else ()), (full_from, batch_size)]:
                sample = self.segments[-1].first_sample_of(first) if self.segments else 0
                self.segments.append(Segment(first, sample, size, number, phase.length, phase.micro_batch_size))
            step += phase.steps
        self._first_steps = [segment.first_step for segment in self.segments]

    def at(self, step: int) -> Segment:
        """The segment that a step belongs to; ``steps`` itself, the end of the run, belongs to the last."""
        return self.segments[bisect.bisect_right(self._first_steps, step) - 1]

    def consumed_samples(self, step: int) -> int:
        """How many samples the steps before ``step`` read."""
        return self.at(step).first_sample_of(step)

    def first_samples(self) -> list[int]:
        """The number of the first sample of each phase."""
        return [
            next(segment.first_sample for segment in self.segments if segment.phase == number)
            for number in range(len(self.phases))
        ]

    def tokens(self, step: int) -> int:
        """Places in all rows that the steps before ``step`` read."""
        ends = [*self._first_steps[1:], self.steps]
        return sum(
            (min(end, step) - segment.first_step) * segment.batch_size * segment.length
            for segment, end in zip(self.segments, ends, strict=True)
            if segment.first_step < step
        )

    def check_divides(self, ranks: int) -> None:
        """Looks whether every step can be shared by the ranks.

        Raises:
            InputError: a global batch is no multiple of micro-batch x ranks; the message names what could be.
        """
        for segment in self.segments:
            check_divides(segment.batch_size, segment.micro_batch_size, ranks)

    def describe(self) -> str:
        """All that the order of samples hangs on, in words; the same for a run that is made longer."""
        batch = f"{self.batch_size} rows"
        if self.ramp:
            batch += f" (from {self.ramp.start} by {self.ramp.increment} over {self.ramp.steps} steps)"
        earlier = [f"{phase.steps} steps of {phase.length} tokens" for phase in self.phases[:-1]]
        return f"{batch} of " + ", then ".join([*earlier, f"{self.phases[-1].length} tokens"])


def _ramp_sizes(ramp: Ramp, batch_size: int) -> list[tuple[int, int]]:
    """(first step, size) of every size below the full batch."""
    increments, rest = divmod(batch_size - ramp.start, ramp.increment)
    if ramp.start >= batch_size or rest or ramp.steps < increments:
        raise InputError(
            f"batch_size_start {ramp.start}, batch_size_increment {ramp.increment}, batch_size_ramp_steps "
            f"{ramp.steps}: whole increments must lead from the start to global_batch_size {batch_size}, each for one "
            "step or more"
        )
    return [(ramp.steps * number // increments, ramp.start + number * ramp.increment) for number in range(increments)]


def check_divides(batch_size: int, micro_batch_size: int, ranks: int) -> None:
    """Raises ``InputError`` where ranks and micro-batches cannot share a global batch; it names what could."""
    if batch_size % (micro_batch_size * ranks) == 0:
        return
    fitting = [size for size in range(1, batch_size // ranks + 1) if batch_size % (size * ranks) == 0]
    hint = (
        f"with {ranks} ranks the micro-batch can be {', '.join(map(str, fitting))}"
        if fitting
        else f"{batch_size} rows cannot be shared by {ranks} ranks; use another number of ranks"
    )
    raise InputError(
        f"global batch {batch_size} is not a multiple of per_device_train_batch_size {micro_batch_size} x {ranks} "
        f"ranks: {hint}"
    )


def read_phases(given: Any, steps: int, length: int, micro_batch_size: int) -> list[Phase]:
    """The phases of a recipe; one phase of all steps where it names none.

    Args:
        given: a list of ``{steps, max_length, per_device_train_batch_size}``; what is missing is as in the recipe, and
            the last phase may leave out ``steps``.
        steps: of the whole run.
        length: of rows, where a phase does not say.
        micro_batch_size: where a phase does not say.

    Raises:
        InputError: it is no such list, or the steps do not add up to those of the run.
    """
    if not given:
        return [Phase(steps, length, micro_batch_size)]
    if not isinstance(given, list) or not all(isinstance(phase, Mapping) for phase in given):
        raise InputError(f"phases is {given}: write a list of phases, [{{steps: N, max_length: L}}, …]")
    phases, left = [], steps
    for number, phase in enumerate(given, start=1):
        unknown = set(phase) - _PHASE_KEYS
        if unknown:
            names, known = (", ".join(map(str, sorted(keys, key=str))) for keys in (unknown, _PHASE_KEYS))
            raise InputError(f"phases: unknown {names}; known are {known}")
        if number < len(given) and "steps" not in phase:
            raise InputError(f"phases: phase {number} has no steps; only the last may take what is left")
        values = [phase.get("steps", left), phase.get("max_length", length)]
        values.append(phase.get("per_device_train_batch_size", micro_batch_size))
        if not all(type(value) is int and value > 0 for value in values):  # True is an int too
            raise InputError(f"phases: phase {number} is {dict(phase)}; its values must be whole numbers above 0")
        phases.append(Phase(*values))
        left -= values[0]
    if left:
        raise InputError(
            f"phases: their steps add up to {steps - left:,}, max_steps is {steps:,}; make them agree, or leave out "
            "the steps of the last phase"
        )
    return phases
