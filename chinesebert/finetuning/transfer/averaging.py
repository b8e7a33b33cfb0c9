"""Averages of the weights of many steps: as the result of a run, and as the teacher of its model."""

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import TrainerCallback


class WeightAverage(TrainerCallback):
    """Averages the weights after each step.

    ``ema``: a moving average (Polyak and Juditsky, 1992), of which step n keeps min(decay, (1 + n) / (10 + n)), so that
    it soon forgets where it began. ``last``: the mean over the last share of all steps (SWA: Izmailov et al., UAI 2018,
    arXiv 1803.05407).

    Args:
        model: what is trained, on its device.
        how: ``ema`` or ``last``.
        decay: how much is kept, at most, for ``ema``.
        share: of all steps, for ``last``.
    """

    def __init__(self, model: nn.Module, how: str, decay: float = 0.999, share: float = 0.25) -> None:
        self.how, self.decay, self.share = how, decay, share
        self.average = AveragedModel(model, multi_avg_fn=self._moving if how == "ema" else None)

    def _moving(self, averages: Any, weights: Any, count: Any) -> None:
        steps = int(count)
        kept = min(self.decay, (1 + steps) / (10 + steps))
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, 1 - kept)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Counts the weights in, if it is their turn."""
        if self.how == "ema" or state.global_step > (1 - self.share) * state.max_steps:
            self.average.update_parameters(model)

    @property
    def exists(self) -> bool:
        """Whether any weights have been averaged."""
        return int(self.average.n_averaged) > 0

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Puts the average into the model for a while."""
        kept = [parameter.detach().clone() for parameter in model.parameters()]
        self.copy_to(model)
        try:
            yield
        finally:
            copy_parameters(kept, model)

    def copy_to(self, model: nn.Module) -> None:
        """Puts the average into the model, for good."""
        if self.exists:
            copy_parameters(list(self.average.module.parameters()), model)


class Teacher(TrainerCallback):
    """The average of the weights of the last steps, whose scores the model is to stay close to.

    Self-distillation: Xu et al., "Improving BERT Fine-Tuning via Self-Ensemble and Self-Distillation", 2020, arXiv
    2002.10345. Copies of the trained weights of so many steps are kept on the model's device.

    Args:
        model: what is trained, on its device.
        steps: how many steps count.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.model: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self.window: deque[list[torch.Tensor]] = deque(maxlen=steps)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Counts the weights in, and those of the oldest step out."""
        trained = [(own, given) for own, given in zip(self.model.parameters(), model.parameters(), strict=True)]
        trained = [(own, given) for own, given in trained if given.requires_grad]
        self.window.append([given.detach().clone() for _, given in trained])
        with torch.no_grad():
            for number, (own, _) in enumerate(trained):
                own.copy_(torch.stack([weights[number] for weights in self.window]).mean(dim=0))

    @property
    def exists(self) -> bool:
        """Whether any weights have been averaged."""
        return len(self.window) > 0


@torch.no_grad()
def copy_parameters(values: list[Any], model: nn.Module) -> None:
    """Sets the parameters of a model, in their order."""
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.copy_(value)


def distances(student: list[torch.Tensor], teacher: list[torch.Tensor]) -> torch.Tensor:
    """Mean squared difference of the scores of each row ``[N, C]``: ``[N]``; the mean over the tables."""
    pairs = zip(student, teacher, strict=True)
    return torch.stack([(mine - other).square().mean(dim=-1) for mine, other in pairs]).mean(dim=0)
