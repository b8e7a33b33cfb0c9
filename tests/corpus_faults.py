"""What happens to the files of a corpus under a run, for ``RankServer``: each function does one thing before a step."""

import os
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist

from chinesebert.training import loop
from chinesebert.training.loop import TrainingLoop


def cut_off(path: str, step: int) -> None:
    """Leaves nothing of a file that is mapped into memory."""
    _before(step, lambda: os.truncate(path, 0))


def scramble(path: str, step: int) -> None:
    """Other bytes, at the same place and as many, in most of a file."""
    _before(step, lambda: _write(path, os.urandom(Path(path).stat().st_size * 4 // 5)))


def change_a_byte(path: str, step: int) -> None:
    """A file of the same size, all but one byte as it was."""
    content = Path(path).read_bytes()
    middle = len(content) // 2
    _before(
        step, lambda: Path(path).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    )


def touch(path: str, step: int) -> None:
    """The same bytes with another time; the run looks at its files at every step."""
    loop._CHECK_SECONDS = 0.0
    _before(step, lambda: os.utime(path, (0, 0)))


def _write(path: str, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek((Path(path).stat().st_size - len(content)) // 2)
        file.write(content)


def _before(number: int, act: Callable[[], None]) -> None:
    step = TrainingLoop._step

    def step_after_act(training: TrainingLoop) -> str | None:
        if training._parts.progress.step + 1 == number and dist.get_rank() == 0:
            act()
        return step(training)

    TrainingLoop._step = step_after_act  # type: ignore[method-assign]
