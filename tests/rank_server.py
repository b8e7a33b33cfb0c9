"""Runs ``launch/pretrain.py`` on ranks without a launcher: imports everything once, then forks the ranks of each run.

A launch takes longer than a tiny run, most of it for imports. ``RankServer`` is for tests of what ranks do together;
those of starting, signals and ends go through the real launcher (``pretraining_runs.py``).
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.pretraining_runs import ENVIRONMENT, ROOT, Settings, free_port

_IMPORTED_LATE = (
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "deepspeed.runtime.zero.stage3",
    "torch._inductor.compile_fx",
)
_SECONDS_AFTER_FAILURE = 20


class RankServer:
    """A process that ranks are forked from.

    Args:
        directory: for recipes, and for what the ranks print.
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._runs = directory, 0
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.rank_server"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        recipe: Settings,
        ranks: int = 2,
        status: int | None = 0,
        before: str | None = None,
        options: Sequence[Any] = (),
        flags: Sequence[str] = (),
    ) -> str:
        """Pretrains to the end and returns what the ranks printed.

        Args:
            recipe: the settings.
            ranks: processes.
            status: the exit status that every rank must have; None for any.
            before: ``module:function`` that each rank calls first, to break something.
            options: its arguments.
            flags: of the program.
        """
        self._runs += 1
        path = self._directory / f"{self._runs}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        shown = path.with_suffix(".txt")
        job = {"argv": ["--config", str(path), *flags], "ranks": ranks, "printed": str(shown)}
        job |= {"before": before, "options": list(options), "port": free_port()}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        statuses = json.loads(self._process.stdout.readline())
        text = shown.read_text(encoding="utf-8", errors="replace")
        assert status is None or statuses == [status] * ranks, f"exit statuses {statuses}\n{text[-4000:]}"
        return text

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


def serve() -> None:
    """Reads a run from each line of stdin and answers with the exit statuses of its ranks."""
    from launch import pretrain as program

    program._prepare_process()
    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    from chinesebert.training import pretraining
    from chinesebert.training.device_peak import DevicePeak

    # What takes half a second a run and more, and is tested elsewhere.
    pretraining.device_peak = lambda device, dtype: DevicePeak(1e11, "assumed")  # type: ignore[assignment]
    pretraining.write_report_if_possible = lambda output_dir: ""  # type: ignore[assignment]
    answers = os.dup(1)
    for line in sys.stdin:
        job = json.loads(line)
        ranks = [_fork(job, rank) for rank in range(job["ranks"])]
        os.write(answers, (json.dumps(_statuses(ranks)) + "\n").encode())


def _fork(job: dict[str, Any], rank: int) -> int:
    process = os.fork()
    if process:
        return process
    status = 99
    try:
        shown = os.open(job["printed"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(shown, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": job["ranks"], "LOCAL_SIZE": job["ranks"]}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": job["port"]}
        os.environ |= {name: str(value) for name, value in place.items()}
        sys.argv = ["launch/pretrain.py", f"--local_rank={rank}", *job["argv"]]
        if job["before"]:
            module, function = job["before"].split(":")
            getattr(importlib.import_module(module), function)(*job["options"])
        from launch import pretrain as program

        status = program.main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _statuses(processes: list[int]) -> list[int]:
    """The exit statuses; where one is not 0, ranks that wait for it are ended as a launcher would."""
    statuses: dict[int, int] = {}
    end = float("inf")
    while len(statuses) < len(processes):
        process, status = os.waitpid(-1, os.WNOHANG)
        if process in processes:
            statuses[process] = os.waitstatus_to_exitcode(status)
            if statuses[process]:
                end = min(end, time.monotonic() + _SECONDS_AFTER_FAILURE)
        elif time.monotonic() > end:
            for process in set(processes) - set(statuses):
                os.kill(process, signal.SIGKILL)
            end = float("inf")
        else:
            time.sleep(0.01)
    return [statuses[process] for process in processes]


if __name__ == "__main__":
    serve()
