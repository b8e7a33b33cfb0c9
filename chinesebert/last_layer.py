"""The encoder where only some of its outputs are wanted: at the masked places, while pretraining.

All tokens are keys and values of the last layer, but only the wanted places need its queries, its projection and its
feed-forward part, which are five sixths of its work. The outputs are those of the whole encoder.
"""

from typing import Any

import torch
from torch import nn


def encode_at(
    encoder: Any, hidden: torch.Tensor, attention_mask: torch.Tensor | None, places: torch.Tensor, **kwargs: Any
) -> torch.Tensor:
    """Runs BERT's encoder, the last layer for some places only.

    Args:
        encoder: transformers' ``BertEncoder`` with SDPA attention.
        hidden: ``[B, L, H]``, the embeddings.
        attention_mask: what SDPA takes: None, or boolean or additive, ``[B, 1, 1 or L, L]``.
        places: bool ``[B, L]``.
        kwargs: go to the other layers.

    Returns:
        ``[N, H]``, the states at the N places, row by row.
    """
    *layers, last = encoder.layer
    for layer in layers:
        hidden = layer(hidden, attention_mask, **kwargs)
    numbers, wanted = _numbers_of(places)
    context = _attend(last.attention.self, hidden, attention_mask, numbers)[wanted]
    attended = last.attention.output(context, hidden[places])
    return last.output(last.intermediate(attended), attended)


def _numbers_of(places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The places of each row as numbers ``[B, M]``, filled up with others; and which of these are wanted."""
    counts = places.sum(dim=1)
    most = max(int(counts.max()), 1)
    numbers = places.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return numbers, torch.arange(most, device=places.device) < counts[:, None]


def _attend(
    attention: Any, hidden: torch.Tensor, attention_mask: torch.Tensor | None, numbers: torch.Tensor
) -> torch.Tensor:
    """Self-attention ``[B, M, H]`` of the numbered places ``[B, M]`` to all places of ``[B, L, H]``."""

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    queries = hidden.gather(1, numbers[..., None].expand(-1, -1, hidden.shape[-1]))
    if attention_mask is not None and attention_mask.shape[2] > 1:
        rows = numbers[:, None, :, None].expand(-1, attention_mask.shape[1], -1, attention_mask.shape[3])
        attention_mask = attention_mask.expand(len(numbers), -1, -1, -1).gather(2, rows)
    context = nn.functional.scaled_dot_product_attention(
        heads(attention.query(queries)),
        heads(attention.key(hidden)),
        heads(attention.value(hidden)),
        attn_mask=attention_mask,
        dropout_p=attention.dropout.p if attention.training else 0.0,
        scale=attention.scaling,
    )
    return context.transpose(1, 2).flatten(start_dim=2)
