"""Where tasks run makes no difference to the corpus: this machine, a Slurm cluster, a Ray cluster of two nodes.

The tests on clusters are slow ones (``make test-all``). Slurm's run where ``sbatch`` is, with ``--basetemp`` on a file
system that all its machines see; Ray's start a cluster of two nodes on this machine.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from data_prep.pipeline import steps
from data_prep.pipeline.executors import Runner, executor_options, process_pool
from data_prep.pipeline.slurm_jobs import cancel_jobs_of_killed_runs
from data_prep.pipeline.stages import Stage
from data_prep.pipeline.workspace import UnfinishedFolder, Workspace
from tests.corpus_runs import (
    CLEANING,
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

Captured = pytest.CaptureFixture[str]
CHUNK = 30_000  # two or three chunks: every task of a cluster starts Python and loads the package


@pytest.fixture(scope="module")
def web_text(tmp_path_factory: pytest.TempPathFactory) -> WebText:
    """Input with something for every filter; no near duplicates, which would be four more tasks."""
    text = write_web_text(tmp_path_factory.mktemp("web"))
    text.cleaning.write_text(CLEANING.replace("buckets: 4,", "near: false,"), encoding="utf-8")
    return text


@pytest.fixture(scope="module")
def local(web_text: WebText, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local executor writes: ``corpus`` and ``rejected``."""
    folder = tmp_path_factory.mktemp("local")
    flags = [*web_text.flags(), "--rejected", str(folder / "rejected")]
    assert prepare(web_text.inputs, folder / "corpus", *flags, chunk=CHUNK) == 0
    return folder


def refused(capsys: Captured, status: int) -> str:
    """What a refusal prints."""
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    return error


# ------------------------------------------------------------------------------------------------------------- options


def test_options_are_arguments_of_datatroves_executor() -> None:
    given = ["partition=cpu", "time=24:00:00", "mem_per_cpu_gb=4", "sbatch_args={account: me}", "requeue=false"]
    assert executor_options("slurm", given) == {
        "partition": "cpu",
        "time": "24:00:00",
        "mem_per_cpu_gb": 4,
        "sbatch_args": {"account": "me"},
        "requeue": False,
    }


def test_ray_needs_no_option() -> None:
    assert executor_options("ray", []) == {}


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("local", ["partition=cpu"], "--executor_options partition=cpu: write NAME=VALUE, NAME one of: none for local"),
        (
            "slurm",
            ["partitoin=cpu"],
            "--executor_options partitoin=cpu: write NAME=VALUE, NAME one of: time, partition",
        ),
        ("slurm", ["partition"], "--executor_options partition: write NAME=VALUE"),
        ("slurm", ["partition=cpu", "time=1:00", "tasks=3"], "--executor_options tasks=3: write NAME=VALUE"),
        ("slurm", [], "--executor slurm needs --executor_options time=… partition=…"),
        ("slurm", ["time=1:00"], "--executor slurm needs --executor_options partition=…"),
        ("slurm", ["partition=cpu", "time=1:00", "sbatch_args={a"], "--executor_options sbatch_args={a: "),
        ("slurm", ["partition=cpu", "time=1:00", "mem_per_cpu_gb=many"], "--executor_options mem_per_cpu_gb=many: "),
        ("ray", ["partition=cpu"], "--executor_options partition=cpu: write NAME=VALUE, NAME one of: "),
        ("ray", ["cpus_per_task=two"], "--executor_options cpus_per_task=two: "),
    ],
)
def test_a_wrong_option_is_named(kind: str, given: list[str], message: str) -> None:
    with pytest.raises(InputError) as error:
        executor_options(kind, given)
    assert str(error.value).startswith(message)


def test_a_wrong_option_is_refused_before_anything_is_read(web_text: WebText, tmp_path: Path, capsys: Captured) -> None:
    status = prepare(web_text.inputs, tmp_path / "out", "--executor", "slurm")
    assert "--executor slurm needs --executor_options" in refused(capsys, status)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------ on this machine


def test_a_single_worker_is_this_process() -> None:
    with process_pool(1) as pool:
        assert pool is None


def test_workers_share_what_this_process_has_loaded_and_end_with_the_pool() -> None:
    with process_pool(2) as pool:
        assert pool is not None
        workers = {pool.submit(os.getpid).result() for _ in range(50)}
        assert os.getpid() not in workers and len(workers) <= 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_message_of_a_failing_task_arrives(
    web_text: WebText, tmp_path: Path, capsys: Captured, workers: str
) -> None:
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--strict", "--workers", workers))
    assert error.startswith(f"error: {web_text.inputs[1]}:6: not valid JSON")
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_that_nobody_expected_is_named_with_the_log_that_has_all_of_it(
    web_text: WebText, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    def run(*_: Any) -> None:
        raise ZeroDivisionError("by nought")

    with monkeypatch.context() as patch:
        patch.setattr(steps.Annotate, "run", run)
        error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--workers", workers))
    logs = workspace_of(tmp_path / "out") / "logs" / "annotate" / "logs"
    assert error.startswith(f"error: ZeroDivisionError: by nought; the log is in {logs}\n")
    assert "Traceback" not in error
    assert any("Traceback" in log.read_text(encoding="utf-8") for log in logs.iterdir())
    assert prepare(web_text.inputs, tmp_path / "out", "--workers", workers) == 0


def test_a_failure_that_was_mended_is_not_reported_again(web_text: WebText, tmp_path: Path, capsys: Captured) -> None:
    refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--strict"))
    assert prepare(web_text.inputs, tmp_path / "out") == 0
    assert capsys.readouterr().err == ""


def test_nothing_of_datatroves_log_is_printed(web_text: WebText, tmp_path: Path, capfd: Any) -> None:
    for workers in ("1", "2"):
        assert prepare(web_text.inputs, tmp_path / workers, "--workers", workers) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert "INFO" not in captured.out


# --------------------------------------------------------------------------------------------------------------- Slurm


def queued_jobs() -> set[str]:
    """This user's jobs that wait or run."""
    command = ["squeue", "--noheader", "--me", "--format", "%i"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="session")
def partition() -> str:
    """Of this machine's Slurm; whether it answers is asked once, which takes seconds where it does not."""
    if not shutil.which("sbatch"):
        pytest.skip("Slurm is not installed (no sbatch)")
    answer = subprocess.run(["sinfo", "--noheader", "--format", "%R"], capture_output=True, text=True, check=False)
    if answer.returncode or not answer.stdout.split():
        pytest.skip("no Slurm cluster answers")
    return answer.stdout.split()[0]


@pytest.fixture
def slurm(partition: str) -> Iterator[list[str]]:
    """The flags for this machine's Slurm; jobs that a test leaves are cancelled."""
    before = queued_jobs()
    yield ["--executor", "slurm", "--executor_options", f"partition={partition}", "time=00:10:00"]
    for job in queued_jobs() - before:
        subprocess.run(["scancel", job.split("_")[0]], check=False)


def killed_while_cleaning(text: WebText, output: Path, slurm: list[str]) -> None:
    """A run on Slurm that got SIGKILL at its second stage; its jobs go on."""
    process = start(text.inputs, output, *text.flags(), *slurm)
    while process.poll() is None and not (workspace_of(output) / "clean" / "00000001.arrow").exists():
        time.sleep(0.05)
    process.kill()
    process.communicate()


def gone(jobs: Callable[[], object]) -> bool:
    """Whether there are none within half a minute: a job takes a moment to end."""
    deadline = time.monotonic() + 30
    while jobs() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not jobs()


@pytest.mark.slow
def test_slurm_writes_the_same_bytes(web_text: WebText, local: Path, tmp_path: Path, slurm: list[str]) -> None:
    flags = [*web_text.flags(), "--rejected", str(tmp_path / "rejected"), *slurm]
    assert prepare(web_text.inputs, tmp_path / "corpus", *flags, chunk=CHUNK) == 0
    assert digests(tmp_path / "corpus") == digests(local / "corpus")
    assert digests(tmp_path / "rejected") == digests(local / "rejected")


@pytest.mark.slow
def test_the_message_of_a_task_that_fails_on_slurm_arrives(
    web_text: WebText, tmp_path: Path, capsys: Captured, slurm: list[str]
) -> None:
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--strict", *slurm))
    assert error.startswith(f"error: {web_text.inputs[1]}:6: not valid JSON")
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_failed_run_leaves_no_jobs_on_slurm(
    web_text: WebText, tmp_path: Path, capsys: Captured, slurm: list[str]
) -> None:
    before = queued_jobs()
    refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--strict", *slurm))
    assert gone(lambda: queued_jobs() - before)


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_jobs_on_slurm(web_text: WebText, tmp_path: Path, slurm: list[str]) -> None:
    # With --restart they would write into the next run what the settings of this one say.
    before = queued_jobs()
    process = start(web_text.inputs, tmp_path / "out", *web_text.flags(), *slurm)
    while process.poll() is None and not (workspace_of(tmp_path / "out") / "clean" / "00000001.arrow").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert gone(lambda: queued_jobs() - before)


@pytest.mark.slow
def test_jobs_of_a_killed_run_do_not_write_into_a_restart_with_other_settings(
    web_text: WebText, tmp_path: Path, slurm: list[str]
) -> None:
    killed_while_cleaning(web_text, tmp_path / "out", slurm)
    (tmp_path / "other.yaml").write_text("steps: [{name: length, min_han: 400}]", encoding="utf-8")
    flags = ["--cleaning", str(tmp_path / "other.yaml")]
    assert prepare(web_text.inputs, tmp_path / "out", *flags, "--restart", *slurm, chunk=CHUNK) == 0
    assert prepare(web_text.inputs, tmp_path / "local", *flags) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "local")


@pytest.mark.slow
def test_jobs_of_a_killed_run_that_cannot_be_cancelled_do_not_write_into_a_restart(
    web_text: WebText, tmp_path: Path, slurm: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_cleaning(web_text, tmp_path / "out", slurm)
    monkeypatch.setattr("data_prep.corpus.cancel_jobs_of_killed_runs", lambda folder: None)
    (tmp_path / "other.yaml").write_text("steps: [{name: length, min_han: 400}]", encoding="utf-8")
    flags = ["--cleaning", str(tmp_path / "other.yaml")]
    assert queued_jobs()
    assert prepare(web_text.inputs, tmp_path / "out", *flags, "--restart") == 0
    assert prepare(web_text.inputs, tmp_path / "local", *flags) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "local")


@pytest.mark.slow
def test_a_killed_run_that_goes_on_first_cancels_its_jobs(
    web_text: WebText, tmp_path: Path, capsys: Captured, slurm: list[str]
) -> None:
    killed_while_cleaning(web_text, tmp_path / "out", slurm)
    assert queued_jobs()
    assert prepare(web_text.inputs, tmp_path / "out", *web_text.flags()) == 0  # this time on this machine
    assert re.search(r"cancelled the jobs of an earlier run: \d+\ngoing on in", capsys.readouterr().out)
    assert not queued_jobs()
    assert prepare(web_text.inputs, tmp_path / "local", *web_text.flags()) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "local")


@pytest.fixture
def imitated_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of jobs, ``ID NAME`` a line, that ``squeue`` shows; ``scancel`` takes out those of the given ids."""
    (tmp_path / "bin").mkdir()
    queue = tmp_path / "queue"
    programs = {"squeue": f"cat {queue}", "scancel": f'for id; do sed -i "/^$id /d" {queue}; done'}
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return queue


def submitted(folder: UnfinishedFolder, name: str) -> Workspace:
    """A workspace of a run that submitted jobs."""
    workspace = Workspace(folder.directory / name)
    workspace.logs("clean").mkdir(parents=True)
    (workspace.logs("clean") / "launch_script.slurm").touch()
    return workspace


def test_all_jobs_of_earlier_runs_are_cancelled_and_no_others(
    imitated_slurm: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = UnfinishedFolder(tmp_path / "out.unfinished")
    for name in ("run-aaaaaaaa", "run-bbbbbbbb"):
        submitted(folder, name)
    jobs = ["7 corpus-clean-run-aaaaaaaa", "7 corpus-clean-run-aaaaaaaa", "8 my job-run-aaaaaaaa"]
    jobs += ["9 corpus-read-run-bbbbbbbb", "10 corpus-clean-run-cccccccc", "11 bash"]
    imitated_slurm.write_text("\n".join(jobs) + "\n", encoding="utf-8")
    cancel_jobs_of_killed_runs(folder)
    assert imitated_slurm.read_text(encoding="utf-8").splitlines() == jobs[-2:]
    printed = capsys.readouterr().out
    assert "earlier run: 7, 8\n" in printed and "earlier run: 9\n" in printed


def test_a_machine_without_slurm_goes_on_without_cancelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = UnfinishedFolder(tmp_path / "out.unfinished")
    submitted(folder, "run-aaaaaaaa")
    monkeypatch.setenv("PATH", str(tmp_path))
    cancel_jobs_of_killed_runs(folder)


def test_a_task_of_a_run_that_was_given_up_does_nothing(web_text: WebText, tmp_path: Path) -> None:
    given_up = Workspace(tmp_path / "out.unfinished" / "run-aaaaaaaa")
    stage = Stage("clean", "cleaning", [steps.ReadChunk(given_up, "read", "clean")], 1)
    with pytest.raises(InputError, match="run-aaaaaaaa: this run has been given up"):
        Runner("local", given_up, 1, {}, None).run(stage)
    assert not (given_up.directory / "failures").exists()


def test_what_slurm_refuses_is_an_error_with_its_words(
    web_text: WebText, tmp_path: Path, capfd: Any, slurm: list[str]
) -> None:
    flags = [*slurm, "partition=there_is_no_such_partition"]
    assert prepare(web_text.inputs, tmp_path / "out", *flags) == 2
    error = capfd.readouterr().err
    assert "invalid partition" in error
    assert "\nerror: " in f"\n{error}" and "Traceback" not in error


def test_a_machine_without_slurm_is_told_so(
    web_text: WebText, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ["--executor", "slurm", "--executor_options", "partition=cpu", "time=1:00"]
    assert "sbatch" in refused(capsys, prepare(web_text.inputs, tmp_path / "out", *options))


# ----------------------------------------------------------------------------------------------------------------- Ray


def ray_processes() -> list[str]:
    """The command lines of processes of Ray clusters on this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "gcs_server" in command or "raylet" in command or command.startswith("ray::"):
            found.append(command)
    return found


@pytest.fixture
def no_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none on this machine."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if ray_processes():
        pytest.skip("a Ray cluster is running on this machine")


def test_a_missing_ray_cluster_is_named_with_how_to_start_one(
    web_text: WebText, tmp_path: Path, capsys: Captured, no_ray_cluster: None
) -> None:
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--executor", "ray"))
    assert error.startswith("error: --executor ray: no Ray cluster is running; start one with 'ray start --head'")


def test_a_missing_ray_is_named_with_how_to_install_it(
    web_text: WebText, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--executor", "ray"))
    assert "pip install 'chinesebert-pretraining[ray]'" in error


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A cluster of two nodes with a processor each; it is gone when the tests of this module end."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    before = set(ray_processes())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()
    assert gone(lambda: set(ray_processes()) - before)


@pytest.fixture
def ray_cluster(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The cluster is the one that is found."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    return ray_address


@pytest.mark.slow
def test_ray_writes_the_same_bytes_on_two_nodes(
    web_text: WebText, local: Path, tmp_path: Path, ray_cluster: str
) -> None:
    flags = [*web_text.flags(), "--rejected", str(tmp_path / "rejected"), "--executor", "ray"]
    with nodes_at_work() as nodes:
        assert prepare(web_text.inputs, tmp_path / "corpus", *flags, chunk=CHUNK) == 0
    assert digests(tmp_path / "corpus") == digests(local / "corpus")
    assert digests(tmp_path / "rejected") == digests(local / "rejected")
    assert len(nodes) == 2


@contextlib.contextmanager
def nodes_at_work() -> Iterator[set[int]]:
    """The nodes whose processes run tasks of ours in the meantime. (Ray itself tells only through its dashboard.)"""
    nodes: set[int] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for folder in Path("/proc").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    if (folder / "cmdline").read_bytes().startswith(b"ray::_run_task"):
                        # pid (name) state parent …; the parent of a worker is its node's raylet
                        nodes.add(int((folder / "stat").read_text().rpartition(")")[2].split()[1]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield nodes
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "asked"),
    [
        ("cpus_per_task=1000", "asks for 1000 CPUs (cpus_per_task)"),
        ("mem_per_cpu_gb=90000", "and 90000.0 GB (cpus_per_task × mem_per_cpu_gb)"),
    ],
)
def test_a_task_that_no_node_of_ray_has_room_for_is_refused(
    web_text: WebText, tmp_path: Path, ray_cluster: str, option: str, asked: str
) -> None:
    process = start(web_text.inputs, tmp_path / "out", "--executor", "ray", "--executor_options", option)
    try:
        printed, _ = process.communicate(timeout=40)
        assert process.returncode == 2, printed
        assert asked in printed and "the largest node has 1 CPUs and" in printed
    finally:
        if processes_of_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.slow
def test_the_message_of_a_task_that_fails_on_ray_arrives(
    web_text: WebText, tmp_path: Path, capsys: Captured, ray_cluster: str
) -> None:
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "out", "--strict", "--executor", "ray"))
    assert error.startswith(f"error: {web_text.inputs[1]}:6: not valid JSON")
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_run_that_was_begun_here_goes_on_on_ray(
    web_text: WebText, local: Path, tmp_path: Path, ray_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*web_text.flags(), "--rejected", str(tmp_path / "rejected")]

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps.Annotate, "run", interrupt)
        assert prepare(web_text.inputs, tmp_path / "corpus", *flags, chunk=CHUNK) == 130
    assert completed_tasks(tmp_path / "corpus")
    assert prepare(web_text.inputs, tmp_path / "corpus", *flags, "--executor", "ray", chunk=CHUNK) == 0
    assert digests(tmp_path / "corpus") == digests(local / "corpus")


@pytest.mark.slow
def test_a_corpus_of_which_all_is_dropped_on_ray_is_an_error_with_the_table(
    web_text: WebText, tmp_path: Path, capsys: Captured, ray_cluster: str
) -> None:
    (tmp_path / "all.yaml").write_text("steps: [{name: length, min_han: 100000}]")
    flags = ["--cleaning", str(tmp_path / "all.yaml"), "--executor", "ray"]
    status = prepare(web_text.inputs, tmp_path / "out", *flags, chunk=1_000_000, group_bytes=1_000_000)
    captured = capsys.readouterr()
    assert status == 2
    assert "length: too few Han characters" in captured.out
    assert [path.name for path in tmp_path.iterdir()] == ["all.yaml"]


@pytest.mark.slow
def test_ctrl_c_ends_a_run_on_ray(web_text: WebText, tmp_path: Path, ray_cluster: str) -> None:
    process = start(web_text.inputs, tmp_path / "out", *web_text.flags(), "--executor", "ray")
    try:
        while process.poll() is None and not (workspace_of(tmp_path / "out") / "clean" / "00000001.arrow").exists():
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == 130, printed
        assert f"what is done is kept in {unfinished_folder(tmp_path / 'out')}" in printed
        assert gone(lambda: [command for command in ray_processes() if command.startswith("ray::_run_task")])
    finally:
        if processes_of_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
