"""Ctrl-C and SIGTERM: a run that is training saves where it stands; everything else ends at once."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from chinesebert.finetuning.process import say
from chinesebert.training.stopping import StopRequest


class Interrupted(BaseException):
    """A signal has ended the run; as KeyboardInterrupt, nothing that handles errors takes it for one.

    Attributes:
        signal: which.
        saved: what was saved for going on, in words; "" for nothing.
    """

    def __init__(self, number: signal.Signals, saved: str = "") -> None:
        super().__init__(number.name)
        self.signal = number
        self.saved = saved


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGINT raise ``Interrupted`` in the block, so it is left in order: no file stays half-written."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _raise) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number))


class StopBetweenSteps(TrainerCallback):
    """Ends a training that has been asked to stop, by saving a checkpoint after the step and raising ``Interrupted``.

    Where an evaluation is due, the training goes on until it is over: a run that goes on from a checkpoint would leave
    it out. Use it as a context around the training.
    """

    def __enter__(self) -> "StopBetweenSteps":
        self._request = _AnsweredStopRequest()
        self._stopping = False
        return self

    def __exit__(self, *args: Any) -> None:
        self._request.restore()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Asks for a checkpoint if a rank has been asked to stop."""
        epoch = state.epoch or 0.0
        ends_epoch = abs(epoch - round(epoch)) < 1e-9
        if _any_rank(bool(self._request), args) and not (
            control.should_evaluate or control.should_training_stop or ends_epoch
        ):
            self._stopping = control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ends the training once its checkpoint is complete.

        Raises:
            Interrupted: it has been asked to stop.
        """
        if self._stopping:
            name = "SIGINT" if self._request.reason == "SIGINT" else "SIGTERM"
            saved = f"{args.output_dir}/checkpoint-{state.global_step} (step {state.global_step} of {state.max_steps})"
            raise Interrupted(signal.Signals[name], saved)


class _AnsweredStopRequest(StopRequest):
    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.reason is None:
            say("\nasked to stop: a checkpoint follows after this step; asked again, it ends without")
        super()._on_signal(number, frame)


def _any_rank(value: bool, args: TrainingArguments) -> bool:
    if not dist.is_initialized():
        return value
    flag = torch.tensor(float(value), device=args.device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())
