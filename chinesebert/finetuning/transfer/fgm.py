"""FGM: adversarial changes of the word embeddings (Miyato et al., ICLR 2017, arXiv 1605.07725).

As it is usually done for BERT: the change is one of the table, of size epsilon in the direction of its gradient over
the batch; its pass adds to the gradients, and the table is then what it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def gradient_of(weight: nn.Parameter) -> torch.Tensor:
    """A copy of what has been added to a parameter's gradient."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone()


@contextmanager
def perturbed(weight: nn.Parameter, before: torch.Tensor, epsilon: float) -> Iterator[None]:
    """Changes a parameter by ``epsilon`` in the direction of its last gradient, and puts it back to the bit.

    Args:
        weight: the parameter.
        before: its ``gradient_of`` before the pass: gradients of several passes add up.
        epsilon: the size of the change.
    """
    direction = gradient_of(weight) - before
    norm = direction.float().norm()
    kept = weight.detach().clone()
    with torch.no_grad():
        # No gradient, or one that overflowed, has no direction; asking on the device does not wait for it.
        step = torch.where(norm.isfinite() & (norm > 0), epsilon / norm, torch.zeros_like(norm))
        weight.add_((direction * step).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0).to(weight.dtype))
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(kept)
