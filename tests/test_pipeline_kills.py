"""The corpus program killed at any moment: nothing half done is seen, and the same command ends with the same bytes."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_prep.pipeline.steps import Annotate
from data_prep.pipeline.workspace import UnfinishedFolder
from tests.corpus_runs import (
    WebText,
    completed_tasks,
    digests,
    prepare,
    processes_of_group,
    start,
    unfinished_folder,
    workspace_of,
    write_web_text,
)

Process = subprocess.Popen
_PATIENCE = 120.0
KILLS = 10


@pytest.fixture(scope="module")
def web_text(tmp_path_factory: pytest.TempPathFactory) -> WebText:
    """Input with something for every filter. Do not change it."""
    return write_web_text(tmp_path_factory.mktemp("web"))


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed: the folder with its ``corpus`` and ``rejected``, and how many tasks it had."""

    folder: Path
    tasks: int


@pytest.fixture(scope="module")
def undisturbed(web_text: WebText, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What the killed runs are compared with."""
    output = tmp_path_factory.mktemp("undisturbed") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnfinishedFolder, "clear", lambda folder: None)
        assert prepare(web_text.inputs, output, *flags_for(web_text, output)) == 0
    tasks = len(completed_tasks(output))
    shutil.rmtree(unfinished_folder(output))
    return Undisturbed(output.parent, tasks)


def flags_for(text: WebText, output: Path, workers: int = 1) -> list[str]:
    """All cleaning, the dropped documents beside the corpus."""
    return [*text.flags(), "--rejected", str(output.parent / "rejected"), "--workers", str(workers)]


@pytest.fixture
def started(tmp_path: Path, web_text: WebText) -> Iterator[Callable[[int], "Process[str]"]]:
    """Starts the program on ``tmp_path / "corpus"`` with so many workers; it is gone when the test ends."""
    processes: list[Process[str]] = []

    def begin(workers: int) -> "Process[str]":
        flags = flags_for(web_text, tmp_path / "corpus", workers)
        processes.append(start(web_text.inputs, tmp_path / "corpus", *flags))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None or processes_of_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(condition: Callable[[], object], process: "Process[str] | None" = None) -> bool:
    """Waits until something is so; whether it came to be before the process ended."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        if process is not None and process.poll() is not None:
            return bool(condition())
        time.sleep(0.005)
    return True


def finish(text: WebText, output: Path) -> None:
    """The same command once more."""
    assert prepare(text.inputs, output, *flags_for(text, output)) == 0


def same_as(undisturbed: Undisturbed, folder: Path) -> bool:
    """Corpus and dropped documents are those of the undisturbed run, and nothing else is left."""
    return sorted(path.name for path in folder.iterdir()) == ["corpus", "rejected"] and whole(undisturbed, folder)


def whole(undisturbed: Undisturbed, folder: Path) -> bool:
    """Corpus and dropped documents are those of the undisturbed run."""
    return all(digests(folder / name) == digests(undisturbed.folder / name) for name in ("corpus", "rejected"))


def kill(process: "Process[str]") -> None:
    """SIGKILL to the main process alone; returns when it and its workers are gone."""
    process.kill()
    process.wait()
    assert wait_until(lambda: not processes_of_group(process.pid))


# ------------------------------------------------------------------------------------------------ the program is killed


@pytest.mark.parametrize(
    ("chunk", "workers"), [("clean/00000003.arrow", 2), ("pieces/00000002.arrow", 1)], ids=["cleaning", "annotating"]
)
def test_killed_while_it_works_it_goes_on_to_the_same_bytes(
    started: Callable[[int], "Process[str]"],
    tmp_path: Path,
    web_text: WebText,
    undisturbed: Undisturbed,
    chunk: str,
    workers: int,
) -> None:
    process = started(workers)
    assert wait_until(lambda: (workspace_of(tmp_path / "corpus") / chunk).exists(), process)
    process.kill()
    process.wait()
    done = completed_tasks(tmp_path / "corpus")
    assert "read/00001" in done and "assemble/00000" not in done
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.unfinished"]
    finish(web_text, tmp_path / "corpus")  # at once, as a script does that runs the command until it succeeds
    assert same_as(undisturbed, tmp_path)
    assert not processes_of_group(process.pid)


@pytest.mark.slow
def test_workers_end_with_the_program_and_a_rerun_waits_for_that(
    started: Callable[[int], "Process[str]"], tmp_path: Path, web_text: WebText, undisturbed: Undisturbed
) -> None:
    process = started(4)
    assert wait_until(lambda: (workspace_of(tmp_path / "corpus") / "clean" / "00000001.arrow").exists(), process)
    assert len(processes_of_group(process.pid)) == 5
    process.kill()
    process.wait()
    killed = time.monotonic()
    finish(web_text, tmp_path / "corpus")  # a script that runs the command until it succeeds does not wait either
    assert same_as(undisturbed, tmp_path)
    assert wait_until(lambda: not processes_of_group(process.pid))
    assert time.monotonic() - killed < 10


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(
    started: Callable[[int], "Process[str]"],
    tmp_path: Path,
    web_text: WebText,
    undisturbed: Undisturbed,
    workers: int,
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    output = tmp_path / "corpus"
    # Spread over the run: each when some share of the tasks is complete, and a little (some tasks) later.
    for share in sorted(moments.random() for _ in range(KILLS)):
        process = started(workers)
        enough = share * undisturbed.tasks
        going = wait_until(lambda enough=enough: len(completed_tasks(output)) >= enough, process)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.1))
        print(f"killed after {len(completed_tasks(output))} of {undisturbed.tasks} tasks")
        kill(process)
        assert going or whole(undisturbed, tmp_path)
    finish(web_text, output)
    assert same_as(undisturbed, tmp_path)


@pytest.mark.slow
def test_killed_at_any_time_of_its_life_it_shows_a_whole_corpus_or_none(
    started: Callable[[int], "Process[str]"], tmp_path: Path, web_text: WebText, undisturbed: Undisturbed
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    begun = time.monotonic()
    started(2).wait()
    life = time.monotonic() - begun
    assert same_as(undisturbed, tmp_path)
    # The first half is imports.
    for moment in random.Random(seed).sample(range(50, 100), KILLS):
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
        process = started(2)
        time.sleep(life * moment / 100)
        print(f"killed after {moment} % of its life; {len(completed_tasks(tmp_path / 'corpus'))} tasks complete")
        kill(process)
        # Killed while it clears its work away, it leaves some; test_killed_while_it_clears_… is about that.
        assert not (tmp_path / "corpus").exists() or whole(undisturbed, tmp_path)
    finish(web_text, tmp_path / "corpus")
    assert same_as(undisturbed, tmp_path)


@pytest.mark.parametrize("seconds", [0, 0.005])
def test_killed_while_it_clears_its_work_away_the_next_run_clears_the_rest(
    started: Callable[[int], "Process[str]"],
    tmp_path: Path,
    web_text: WebText,
    undisturbed: Undisturbed,
    seconds: float,
) -> None:
    process = started(2)
    assert wait_until((tmp_path / "corpus").exists, process)
    time.sleep(seconds)
    kill(process)
    assert whole(undisturbed, tmp_path)
    finish(web_text, tmp_path / "corpus")
    assert same_as(undisturbed, tmp_path)


# ------------------------------------------------------------------------------------------------- one worker is killed


def test_a_killed_worker_is_reported_and_a_rerun_gives_the_same_bytes(
    started: Callable[[int], "Process[str]"], tmp_path: Path, web_text: WebText, undisturbed: Undisturbed
) -> None:
    process = started(2)
    assert wait_until(lambda: (workspace_of(tmp_path / "corpus") / "clean" / "00000001.arrow").exists(), process)
    worker = next(pid for pid in processes_of_group(process.pid) if pid != process.pid)
    os.kill(worker, signal.SIGKILL)
    printed, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 2
    assert "error: a worker process was killed, most likely because memory ran out; use fewer --workers" in printed
    assert f"what is done is kept in {unfinished_folder(tmp_path / 'corpus')}" in printed
    assert "Traceback" not in printed
    assert not processes_of_group(process.pid)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.unfinished"]
    finish(web_text, tmp_path / "corpus")
    assert same_as(undisturbed, tmp_path)


# ------------------------------------------------------------------------------------------------------ SIGTERM, Ctrl-C


@pytest.mark.parametrize(
    ("name", "to_group", "workers"),
    [
        ("SIGINT", True, 2),  # Ctrl-C goes to all processes of the terminal
        ("SIGTERM", False, 1),
        pytest.param("SIGINT", True, 1, marks=pytest.mark.slow),
        pytest.param("SIGTERM", False, 2, marks=pytest.mark.slow),
        pytest.param("SIGTERM", True, 2, marks=pytest.mark.slow),
    ],
)
def test_stopped_it_says_how_to_go_on_and_the_rerun_does_the_rest(
    started: Callable[[int], "Process[str]"],
    tmp_path: Path,
    web_text: WebText,
    undisturbed: Undisturbed,
    workers: int,
    name: str,
    to_group: bool,
) -> None:
    process = started(workers)
    assert wait_until(lambda: (workspace_of(tmp_path / "corpus") / "pieces" / "00000001.arrow").exists(), process)
    (os.killpg if to_group else os.kill)(process.pid, getattr(signal, name))
    printed, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode != 0
    assert not processes_of_group(process.pid)
    assert "Traceback" not in printed
    assert f"what is done is kept in {unfinished_folder(tmp_path / 'corpus')}: the same command goes on" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.unfinished"]
    done = completed_tasks(tmp_path / "corpus")
    annotated = recorded_ranks(lambda: finish(web_text, tmp_path / "corpus"))
    assert annotated and not {f"annotate/{rank:05d}" for rank in annotated} & set(done)
    assert same_as(undisturbed, tmp_path)


def recorded_ranks(run: Callable[[], None]) -> list[int]:
    """The chunks that are annotated while ``run`` runs."""
    original = Annotate.run
    ranks: list[int] = []

    def record(self: Annotate, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        ranks.append(rank)
        return original(self, data, rank, world_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Annotate, "run", record)
        run()
    return ranks
