"""What goes wrong in the middle of a run, for ``RankServer``: each function breaks one thing in its rank."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from chinesebert.training import checkpoints, pretraining
from chinesebert.training.device_peak import DevicePeak
from chinesebert.training.engine import TrainingEngine
from chinesebert.training.loop import TrainingLoop


class _SpoilGradient(torch.autograd.Function):
    """A finite loss whose gradient is not."""

    @staticmethod
    def forward(ctx: Any, loss: torch.Tensor) -> torch.Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient * torch.inf


_SPOIL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nan": lambda loss: loss * torch.nan,
    "inf": lambda loss: loss + torch.inf,
    "gradient": _SpoilGradient.apply,
}


def spoil(what: str, steps: list[int], rank: int) -> None:
    """Makes the first micro-batch of some steps, from 1, not finite on one rank."""
    step, backward, update = 1, TrainingEngine.backward, TrainingEngine.step
    begun = False

    def spoilt_backward(engine: TrainingEngine, loss: torch.Tensor, last: bool) -> None:
        nonlocal begun
        if step in steps and dist.get_rank() == rank and not begun:
            loss = _SPOIL[what](loss)
        begun = True
        backward(engine, loss, last)

    def counted(engine: TrainingEngine, learning_rate: float) -> bool:
        nonlocal step, begun
        step, begun = step + 1, False
        return update(engine, learning_rate)

    TrainingEngine.backward = spoilt_backward  # type: ignore[method-assign]
    TrainingEngine.step = counted  # type: ignore[method-assign]


def kill_when(function: str, call: int) -> None:
    """Kills the first rank where it is about to call a function of saving for the n-th time, from 1."""
    calls = 0
    modules = [module for module in (checkpoints, pretraining) if hasattr(module, function)]
    original = getattr(modules[0], function)

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and dist.get_rank() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    for module in modules:
        setattr(module, function, counted)


def fill_disk(directory: str, first_step: int, last_step: int, spare: int = 1 << 20) -> None:
    """Leaves ``spare`` bytes on a disk before the saves of some steps."""
    save, ballast = TrainingLoop._save, Path(directory) / "ballast"

    def save_on_full_disk(training: TrainingLoop, last: bool) -> None:
        if dist.get_rank() == 0:
            ballast.unlink(missing_ok=True)
            if first_step <= training._parts.progress.step <= last_step:
                status = os.statvfs(directory)
                ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - spare)))
        save(training, last)

    TrainingLoop._save = save_on_full_disk  # type: ignore[method-assign]


def kill_while_pruning() -> None:
    """Kills the first rank when half of an old checkpoint has been removed."""

    def remove_half(path: Path, ignore_errors: bool = False) -> None:
        if path.name.endswith(".removed"):
            (path / "run.json").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        shutil.rmtree(path, ignore_errors)

    checkpoints.shutil = SimpleNamespace(rmtree=remove_half)  # type: ignore[assignment]


def set_peaks(peaks: list[float]) -> None:
    """Gives the device of each rank a peak of its own."""
    pretraining.device_peak = lambda device, dtype: DevicePeak(peaks[dist.get_rank()], "given")  # type: ignore[assignment]
