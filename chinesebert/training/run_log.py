"""What a run wrote down about itself: ``OUT/logs/metrics.jsonl``, one JSON object a line.

Each line has ``step``, ``time`` (seconds since 1970) and ``kind``:

``train``  loss, accuracies, learning rate, speed since the line before
``eval``   measures on held-out text, ``eval_…``
``cloze``  ``sentences``: ``[{"sentence": "请把门【关】上。", "guesses": [["关", 0.7], …]}, …]``
``event``  ``event``: ``start``, ``resume`` (both with the facts of the run), ``skipped``, ``saved``, ``save_failed``,
           ``stopped``

Numbers that are not finite are written as null, which JSON has a word for.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from chinesebert.atomic import atomic_file, create_parent
from chinesebert.errors import InputError

LOG_DIRECTORY = "logs"
LOG_FILE = "metrics.jsonl"
KINDS = ("train", "eval", "cloze", "event")

Entry = dict[str, Any]


class RunLog:
    """Appends to the log of a run; one process at a time, the first rank.

    Opening it drops what an earlier process wrote about steps after ``step``, which are done again, and lines that a
    kill or a power cut damaged. A line is handed to the system before ``write`` returns, so a kill loses none.

    Args:
        output_dir: of the run.
        step: that the run stands at: 0 at its start, else that of the checkpoint it goes on from.
        clock: seconds since 1970.

    Raises:
        InputError: the log cannot be read or written.
    """

    def __init__(self, output_dir: Path, step: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.path = log_path(output_dir)
        self._clock = clock
        self._lost = 0
        create_parent(self.path)
        if self.path.exists():
            _keep_up_to(self.path, step)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  (open as long as the run)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Appends a line. A disk that is full must not end a run: the line is left out then, and stderr told once.

        Args:
            kind: one of ``KINDS``.
            step: optimizer steps done.
            values: what JSON can hold; tensors and NumPy numbers as Python's own.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind} is not one of {', '.join(KINDS)}")
        entry = {"step": step, "time": round(self._clock(), 3), "kind": kind} | values
        line = json.dumps(_finite(entry), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self._file.truncate(end)  # no half lines
            if not self._lost:
                print(f"warning: {self.path}: cannot be written ({error.strerror}); lines are lost", file=sys.stderr)
            self._lost += 1

    def train(self, step: int, **values: Any) -> None:
        """What a logging interval came to."""
        self.write("train", step, **values)

    def evaluation(self, step: int, **values: Any) -> None:
        """What an evaluation measured."""
        self.write("eval", step, **values)

    def cloze(self, step: int, sentences: list[dict[str, Any]]) -> None:
        """The guesses for the cloze sentences: ``[{"sentence": …, "guesses": [[token, probability], …]}, …]``."""
        self.write("cloze", step, sentences=sentences)

    def event(self, step: int, event: str, **values: Any) -> None:
        """Something that happened."""
        self.write("event", step, event=event, **values)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def log_path(run: Path) -> Path:
    """Where the log of a run is."""
    return run / LOG_DIRECTORY / LOG_FILE


def read_log(path: Path) -> list[Entry]:
    """All complete lines of a log, in their order; of a run in progress too.

    Raises:
        InputError: it cannot be read, or a line is not one of a log; the message names file and line.
    """
    return [_entry(path, number, line) for number, line in enumerate(_complete_lines(path), start=1)]


def _complete_lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the log of the run ({error.strerror})") from error
    *lines, _ = content.split(b"\n")  # what follows the last newline is empty, or was being written
    return lines


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError as error:  # what is no UTF-8 too
        raise InputError(f"{path}:{number}: is not JSON ({error})") from error
    if not isinstance(entry, dict) or type(entry.get("step")) is not int or not isinstance(entry.get("kind"), str):
        raise InputError(f"{path}:{number}: is not a line of a run's log (an object with step and kind)")
    return entry


def _keep_up_to(path: Path, step: int) -> None:
    """Rewrites the log without later steps and damaged lines; leaves one without them alone."""
    kept = []
    for number, line in enumerate(_complete_lines(path), start=1):
        try:
            if _entry(path, number, line)["step"] <= step:
                kept.append(line + b"\n")
        except InputError as error:  # a run is not to wait for somebody to mend its log
            print(f"warning: {error}; left out", file=sys.stderr)
    content = b"".join(kept)
    if path.stat().st_size != len(content):
        with atomic_file(path) as unfinished:
            unfinished.write_bytes(content)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
