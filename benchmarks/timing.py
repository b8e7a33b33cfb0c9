"""Speed and memory of several variants of one thing: rounds in turn, medians, ratios within one run."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Cell:
    """What was measured of the variants under one set of conditions.

    Attributes:
        mode, dtype: what was done, and in which type.
        length, rows: tokens a row, rows a batch.
        seconds: variant -> the time of one step, one entry for each complete round.
        memory_mib: variant -> peak memory, where it was measured.
        note: what went wrong, if anything did.
    """

    mode: str
    dtype: str
    length: int
    rows: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory_mib: dict[str, float | None] = field(default_factory=dict)
    note: str = ""

    @property
    def title(self) -> str:
        """``training, float32, length 128``."""
        return f"{self.mode}, {self.dtype}, length {self.length}"

    @property
    def rounds(self) -> int:
        """How many complete rounds there are."""
        return min(map(len, self.seconds.values()), default=0)

    def tokens_per_second(self, variant: str) -> float:
        """The median over the rounds."""
        return self.rows * self.length / statistics.median(self.seconds[variant])

    def ratio(self, variant: str, baseline: str) -> dict[str, float]:
        """How many times as fast as ``baseline``: by the medians, and the median and range of the rounds' ratios."""
        pairs = [before / after for before, after in zip(self.seconds[baseline], self.seconds[variant], strict=True)]
        return {
            "of_medians": self.tokens_per_second(variant) / self.tokens_per_second(baseline),
            "paired": statistics.median(pairs),
            "lowest": min(pairs),
            "highest": max(pairs),
        }


def seconds(run: Callable[[Any], object], given: Any, device: torch.device) -> float:
    """How long a call takes, with what it left the device to do."""
    synchronize(device)
    started = time.perf_counter()
    run(given)
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_in_turn(
    recorded: dict[str, list[float]],
    runs: Mapping[str, Callable[[Any], object]],
    make_input: Callable[[int], Any],
    device: torch.device,
    rounds: int,
    limit_seconds: float = float("inf"),
    warm_up: int = 1,
) -> None:
    """Times every variant once a round, each round in another order, and records the complete rounds.

    All variants of a round have the same input. A machine that is slow for a while slows all variants, and over twice
    as many rounds as there are variants each comes equally often at each place, before and after its neighbours.

    Args:
        recorded: variant -> seconds; complete rounds are appended as they come, so an interruption loses one at most.
        runs: variant -> what is timed.
        make_input: number of a round -> what the variants are given.
        device: where they run.
        rounds: how many.
        limit_seconds: no round is begun after this time, but one is always measured.
        warm_up: rounds that come before and do not count.
    """
    started = time.perf_counter()
    names = list(runs)
    for number in range(-warm_up, rounds):
        if number > 0 and time.perf_counter() - started > limit_seconds:
            break
        given = make_input(number + warm_up)
        times = {name: seconds(runs[name], given, device) for name in turns(names, number)}
        if number >= 0:
            for name in names:
                recorded.setdefault(name, []).append(times[name])


def turns(names: list[str], number: int) -> list[str]:
    """Whose turn is when in a round: two rounds, there and back, from each beginning."""
    start = number // 2 % len(names)
    order = names[start:] + names[:start]
    return order[::-1] if number % 2 else order
