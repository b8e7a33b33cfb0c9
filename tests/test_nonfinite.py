"""Losses and gradients that are not finite, on one rank of two: all ranks skip the step, and give up after some."""

import json
import re
from pathlib import Path

import pytest
import torch

from tests.pretraining_runs import Settings, checkpoints, entries, error_of, events, losses, moments, stage, weights
from tests.rank_server import RankServer


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Settings) -> Settings:
    """Two micro-batches a rank and step."""
    return tiny_recipe | {"per_device_train_batch_size": 2, "max_steps": 4, "save_steps": 1}


STAGES = [0, 1, 2, 3]
SPOILT = [*((number, "nan", 1) for number in STAGES), (1, "gradient", 1)]
MORE = [*((number, "inf", 0) for number in STAGES), *((number, "gradient", 1) for number in (0, 2, 3))]


@pytest.mark.parametrize(
    ("number", "what", "rank"), [*SPOILT, *(pytest.param(*values, marks=pytest.mark.slow) for values in MORE)]
)
def test_a_spoilt_step_is_skipped_and_counted(
    rank_server: RankServer, recipe: Settings, tmp_path: Path, number: int, what: str, rank: int
) -> None:
    shown = rank_server.run(
        recipe | {"deepspeed": stage(number), "output_dir": str(tmp_path)},
        before="tests.faults:spoil",
        options=(what, [2], rank),
    )
    before, spoilt, after = (tmp_path / f"checkpoint-{step}" for step in (1, 2, 3))
    assert "step 2: loss or gradient is not finite; skipped (samples 8 to 15)" in shown
    assert [(event["step"], event["first_sample"], event["samples"]) for event in events(tmp_path, "skipped")] == [
        (2, 8, 8)
    ]
    assert [entry["skipped_steps"] for entry in entries(tmp_path)] == [0, 1, 1, 1]
    for part in (weights, lambda path: moments(path, "exp_avg"), lambda path: moments(path, "exp_avg_sq")):
        old, same, new = part(before), part(spoilt), part(after)
        assert all(torch.equal(old[name], same[name]) for name in old)
        assert any(not torch.equal(old[name], new[name]) for name in old)
        assert all(torch.isfinite(tensor).all() for tensor in new.values())
    progress = json.loads((tmp_path / "checkpoint-4" / "run.json").read_text())["progress"]
    assert (progress["step"], progress["updates"], progress["consumed_samples"]) == (4, 3, 32)
    assert [loss is None for loss in losses(tmp_path)] == [False, True, False, False]


def test_the_run_gives_up_after_several_in_a_row_and_names_the_samples(
    rank_server: RankServer, recipe: Settings, tmp_path: Path
) -> None:
    """Step 2 alone does not count: step 3 is fine. 4 to 6 do."""
    shown = rank_server.run(
        recipe | {"nonfinite_steps": 3, "max_steps": 9, "output_dir": str(tmp_path)},
        status=2,
        before="tests.faults:spoil",
        options=("nan", [2, 4, 5, 6, 7], 1),
    )
    assert "3 steps in a row" in error_of(shown)
    assert str(tmp_path / "nonfinite-step-6.json") in error_of(shown)
    batch = json.loads((tmp_path / "nonfinite-step-6.json").read_text())
    assert batch == {"step": 6, "sample_indices": list(range(40, 48))}
    assert checkpoints(tmp_path)[-1] == "checkpoint-5"


def test_a_run_that_gave_up_says_how_another_can_go_on(
    rank_server: RankServer, recipe: Settings, tmp_path: Path
) -> None:
    recipe = recipe | {"nonfinite_steps": 1, "output_dir": str(tmp_path / "out")}
    spoilt = {"before": "tests.faults:spoil", "options": ("nan", [3], 1)}
    shown = rank_server.run(recipe, status=2, **spoilt)
    flags = re.findall(r"--init_from \S+ --seed \S+ --output_dir \S+", error_of(shown))[0]
    flags = flags.replace("--seed S", "--seed 5").replace("DIR", str(tmp_path / "other"))
    rank_server.run(recipe | {"max_steps": 1}, flags=flags.split(" "))
    assert checkpoints(tmp_path / "other") == ["checkpoint-1"]


def test_a_run_that_gave_up_without_a_checkpoint_names_none(
    rank_server: RankServer, recipe: Settings, tmp_path: Path
) -> None:
    spoilt = {"before": "tests.faults:spoil", "options": ("nan", [1], 1)}
    shown = rank_server.run(recipe | {"nonfinite_steps": 1, "output_dir": str(tmp_path)}, status=2, **spoilt)
    assert "Begin again with a lower learning rate, or with other samples: --seed S" in error_of(shown)
    assert "checkpoint" not in error_of(shown)


@pytest.mark.slow
def test_a_run_that_gave_up_goes_on_and_remembers_how_many_in_a_row(
    rank_server: RankServer, recipe: Settings, tmp_path: Path
) -> None:
    recipe = recipe | {"nonfinite_steps": 3, "output_dir": str(tmp_path)}
    spoilt = {"before": "tests.faults:spoil"}
    rank_server.run(recipe, status=2, options=("nan", [2, 3, 4], 1), **spoilt)
    rank_server.run(recipe, status=2, options=("nan", [1], 1), **spoilt)  # goes on from step 3: one more is enough
    rank_server.run(recipe)
    assert checkpoints(tmp_path)[-1] == "checkpoint-4"


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), pytest.param(0, 1, marks=pytest.mark.slow)])
def test_a_run_without_an_update_so_far_goes_on(
    rank_server: RankServer, recipe: Settings, tmp_path: Path, before: int, after: int
) -> None:
    """As a run whose first step was skipped: the optimizer has no state yet, or one of zeros."""
    recipe = recipe | {"output_dir": str(tmp_path)}
    spoilt = {"before": "tests.faults:spoil", "options": ("nan", [1], 1)}
    rank_server.run(recipe | {"max_steps": 1, "deepspeed": stage(before)}, **spoilt)
    rank_server.run(recipe | {"max_steps": 2, "deepspeed": stage(after)})
    progress = json.loads((tmp_path / "checkpoint-2" / "run.json").read_text())["progress"]
    assert (progress["step"], progress["updates"]) == (2, 1)
