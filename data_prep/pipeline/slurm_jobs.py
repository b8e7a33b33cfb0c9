"""The jobs of a run on a Slurm cluster: found by their names, which end with the name of the run's workspace.

A list of job ids would miss the last job of a run that was killed just then; and on another cluster, or after Slurm has
begun to count anew, the ids are those of other jobs.
"""

import contextlib
import subprocess
import time

from data_prep.pipeline.workspace import UnfinishedFolder, Workspace

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.5


def job_name(name: str, workspace: Workspace) -> str:
    """The name that a job gets."""
    return f"{name}-{workspace.name}"


def jobs_of(workspace: Workspace) -> list[str]:
    """The ids of a run's jobs that wait or run; none where Slurm is missing or does not answer."""
    # %F is the id of the whole array that a job is in.
    lines = _run("squeue", "--noheader", "--me", "--format", "%F %j").splitlines()
    return sorted({line.split()[0] for line in lines if line.endswith(f"-{workspace.name}")})


def cancel_jobs(workspace: Workspace) -> list[str]:
    """Cancels the jobs of a run, and returns their ids. A job that is told to end takes a moment."""
    jobs = jobs_of(workspace)
    if jobs:
        _run("scancel", *jobs)
    return jobs


def cancel_jobs_of_killed_runs(folder: UnfinishedFolder) -> None:
    """Ends what earlier runs in a folder have left on the cluster, and waits until it is gone.

    It waits a minute at most: jobs that are still there write what the same tasks write again, or, after a restart,
    where nobody reads.
    """
    for workspace in folder.workspaces():
        if not any((workspace.directory / "logs").glob("*/launch_script.slurm")):
            continue  # this one submitted nothing
        jobs = cancel_jobs(workspace)
        if jobs:
            print(f"cancelled the jobs of an earlier run: {', '.join(jobs)}", flush=True)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while jobs and jobs_of(workspace) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _run(*command: str) -> str:
    with contextlib.suppress(FileNotFoundError, subprocess.TimeoutExpired):
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
        return answer.stdout.strip()
    return ""
