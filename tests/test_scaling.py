"""docs/scaling.md says what the program computes."""

import json
import re

import pytest

from chinesebert import ChineseBertConfig
from chinesebert.training.device_peak import memory_in_name, peak_of
from chinesebert.training.dry_run import (
    Plan,
    PlannedCorpus,
    PlannedPhase,
    activation_memory,
    checkpoint_size,
    describe_plan,
    expected_seconds,
    image_bytes,
    parameters_by_part,
    state_memory,
    total_flops,
)
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
BATCHES = {"base": (500_000, 3_200), "large": (280_000, 8_000)}
H100, A100 = 989.4e12, 312e12


def sizes(name: str) -> ChineseBertConfig:
    return ChineseBertConfig(**json.loads((ROOT / "configs" / "model" / f"{name}.json").read_text()))


def flops(name: str) -> float:
    steps, batch = BATCHES[name]
    return total_flops(sizes(name), [PlannedPhase(steps, 512, batch, 25)])


def state(name: str, stage: int, ranks: int) -> float:
    parameters = sum(parameters_by_part(sizes(name)).values())
    return state_memory(parameters, stage, ranks, "autocast").total + image_bytes(sizes(name))


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]


RUNS = re.findall(r"^\| (base|large) \| (\d+) \| (\d+) x (\d+) x (\d+) \|(.*)\|$", PAGE, flags=re.MULTILINE)


def test_every_size_is_there() -> None:
    assert [(name, int(gpus)) for name, gpus, *_ in RUNS] == [(name, gpus) for name in BATCHES for gpus in (8, 64, 400)]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: "-".join(run[:2]))
def test_a_run_takes_what_the_page_says(run: tuple[str, ...]) -> None:
    name, (gpus, ranks, rows, accumulated) = run[0], map(int, run[1:5])
    assert gpus == ranks
    assert ranks * rows * accumulated == BATCHES[name][1]
    memory, step, a, b, c, old = numbers(re.sub(r"[HA]100|\d+ %", "", run[5]))
    assert memory * 1e9 == pytest.approx(state(name, 1, gpus) + activation_memory(sizes(name), rows, 512), rel=0.02)
    assert step / 1e3 == pytest.approx(expected_seconds(flops(name), gpus, H100, 0.4) / BATCHES[name][0], abs=6e-5)
    for hours, mfu, peak in ((a, 0.3, H100), (b, 0.4, H100), (c, 0.5, H100), (old, 0.4, A100)):
        assert hours == pytest.approx(expected_seconds(flops(name), gpus, peak, mfu) / 3600, abs=0.06)


@pytest.mark.parametrize("name", BATCHES)
def test_the_numbers_of_gpus_are_all_that_divide_the_batch(name: str) -> None:
    (line,) = re.findall(rf"^\| {name}, [\d,]+ = .* rows \| (.*) \|$", PAGE, flags=re.MULTILINE)
    batch = BATCHES[name][1]
    dividing = [ranks for ranks in range(1, 1025) if batch % ranks == 0]
    assert [int(shown.strip("*")) for shown in line.split(", ")] == dividing
    assert [int(shown) for shown in re.findall(r"\*\*(\d+)\*\*", line)] == [r for r in dividing if r % 8 == 0]


STATES = re.findall(r"^\| (base|large), (\d+) \|(.*)\|$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("line", STATES, ids=lambda line: "-".join(line[:2]))
def test_the_state_by_zero_stage_is_what_the_page_says(line: tuple[str, str, str]) -> None:
    shown = numbers(line[2])
    assert shown == [pytest.approx(state(line[0], stage, int(line[1])) / 1e9, abs=0.006) for stage in range(4)]


@pytest.mark.parametrize(("name", "gigabytes"), [("base", 1.32), ("large", 4.02)])
def test_checkpoints_are_as_large_as_the_page_says(name: str, gigabytes: float) -> None:
    assert f"{gigabytes} GB ({name})" in PAGE
    assert sum(checkpoint_size(sizes(name)).values()) / 1e9 == pytest.approx(gigabytes, abs=0.005)


def test_gradients_take_on_the_wire_what_the_page_says() -> None:
    for name in BATCHES:
        assert f"{sum(parameters_by_part(sizes(name)).values()):,} ({name})" in PAGE
    for bandwidth, *shown in re.findall(r"^\| (\d+) GB/s \| ([\d.]+) ms \| ([\d.]+) ms \|$", PAGE, flags=re.MULTILINE):
        for name, milliseconds in zip(BATCHES, map(float, shown), strict=True):
            sent = 2 * 63 / 64 * 4 * sum(parameters_by_part(sizes(name)).values())
            assert milliseconds == pytest.approx(sent / (float(bandwidth) * 1e9) * 1e3, abs=0.06)


def test_the_plan_that_the_page_shows_is_what_the_program_prints() -> None:
    (shown,) = re.findall(r"^```\n(model .*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    plan = Plan(
        config=sizes("large"),
        phases=[PlannedPhase(273_438, 512, 8192, 16)],
        corpora=[PlannedCorpus("train", 64_018_472, 17782.33)],
        ranks=512,
        precision="autocast",
        zero_stage=1,
        device="H100 80GB",
        peak=peak_of("H100 80GB"),
        mfu=0.4,
        device_memory=memory_in_name("H100 80GB"),
        checkpoints_kept=3,
        checkpoints_written=54,
    )
    assert describe_plan(plan) == shown
