"""Which checkpoint a run goes on from, and how old ones leave."""

import json
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from chinesebert.training.checkpoints import find_checkpoint, list_checkpoints, prune_checkpoints

FACTS: dict[str, int | str] = {
    "world_size": 2,
    "global_batch_size": 16,
    "max_length": 128,
    "seed": 1,
    "rows": 99,
    "tokenizer": "0123abcd",
    "parameters": 1000,
}


def write_checkpoint(output_dir: Path, step: int) -> Path:
    """A checkpoint as far as finding it goes."""
    path = output_dir / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(FACTS | {"step": step}))
    return path


def test_a_first_start_has_no_checkpoint(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "new", "auto", FACTS) is None


def test_auto_takes_the_newest_by_number_not_by_name(tmp_path: Path) -> None:
    for step in (900, 1000, 50):
        write_checkpoint(tmp_path, step)
    assert find_checkpoint(tmp_path, "auto", FACTS) == tmp_path / "checkpoint-1000"


def test_what_was_not_finished_is_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10)
    (tmp_path / ".unfinished" / "checkpoint-20").mkdir(parents=True)
    (tmp_path / "checkpoint-old").mkdir()
    assert list_checkpoints(tmp_path) == [tmp_path / "checkpoint-10"]


def test_never_refuses_to_mix_two_runs(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10)
    with pytest.raises(InputError, match="checkpoint-10 of an earlier run"):
        find_checkpoint(tmp_path, "never", FACTS)


def test_never_starts_in_an_empty_folder(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path, "never", FACTS) is None


def test_a_named_checkpoint_is_taken(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "other", 7)
    assert find_checkpoint(tmp_path / "new", str(path), FACTS) == path


def test_a_named_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a checkpoint"):
        find_checkpoint(tmp_path, str(tmp_path), FACTS)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_checkpoint_of_another_kind_of_run_is_refused(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path, 10)
    with pytest.raises(InputError, match=f"was written with {name}"):
        find_checkpoint(tmp_path, "auto", FACTS | {name: 64})


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (write_checkpoint(tmp_path, 10) / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json"):
        find_checkpoint(tmp_path, "auto", FACTS)


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        write_checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-100"]


def test_without_a_limit_nothing_is_pruned(tmp_path: Path) -> None:
    for step in (5, 10):
        write_checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path, keep=None)
    assert len(list_checkpoints(tmp_path)) == 2
