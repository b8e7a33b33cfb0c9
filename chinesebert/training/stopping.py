"""Why a run should end before its last step: a signal, or the end of the launcher that started it."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PATIENCE_SECONDS = 5.0
_LAUNCHERS = ("deepspeed", "deepspeed.pt", "ds")
_LAUNCHER_MODULES = ("deepspeed.launcher.launch", "deepspeed.launcher.runner")


class StopRequest:
    """Whether this process has been asked to stop. It goes on until the loop looks.

    DeepSpeed's launcher is two processes above each rank. Where the first of them is killed alone (``kill PID``), the
    ranks would go on unseen; so a launcher that is gone counts as a request, too.

    A signal that comes again some seconds later ends the process at once: something may hang. At once it comes again
    by itself, where launcher and ranks are all sent it: the launcher hands it on.

    What another ``StopRequest`` of this process was asked before holds for a new one, too.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._asked = float("inf")
        self._launcher = _launcher_processes()
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        for handler in self._before.values():
            earlier = getattr(handler, "__self__", None)
            if isinstance(earlier, StopRequest):
                self.reason, self._asked = self.reason or earlier.reason, min(self._asked, earlier._asked)

    def heed(self, number: int) -> None:
        """Counts a signal that came before there was this to hear it."""
        self._on_signal(number, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() > self._asked + _PATIENCE_SECONDS:
            raise SystemExit(128 + number)
        self._asked = min(self._asked, time.monotonic())
        self.reason = self.reason or signal.Signals(number).name

    def __bool__(self) -> bool:
        if self.reason is None and not all(map(_is_parent, *zip(*self._launcher, strict=True))):
            self.reason = "the end of its launcher"
        return self.reason is not None

    def restore(self) -> None:
        """Puts back what signals did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _launcher_processes() -> list[tuple[int, int]]:
    """(process, its parent) for this one and the launchers above it; Linux only."""
    found, process = [], os.getpid()
    while (parent := _parent(process)) and is_launcher(_command(parent)):
        found.append((process, parent))
        process = parent
    return found or [(0, 0)]


def is_launcher(command: Sequence[str]) -> bool:
    """Whether a command line is that of DeepSpeed's launcher, or of the process of it that starts the ranks of a node.

    A shell, a tool or a script with ``deepspeed`` somewhere in its command line may end long before the run.

    Args:
        command: the program and its arguments.
    """
    words = [word for word in command if not word.startswith("-")][:2]
    if words and os.path.basename(words[0]).startswith("python"):
        del words[0]  # an interpreter: `python -u -m deepspeed.launcher.launch …`, `python …/bin/deepspeed …`
    return bool(words) and (os.path.basename(words[0]) in _LAUNCHERS or words[0] in _LAUNCHER_MODULES)


def _is_parent(process: int, parent: int) -> bool:
    return process == 0 or _parent(process) == parent


def _parent(process: int) -> int:
    try:
        # pid (name) state parent …; a name may hold spaces and brackets
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _command(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
