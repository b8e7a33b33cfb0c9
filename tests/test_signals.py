"""The end of a run before its last step, with the real launcher: signals to ranks, launcher and group, and SIGKILL."""

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chinesebert.training.checkpoints import damage
from tests.pretraining_runs import (
    Settings,
    assert_same_bits,
    checkpoints,
    descendants,
    entries,
    events,
    finish,
    is_alive,
    kill_all,
    last_step,
    launch,
    losses,
    printed,
    ranks_of,
    start,
    wait_until,
)
from tests.rank_server import RankServer

Launcher = "subprocess.Popen[bytes]"


def to_ranks(number: signal.Signals) -> Callable[[Launcher], None]:
    """Sends a signal to every rank, and to nobody else."""

    def send(process: Launcher) -> None:
        for rank in ranks_of(process):
            os.kill(rank, number)

    return send


def to_one_rank(process: Launcher) -> None:
    """Sends SIGTERM to the second rank alone."""
    os.kill(ranks_of(process)[1], signal.SIGTERM)


def to_launcher(process: Launcher) -> None:
    """What ``kill PID`` does: the launcher ends at once, and its ranks are to notice."""
    process.terminate()


def to_group(number: signal.Signals) -> Callable[[Launcher], None]:
    """Sends a signal to launcher and ranks alike, as a terminal (Ctrl-C) and batch systems (SIGTERM) do."""
    return lambda process: os.killpg(process.pid, number)


def stop(recipe: Settings, directory: Path, send: Callable[[Launcher], None], status: int | None) -> Path:
    """Stops an endless run after its third step; it must have saved where it stood."""
    output = directory / "out"
    process = start(recipe | {"max_steps": 100_000, "output_dir": str(output)}, directory)
    try:
        wait_until(lambda: last_step(output) >= 3, "its third step", process)
        below = descendants(process.pid)
        send(process)
        wait_until(lambda: not any(map(is_alive, below)), "the end of the ranks")
    finally:
        finish(process, directory, status)
    (stopped,) = events(output, "stopped")
    assert checkpoints(output) == [f"checkpoint-{stopped['step']}"]
    assert stopped["step"] == last_step(output)
    assert damage(output / f"checkpoint-{stopped['step']}") is None
    assert "the same command goes on from there" in printed(directory)
    assert 'pretrain.py", line' not in printed(directory)  # no traceback; that of the launcher does not count
    return output


def test_sigterm_to_the_ranks_saves_and_ends_well_and_the_same_command_goes_on(
    tiny_recipe: Settings, rank_server: RankServer, tmp_path: Path
) -> None:
    output = stop(tiny_recipe, tmp_path, to_ranks(signal.SIGTERM), status=0)
    assert "stopped by SIGTERM" in printed(tmp_path)
    step = last_step(output)
    # As long as it is in all: the learning rate falls towards the last step.
    recipe = tiny_recipe | {"lr_scheduler_type": "constant", "max_steps": step + 2}
    rank_server.run(recipe | {"output_dir": str(output)})
    assert [entry["step"] for entry in entries(output)] == list(range(1, step + 3))


def listens(process: int) -> bool:
    """Whether a process does something of its own when it gets SIGTERM."""
    try:
        (caught,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
    except (OSError, ValueError):
        return False
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
def test_a_signal_while_ranks_start_up_ends_them_well(tiny_recipe: Settings, tmp_path: Path) -> None:
    """They listen before their imports, which take seconds."""
    process = start(tiny_recipe | {"output_dir": str(tmp_path / "out")}, tmp_path)
    try:
        wait_until(lambda: len(descendants(process.pid)) > 1 and len(ranks_of(process)) == 2, "two ranks", process)
        wait_until(lambda: all(map(listens, ranks_of(process))), "ranks that listen", process)
        to_ranks(signal.SIGTERM)(process)
    finally:
        finish(process, tmp_path, status=0)
    assert "stopped by SIGTERM before it began; nothing is lost" in printed(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_launcher_that_is_killed_alone_takes_its_ranks_along(tiny_recipe: Settings, tmp_path: Path) -> None:
    stop(tiny_recipe, tmp_path, to_launcher, status=-signal.SIGTERM)
    assert "stopped by the end of its launcher" in printed(tmp_path)


@pytest.mark.slow
def test_sigint_to_the_ranks_saves_and_ends_well(tiny_recipe: Settings, tmp_path: Path) -> None:
    stop(tiny_recipe, tmp_path, to_ranks(signal.SIGINT), status=0)
    assert "stopped by SIGINT" in printed(tmp_path)


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all(tiny_recipe: Settings, tmp_path: Path) -> None:
    stop(tiny_recipe, tmp_path, to_one_rank, status=0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_the_whole_group_saves(tiny_recipe: Settings, tmp_path: Path, number: signal.Signals) -> None:
    """DeepSpeed's launcher, which gets the signal too, hands it on to the ranks and ends with a status of its own."""
    stop(tiny_recipe | {"dataloader_num_workers": 1}, tmp_path, to_group(number), status=None)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_kills_at_random_moments_change_no_bit(tiny_recipe: Settings, tmp_path: Path) -> None:
    """Kills hit all processes or one rank; while they start, after some steps, and so now and then during a save."""
    recipe = tiny_recipe | {"max_steps": 400, "save_steps": 5, "save_total_limit": 2, "dataloader_num_workers": 1}
    launch(recipe | {"output_dir": str(tmp_path / "undisturbed")}, tmp_path / "a")
    output, draw = tmp_path / "killed", random.Random(20)
    for _ in range(20):
        process = start(recipe | {"output_dir": str(output)}, tmp_path / "b")
        try:
            if draw.random() < 0.2:
                time.sleep(draw.uniform(0, 10))
            else:
                target = last_step(output) + draw.randint(1, 20)
                wait_until(lambda target=target: last_step(output) >= target, f"step {target}", process)
                time.sleep(draw.uniform(0, 0.3))
            assert process.poll() is None
            below = descendants(process.pid)
            if draw.random() < 0.5 and len(below) > 2:
                os.kill(ranks_of(process)[draw.randrange(2)], signal.SIGKILL)
                finish(process, tmp_path / "b", status=None)
        finally:
            kill_all(process)
        assert all(damage(output / name) is None for name in checkpoints(output))
    launch(recipe | {"output_dir": str(output)}, tmp_path / "b")
    assert_same_bits(output / "checkpoint-400", tmp_path / "undisturbed" / "checkpoint-400")
    assert losses(output) == losses(tmp_path / "undisturbed")
    assert not list(output.glob(".*"))
