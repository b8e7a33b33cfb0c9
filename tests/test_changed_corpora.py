"""A corpus that changes under a run ends it, whatever the change does to the processes that read."""

import shutil
from pathlib import Path

import pytest

from tests.pretraining_runs import Settings, checkpoints, error_of
from tests.rank_server import RankServer


@pytest.fixture
def shard(corpora_directory: Path, tmp_path: Path) -> Path:
    """The shard of a corpus that may be changed."""
    shutil.copytree(corpora_directory / "train", tmp_path / "corpus")
    (path,) = (tmp_path / "corpus").glob("*.arrow")
    return path


@pytest.fixture
def recipe(tiny_recipe: Settings, shard: Path, tmp_path: Path) -> Settings:
    """A run over that corpus."""
    return tiny_recipe | {"train_data": [str(shard.parent)], "output_dir": str(tmp_path / "out")}


@pytest.mark.parametrize(("what", "workers"), [("cut_off", 0), ("cut_off", 2), ("scramble", 0)])
def test_what_a_change_breaks_is_told_as_a_change(
    rank_server: RankServer, recipe: Settings, shard: Path, tmp_path: Path, what: str, workers: int
) -> None:
    """Reading what was cut off ends a process; numbers that are no text look like another vocabulary."""
    shown = rank_server.run(
        recipe | {"max_steps": 1000, "save_steps": 2, "dataloader_num_workers": workers},
        status=2,
        before=f"tests.corpus_faults:{what}",
        options=(str(shard), 4),
    )
    assert f"error: {shard}: changed while it is trained on" in error_of(shown)
    assert checkpoints(tmp_path / "out") == ["checkpoint-2"]


@pytest.mark.parametrize("save_steps", [1000, 4], ids=["at the end", "on the way"])
def test_no_checkpoint_is_written_after_a_change(
    rank_server: RankServer, recipe: Settings, shard: Path, tmp_path: Path, save_steps: int
) -> None:
    """The run ends before it would look at the files of its own accord, which it does every ten seconds."""
    shown = rank_server.run(
        recipe | {"max_steps": 5, "save_steps": save_steps},
        status=2,
        before="tests.corpus_faults:change_a_byte",
        options=(str(shard), 4),
    )
    assert f"{shard}: changed while it is trained on; prepare it elsewhere" in error_of(shown)
    assert checkpoints(tmp_path / "out") == []
    assert not (tmp_path / "out" / "hf").exists()


def test_a_corpus_that_is_touched_ends_nothing(
    rank_server: RankServer, recipe: Settings, shard: Path, tmp_path: Path
) -> None:
    rank_server.run(
        recipe | {"max_steps": 4, "save_steps": 2}, before="tests.corpus_faults:touch", options=(str(shard), 2)
    )
    assert checkpoints(tmp_path / "out") == ["checkpoint-2", "checkpoint-4"]
