"""R-Drop (Liang et al., NeurIPS 2021, arXiv 2106.14448): what two passes with other dropout say should agree."""

from typing import Any

import torch
from torch.nn import functional

from chinesebert.finetuning.transfer.rows import score_rows


def twice(inputs: dict[str, Any]) -> dict[str, Any]:
    """The batch two times in one: as two passes, in one that is as good for every way of distributing a model."""
    return {
        name: torch.cat([value, value]) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()
    }


def divergence(outputs: Any, inputs: dict[str, torch.Tensor], prior: float = 0.0) -> torch.Tensor:
    """For each row of the first half, the mean of both Kullback–Leibler divergences to its twin, ``[N]``.

    Args:
        outputs, inputs: those of a batch that ``twice`` made.
        prior: see ``score_rows``.
    """
    tables = []
    for rows in score_rows(outputs, inputs, prior):
        one, other = rows.log_softmax(dim=-1).chunk(2)
        tables.append((_kl(one, other) + _kl(other, one)) / 2)
    return torch.stack(tables).mean(dim=0)


def _kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) of each row ``[N, C]``: ``[N]``."""
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1)
