"""Learning rates that depend on the depth of a layer.

Depth 0 is the embeddings, 1 the first layer, and so on; the head, with pooler and mixture of the layers, is above the
last. Optimizers get a group of parameters for every depth, which keeps its own weight decay.
"""

import re
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from chinesebert.errors import InputError

_LAYER = re.compile(r"\.encoder\.layer\.(\d+)\.")


def depth_of(name: str, layers: int) -> int:
    """The depth of a parameter of a model with a head and so many layers."""
    found = _LAYER.search(name)
    if found:
        return int(found[1]) + 1
    return 0 if "bert.embeddings." in name else layers + 1


def split_by_depth(optimizer: torch.optim.Optimizer, model: nn.Module, layers: int, rate: float, decay: float) -> None:
    """Divides the groups of a new optimizer by depth; the rate is ``rate * decay ** (layers + 1 - depth)``.

    Layer-wise decay of the learning rate: Sun et al. (How to Fine-Tune BERT for Text Classification?, 2019) and
    ELECTRA (Clark et al., ICLR 2020), which has the head one step further from the top layer.
    """
    depths = {parameter: depth_of(name, layers) for name, parameter in model.named_parameters()}
    groups = optimizer.param_groups[:]
    optimizer.param_groups.clear()
    for group in groups:
        # From the top, since the rate of the first group is the one in the log.
        for depth in sorted({depths[parameter] for parameter in group["params"]}, reverse=True):
            chosen = [parameter for parameter in group["params"] if depths[parameter] == depth]
            lr = rate * decay ** (layers + 1 - depth)
            optimizer.add_param_group({**group, "params": chosen, "lr": lr, "depth": depth})


def unfreeze_gradually(scheduler: Any, depths: list[int], steps: int) -> None:
    """Makes a schedule begin with the head alone and add a layer every ``steps`` steps, from the top; embeddings last.

    Gradual unfreezing of ULMFiT (Howard and Ruder, ACL 2018, section 3.3). Layers that wait have the rate 0, so they do
    not change, whatever trains them: switching gradients on and off later is not for every way of distributing a model.
    Adam has met their gradients before it moves them.

    Args:
        scheduler: a schedule that has not begun.
        depths: the depth of each group of parameters.
        steps: after how many steps the next layer follows.

    Raises:
        InputError: the schedule is of a kind that rates of groups cannot be taken out of.
    """
    if not isinstance(scheduler, LambdaLR):
        raise InputError(
            f"--gradual_unfreezing does not work with a {type(scheduler).__name__}; give another --lr_scheduler_type"
        )
    top = max(depths)
    scheduler.lr_lambdas = [
        _waiting(factor, (top - depth) * steps) for factor, depth in zip(scheduler.lr_lambdas, depths, strict=True)
    ]
    for group, base, factor in zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(0)


def _waiting(factor: Any, first: int) -> Any:
    """A factor of the learning rate that is 0 before a step."""

    def opened(step: int) -> float:
        return float(factor(step)) if step >= first else 0.0

    return opened
