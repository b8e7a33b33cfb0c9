"""Saves that are cut short: by SIGKILL at chosen moments, by a full disk; and checkpoints that are spoiled later."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chinesebert.training.checkpoints import damage
from chinesebert.training.run_log import log_path
from tests.pretraining_runs import Settings, assert_same_bits, checkpoints, error_of, events, last_step, losses
from tests.rank_server import RankServer
from tests.small_corpora import flip_bit


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Settings) -> Settings:
    """A checkpoint every other step, of which one is kept."""
    return tiny_recipe | {"save_steps": 2, "save_total_limit": 1, "max_steps": 6}


@pytest.fixture(scope="module")
def undisturbed(rank_server: RankServer, recipe: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing happens to; all its checkpoints are kept."""
    output = tmp_path_factory.mktemp("undisturbed")
    rank_server.run(recipe | {"save_total_limit": None, "output_dir": str(output)})
    return output


# What is called while a checkpoint is written, in this order, and how often before the second one (step 4).
MOMENTS = {
    "in the model": ("save_file", 3),  # after hf/, before the optimizer
    "between two states": ("save_file", 4),
    "before it is whole": ("_finish", 2),
    "before it reaches the disk": ("_sync", 20),
    "before it gets its name": ("replace_directory", 2),
    "before old ones leave": ("prune_checkpoints", 2),
}
_QUICK = ("between two states", "before it gets its name")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        pytest.param(*values, id=name, marks=[] if name in _QUICK else pytest.mark.slow)
        for name, values in MOMENTS.items()
    ],
)
def test_a_kill_in_the_middle_of_a_save_loses_nothing_else(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, tmp_path: Path, function: str, call: int
) -> None:
    recipe = recipe | {"output_dir": str(tmp_path)}
    rank_server.run(recipe, status=None, before="tests.faults:kill_when", options=(function, call))
    left = checkpoints(tmp_path)
    named = function == "prune_checkpoints"
    assert left == (["checkpoint-2", "checkpoint-4"] if named else ["checkpoint-2"])
    assert all(damage(tmp_path / name) is None for name in left)
    shown = rank_server.run(recipe)
    assert f"resume   {tmp_path / left[-1]}" in shown
    assert_same_bits(tmp_path / "checkpoint-6", undisturbed / "checkpoint-6")
    assert losses(tmp_path) == losses(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-6", "hf", "logs", "recipe.yaml"]


@pytest.mark.slow
def test_a_kill_while_an_old_checkpoint_is_removed_leaves_no_half_of_it(
    rank_server: RankServer, recipe: Settings, tmp_path: Path
) -> None:
    recipe = recipe | {"output_dir": str(tmp_path)}
    rank_server.run(recipe, status=None, before="tests.faults:kill_while_pruning")
    assert checkpoints(tmp_path) == ["checkpoint-4"]
    rank_server.run(recipe)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-6", "hf", "logs", "recipe.yaml"]


# ------------------------------------------------------------------------------------------------------------ full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for a few checkpoints."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> None:
    """Leaves no byte on the disk of a folder."""
    status = os.statvfs(directory)
    (directory / "ballast").write_bytes(bytes(status.f_bavail * status.f_frsize))


def test_a_disk_that_is_full_at_the_start_is_one_message_on_all_ranks(
    rank_server: RankServer, recipe: Settings, small_disk: Path
) -> None:
    fill(small_disk)
    output = small_disk / "out"
    message = error_of(rank_server.run(recipe | {"output_dir": str(output)}, status=2))
    assert f"{output}: the run cannot begin" in message
    assert "No space left on device" in message
    assert list(output.iterdir()) == []


def test_a_disk_that_is_full_at_a_restart_leaves_the_run_as_it_is(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, small_disk: Path
) -> None:
    """The log has lines of steps that are done again: it would have to be written anew."""
    output = small_disk / "out"
    shutil.copytree(undisturbed / "checkpoint-4", output / "checkpoint-4")
    shutil.copytree(undisturbed / "logs", output / "logs")
    before = log_path(output).read_bytes()
    fill(small_disk)
    message = error_of(rank_server.run(recipe | {"output_dir": str(output)}, status=2))
    assert "No space left on device" in message
    assert log_path(output).read_bytes() == before
    (small_disk / "ballast").unlink()
    rank_server.run(recipe | {"output_dir": str(output)})
    assert_same_bits(output / "checkpoint-6", undisturbed / "checkpoint-6")


def a_file(directory: Path) -> Path:
    """``output_dir`` is a file."""
    (directory / "out").write_text("")
    return directory / "out"


def in_a_file(directory: Path) -> Path:
    """``output_dir`` would lie in a file."""
    return a_file(directory) / "run"


def logs_in_a_file(directory: Path) -> Path:
    """The folder of logs is a file."""
    (directory / "out").mkdir()
    (directory / "out" / "logs").write_text("")
    return directory / "out"


@pytest.mark.parametrize(
    ("make", "message"),
    [(a_file, "out: is a file"), (in_a_file, "Not a directory"), (logs_in_a_file, "out/logs")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_output_that_cannot_be_written_is_one_message_on_all_ranks(
    rank_server: RankServer, recipe: Settings, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    output = make(tmp_path)
    assert message in error_of(rank_server.run(recipe | {"output_dir": str(output)}, status=2))


def test_a_full_disk_leaves_the_old_checkpoint_and_the_run_goes_on(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, small_disk: Path
) -> None:
    output = small_disk / "out"
    shown = rank_server.run(
        recipe | {"output_dir": str(output), "save_total_limit": 3},
        before="tests.faults:fill_disk",
        options=(str(small_disk), 4, 4),
    )
    assert "warning: the checkpoint of step 4 could not be written" in shown
    assert "No space left on device" in shown
    assert checkpoints(output) == ["checkpoint-2", "checkpoint-6"]
    assert [event["step"] for event in events(output, "save_failed")] == [4]
    assert_same_bits(output / "checkpoint-6", undisturbed / "checkpoint-6")
    assert not list(output.glob(".*"))


def test_a_disk_without_a_byte_left_does_not_end_the_run(
    rank_server: RankServer, recipe: Settings, small_disk: Path
) -> None:
    """The writer of TensorBoard, which has to write too, fails for good."""
    output = small_disk / "out"
    shown = rank_server.run(
        recipe | {"output_dir": str(output), "report_to": "tensorboard", "max_steps": 24},
        before="tests.faults:fill_disk",
        options=(str(small_disk), 4, 21, 0),
    )
    assert shown.count("warning: TensorBoard fails") == 1
    assert checkpoints(output)[-1] == "checkpoint-24"
    assert damage(output / "checkpoint-24") is None
    assert last_step(output) == 24


def test_a_full_disk_stops_the_run_where_that_is_asked_for(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, small_disk: Path
) -> None:
    output = small_disk / "out"
    recipe = recipe | {"output_dir": str(output), "save_failure": "stop"}
    full = {"before": "tests.faults:fill_disk", "options": (str(small_disk), 4, 5)}
    assert "the checkpoint of step 4 could not be written" in error_of(rank_server.run(recipe, status=2, **full))
    assert checkpoints(output) == ["checkpoint-2"]
    assert damage(output / "checkpoint-2") is None
    (small_disk / "ballast").unlink()
    rank_server.run(recipe)
    assert_same_bits(output / "checkpoint-6", undisturbed / "checkpoint-6")


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_end_is_an_error(
    rank_server: RankServer, recipe: Settings, small_disk: Path
) -> None:
    output = small_disk / "out"
    shown = rank_server.run(
        recipe | {"output_dir": str(output)},
        status=2,
        before="tests.faults:fill_disk",
        options=(str(small_disk), 6, 6),
    )
    assert "the checkpoint of step 6 could not be written" in error_of(shown)
    assert checkpoints(output) == ["checkpoint-4"]
    assert not (output / "hf").exists()


# -------------------------------------------------------------------------------------------------- spoiled afterwards


def test_a_half_copied_newest_checkpoint_is_passed_over(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, tmp_path: Path
) -> None:
    for step in (2, 4):
        shutil.copytree(undisturbed / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-4" / "optimizer-exp_avg_sq.safetensors").unlink()
    shown = rank_server.run(recipe | {"output_dir": str(tmp_path)})
    assert f"warning: {tmp_path / 'checkpoint-4'}: optimizer-exp_avg_sq.safetensors is missing; passing over" in shown
    assert f"resume   {tmp_path / 'checkpoint-2'}" in shown
    assert_same_bits(tmp_path / "checkpoint-6", undisturbed / "checkpoint-6")


def test_a_spoiled_checkpoint_that_is_named_is_refused(
    rank_server: RankServer, recipe: Settings, undisturbed: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed / "checkpoint-4", tmp_path / "checkpoint-4")
    flip_bit(tmp_path / "checkpoint-4" / "hf" / "model.safetensors", byte=5000, bit=3)
    output = tmp_path / "out"
    named = recipe | {"output_dir": str(output), "resume": str(tmp_path / "checkpoint-4")}
    message = error_of(rank_server.run(named, status=2))
    assert "hf/model.safetensors is not what was written" in message
    assert not output.exists()
