"""A run that goes back to an earlier checkpoint: what it had after that is kept apart, and what it makes counts."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pretraining_runs import Settings, assert_same_bits, checkpoints, entries, weights
from tests.rank_server import RankServer


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Settings) -> Settings:
    """A checkpoint every other step of six."""
    return tiny_recipe | {"max_steps": 6, "save_steps": 2}


@pytest.fixture(scope="module")
def run(rank_server: RankServer, recipe: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run on one rank."""
    output = tmp_path_factory.mktemp("run")
    rank_server.run(recipe | {"output_dir": str(output)}, ranks=1)
    return output


def test_what_comes_after_going_back_is_kept_and_published(
    rank_server: RankServer, recipe: Settings, run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(run, output)
    back = {"output_dir": str(output), "resume": str(output / "checkpoint-2"), "learning_rate": 1e-3}
    shown = rank_server.run(recipe | back | {"max_steps": 5, "save_steps": 1, "save_total_limit": 2}, ranks=1)
    assert checkpoints(output) == ["checkpoint-4", "checkpoint-5"]
    for name in ("checkpoint-4", "checkpoint-6"):
        assert_same_bits(output / "set-aside-1" / name, run / name)
    assert f"aside    {output / 'set-aside-1'}" in shown
    published, last = (weights(path) for path in (output, output / "checkpoint-5"))
    assert all(published[name].equal(last[name]) for name in last)
    assert [entry["step"] for entry in entries(output)] == [1, 2, 3, 4, 5]
    assert "changed  learning_rate: was 0.01, is 0.001 from here on" in shown
    assert "| learning_rate | 0.01 to step 2, then 0.001 |" in (output / "hf" / "README.md").read_text()
    lines = (output / "set-aside-1" / "metrics.jsonl").read_bytes().splitlines()
    assert max(json.loads(line)["step"] for line in lines) == 6


@pytest.mark.slow
def test_a_finished_run_that_lacks_its_last_evaluation_makes_up_for_it_once(
    rank_server: RankServer, recipe: Settings, run: Path, corpora_directory: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(run, output)
    held_out = {"eval_data": [str(corpora_directory / "heldout")], "eval_strategy": "steps", "eval_max_rows": 8}
    for _ in range(2):
        shown = rank_server.run(recipe | held_out | {"output_dir": str(output)}, ranks=1)
        assert f"finished already: {output / 'checkpoint-6'}" in shown
    assert [entry["step"] for entry in entries(output, "eval")] == [6]
    assert "On held-out text after 6 steps" in (output / "hf" / "README.md").read_text()
    assert checkpoints(output) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
