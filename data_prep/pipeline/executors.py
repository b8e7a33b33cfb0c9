"""Where stages run: datatrove's executors, on this machine, on a Slurm cluster or on a Ray cluster.

The tasks are the same everywhere; an executor runs those that are not complete yet, and an exception of any of them
ends the run with its message. What is complete stays so, and a rerun goes on from there.
"""

import contextlib
import ctypes
import inspect
import json
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.logging import logger

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from data_prep.pipeline.slurm_jobs import cancel_jobs, job_name, jobs_of
from data_prep.pipeline.stages import Stage
from data_prep.pipeline.workspace import Workspace

EXECUTORS = ("local", "slurm", "ray")
_REPOSITORY = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1  # of prctl(2)
# So often squeue must say that there are no jobs: right after sbatch, or when it is busy, it may know of none.
_GONE_AFTER = 4
# Tasks of a stage are put into so many jobs, where --workers does not say how many run at a time.
_SLURM_JOBS = 500
_WORKER_DIED = (
    "a worker process was killed, most likely because memory ran out; use fewer --workers and run the same command "
    "again: it goes on where it stopped"
)
# What this program decides itself, of the arguments of datatrove's executors.
_OURS = {"self", "pipeline", "tasks", "workers", "logging_dir", "depends", "depends_job_id", "skip_completed"}


class WorkerDied(InputError):
    """A process of the pool is gone without a word."""


class _TaskMixin(PipelineExecutor):
    """Keeps datatrove's log out of the terminal (it is in the log files), and leaves a note of what went wrong."""

    workspace: Workspace
    stage: str
    pipeline: list[Any]

    @property
    def failures(self) -> Path:
        """The folder of the notes."""
        return self.workspace.task_file("failures", self.stage, 0).parent

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        if not self.workspace.settings.exists():  # a job that outlives its run must not work on for nobody
            raise InputError(f"{self.workspace.directory}: this run has been given up")
        try:
            with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
                return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as error:
            self._note_failure(rank, error)
            raise
        finally:
            logger.remove()  # datatrove has put its default back, which would print what follows

    def _note_failure(self, rank: int, error: Exception) -> None:
        with contextlib.suppress(OSError):  # the disk may be what has failed
            self.failures.mkdir(parents=True, exist_ok=True)
            note = {"expected": isinstance(error, InputError | OSError), "error": _describe(error, self.workspace)}
            with atomic_file(self.failures / f"{rank:08d}.json") as unfinished:  # others wait for it to appear
                unfinished.write_text(json.dumps(note), encoding="utf-8")


def _describe(error: Exception, workspace: Workspace) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return workspace.describe(error)
    return f"{type(error).__name__}: {error}"


class LocalExecutor(_TaskMixin, LocalPipelineExecutor):
    """datatrove's local executor over a pool of processes that lasts for the whole run; without a pool, in this one."""

    def __init__(self, pool: ProcessPoolExecutor | None, workspace: Workspace, stage: str, **options: Any) -> None:
        super().__init__(**options)
        self.workspace, self.stage = workspace, stage
        self._pool = pool

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pool"}

    def run(self) -> None:
        """Runs all tasks that are not complete; the first error ends it."""
        ranks = self.get_incomplete_ranks(range(self.tasks))
        if self._pool is None:
            pipeline = self.pipeline
            for rank in ranks:
                self.pipeline = deepcopy(pipeline)  # steps keep statistics
                self._run_for_rank(rank)
            return
        tasks = [self._pool.submit(_run_task, self, rank) for rank in ranks]
        try:
            _wait_for_all(tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise


def _run_task(executor: LocalExecutor, rank: int) -> None:
    executor._run_for_rank(rank)


def _wait_for_all(tasks: Sequence[Future[None]]) -> None:
    try:
        for task in as_completed(tasks):
            task.result()
    except BrokenProcessPool as error:
        raise WorkerDied(_WORKER_DIED) from error


@contextlib.contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Worker processes, forked from this one: they share what it has loaded so far; None for a single worker.

    Call it before anything starts threads.
    """
    if workers == 1:
        yield None
        return
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))
    for task in [pool.submit(os.getpid) for _ in range(workers)]:
        task.result()
    try:
        yield pool
    except BaseException:
        _stop(pool)
        raise
    pool.shutdown()


def _stop(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once. What they were writing is written aside, and is written again by the next run."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):  # Linux ends this process at once when the main one is killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when the main one is gone: two runs must not write at the same time."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class RayExecutor(_TaskMixin, RayPipelineExecutor):
    """datatrove's Ray executor, its tasks run as plain tasks of Ray.

    datatrove makes an actor and a pool of processes for each, which takes longer than most tasks here, and waits for
    ever if such a process is killed.
    """

    def __init__(self, workspace: Workspace, stage: str, **options: Any) -> None:
        super().__init__(**options)
        self.workspace, self.stage = workspace, stage

    def run(self) -> None:
        """Runs all tasks that are not complete; the first error ends it.

        Raises:
            InputError: no node of the cluster has room for a task.
        """
        import ray

        asked = {
            "num_cpus": self.cpus_per_task,
            "memory": int(self.mem_per_cpu_gb * self.cpus_per_task * 2**30),
            **(self.ray_remote_kwargs or {}),
        }
        _check_room(asked["num_cpus"], asked["memory"])
        task = ray.remote(_run_task).options(**asked)
        executor, waiting = ray.put(self), self.get_incomplete_ranks(range(self.tasks))
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    running.append(task.remote(executor, waiting.pop(0)))
                done, running = ray.wait(running)
                ray.get(done)  # after an error the tasks that run end with the connection, see ray_cluster
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.WorkerCrashedError as error:
            raise WorkerDied(_WORKER_DIED) from error


def _check_room(cpus: float, memory: int) -> None:
    """Ray lets a task that no node has room for wait for ever."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    rooms = [(node.get("CPU", 0.0), node.get("memory", 0.0)) for node in nodes]
    if any(cpus <= room[0] and memory <= room[1] for room in rooms):
        return
    largest = max(rooms, default=(0.0, 0.0))
    raise InputError(
        f"--executor ray: no node has room for a task. It asks for {cpus:g} CPUs (cpus_per_task) and "
        f"{memory / 2**30:.1f} GB (cpus_per_task × mem_per_cpu_gb); the largest node has {largest[0]:g} CPUs and "
        f"{largest[1] / 2**30:.1f} GB. Give smaller ones in --executor_options, or start a larger node"
    )


class SlurmExecutor(_TaskMixin, SlurmPipelineExecutor):
    """datatrove's Slurm executor; ``run`` stays until the jobs are through, so that the next stage can follow."""

    def __init__(self, workspace: Workspace, stage: str, **options: Any) -> None:
        super().__init__(**options)
        self.workspace, self.stage = workspace, stage

    def run(self) -> None:
        """Submits the tasks that are not complete and waits; inside a job, runs the tasks of that job."""
        if "SLURM_ARRAY_TASK_ID" in os.environ:
            super().run()
            return
        os.environ.pop("SBATCH_JOB_NAME", None)  # would take the place of the name that jobs are found by
        try:
            super().run()
            self._wait()
        except subprocess.CalledProcessError as error:
            raise InputError(f"{error.cmd[0]} refused the jobs: {error.stderr or error}") from error
        except FileNotFoundError as error:
            raise InputError(f"--executor slurm: {error.filename} is not installed on this machine") from error
        finally:
            if self.get_incomplete_ranks():  # after an error, or Ctrl-C: the next run submits them again
                cancel_jobs(self.workspace)

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """datatrove's, with a name that tells which run a job belongs to."""
        arguments: dict[str, Any] = super().get_sbatch_args(max_array)
        return arguments | {"job-name": job_name(arguments["job-name"], self.workspace)}

    def launch_merge_stats(self) -> None:
        """Nothing: the counts are ours, and such a job would write when the folder is gone."""

    def _wait(self) -> None:
        gone = 0
        while self.get_incomplete_ranks() and not list(self.failures.glob("*.json")):
            gone = 0 if jobs_of(self.workspace) else gone + 1
            if gone >= _GONE_AFTER:
                return
            time.sleep(_POLL_SECONDS)


class Runner:
    """Runs stage after stage with one kind of executor.

    Args:
        kind: one of ``EXECUTORS``.
        workspace: of the run.
        workers: tasks at a time.
        options: further arguments of datatrove's executor.
        pool: for ``local``.
    """

    def __init__(
        self, kind: str, workspace: Workspace, workers: int, options: dict[str, Any], pool: ProcessPoolExecutor | None
    ) -> None:
        self._kind, self._workspace, self._workers = kind, workspace, workers
        self._options, self._pool = options, pool
        logger.remove()  # datatrove prints its log to the terminal; it is in the log files too

    def run(self, stage: Stage) -> None:
        """Runs a stage to its end.

        Raises:
            InputError: a task failed; the message is that of the first.
        """
        executor = self._executor(stage)
        for note in executor.failures.glob("*.json"):
            note.unlink()  # of an earlier try
        log = logger.add(self._workspace.logs(stage.name) / "executor.log", level="DEBUG")
        try:
            executor.run()
        except (InputError, OSError):
            raise
        except Exception as error:
            self._raise_failure(executor)
            raise InputError(
                f"{stage.label}: {_describe(error, self._workspace)}"
            ) from error  # there was no room for a note
        finally:
            with contextlib.suppress(ValueError):  # a task in this process has removed it
                logger.remove(log)
        if executor.get_incomplete_ranks():
            self._raise_failure(executor)
            raise InputError(
                f"{stage.label}: {len(executor.get_incomplete_ranks())} of {stage.tasks} tasks have not finished; see "
                f"the logs in {self._workspace.logs(stage.name)}, then run the same command again to go on"
            )

    def _executor(self, stage: Stage) -> Any:
        common: dict[str, Any] = {
            "workspace": self._workspace,
            "stage": stage.name,
            "pipeline": stage.pipeline,
            "tasks": stage.tasks,
            "workers": self._workers,
            "logging_dir": str(self._workspace.logs(stage.name)),
        }
        if self._kind == "local":
            return LocalExecutor(self._pool, **common)
        if self._kind == "ray":
            return RayExecutor(**common, **({"mem_per_cpu_gb": 1} | self._options))
        paths = f"export PYTHONPATH={shlex.quote(str(_REPOSITORY))}:$PYTHONPATH"
        jobs = self._workers if self._workers > 0 else _SLURM_JOBS
        defaults: dict[str, Any] = {
            "job_name": f"corpus-{stage.name}",
            "mail_type": "NONE",
            "tasks_per_job": -(-stage.tasks // jobs),
        }
        if not {"condaenv", "venv_path"} & self._options.keys():
            defaults["env_command"] = f"{paths} PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
        return SlurmExecutor(**common, **(defaults | self._options))

    def _raise_failure(self, executor: Any) -> None:
        for note in sorted(executor.failures.glob("*.json")):
            failure = json.loads(note.read_text(encoding="utf-8"))
            where = "" if failure["expected"] else f"; the log is in {executor.logging_dir.path}/logs"
            raise InputError(failure["error"] + where)


def executor_options(kind: str, given: Sequence[str]) -> dict[str, Any]:
    """Arguments of datatrove's executor as the command line gives them: ``partition=cpu time=24:00:00``.

    Raises:
        InputError: one that the executor does not have, or one it needs is missing.
    """
    cls = {"local": LocalPipelineExecutor, "slurm": SlurmPipelineExecutor, "ray": RayPipelineExecutor}[kind]
    parameters = {
        name: parameter for name, parameter in inspect.signature(cls.__init__).parameters.items() if name not in _OURS
    }
    known = {} if kind == "local" else parameters
    options = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise InputError(
                f"--executor_options {pair}: write NAME=VALUE, NAME one of: {', '.join(known) or f'none for {kind}'}"
            )
        options[name] = _option_value(pair, value, str(known[name].annotation))
    needed = [name for name, parameter in known.items() if parameter.default is parameter.empty and name not in options]
    if needed:
        raise InputError(f"--executor {kind} needs --executor_options {' '.join(f'{name}=…' for name in needed)}")
    return options


def _option_value(pair: str, value: str, annotation: str) -> Any:
    if annotation in ("str", "<class 'str'>"):
        return value
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--executor_options {pair}: cannot be read ({' '.join(str(error).split())})") from error
    if annotation.startswith(("int", "float", "<class 'int'", "<class 'float'")) and not isinstance(
        parsed, int | float | None
    ):
        raise InputError(f"--executor_options {pair}: {value!r} is not a number")
    return parsed


@contextlib.contextmanager
def ray_cluster() -> Iterator[None]:
    """A connection to the running Ray cluster (``RAY_ADDRESS``, or the one on this machine).

    Raises:
        InputError: Ray is not installed, or no cluster is running.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--executor ray needs Ray: pip install 'chinesebert-pretraining[ray]'") from error
    path = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    if not ray.is_initialized():
        try:
            ray.init(
                address="auto",
                runtime_env={"env_vars": {"PYTHONPATH": path}},
                log_to_driver=False,
                logging_level="ERROR",
            )
        except ConnectionError as error:
            raise InputError(
                "--executor ray: no Ray cluster is running; start one with 'ray start --head' (and 'ray start "
                "--address HEAD:6379' on further machines), or set RAY_ADDRESS"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()
