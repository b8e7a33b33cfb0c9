"""A learned mixture of all layers, which feeds the head in place of the last; see ``config.head_layers``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class ChineseBertLayerMix(nn.Module):
    """A sum of the embeddings and all layers, with learned shares that add up to one, times a learned scale.

    ELMo's (Peters et al., NAACL 2018, arXiv 1802.05365, equation 1). It begins as the mean, with scale 1.

    Args:
        config: the sizes; ``num_hidden_layers`` + 1 states are mixed.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The embeddings and the output of each layer, each ``[B, L, H]`` -> ``[B, L, H]``."""
        shares = (self.scale.float() * self.weights.float().softmax(dim=0)).to(states[0].dtype)
        mixed = shares[0] * states[0]
        for share, state in zip(shares[1:], states[1:], strict=True):
            mixed = mixed + share * state
        return mixed
