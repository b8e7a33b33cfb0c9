"""The encoder where only some of its outputs are wanted: at the masked places, while pretraining.

All tokens are keys and values of the last layer, but only the wanted places need its queries, its projection and its
feed-forward part, which are five sixths of its work. The outputs are those of the whole encoder.
"""

from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .batch_layout import SEGMENT_ARGUMENTS


def encode_at(
    encoder: Any,
    hidden: torch.Tensor,
    attention_mask: torch.Tensor | None,
    places: torch.Tensor,
    most: int | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Runs BERT's encoder, the last layer for some places only.

    Args:
        encoder: transformers' ``BertEncoder`` with SDPA attention; or with flash attention, where ``kwargs`` hold the
            bounds of the segments (``batch_layout.segment_bounds``).
        hidden: ``[B, L, H]``, the embeddings.
        attention_mask: what SDPA takes: None, or boolean or additive, ``[B, 1, 1 or L, L]``.
        places: int64 ``[N]``, numbered row by row (row x L + column), ascending; with flash attention at least one.
        most: how many places any row has at most; SDPA has to look it up where it is not given.
        kwargs: go to the other layers.

    Returns:
        ``[N, H]``, the states at the places.
    """
    *layers, last = encoder.layer
    for layer in layers:
        hidden = layer(hidden, attention_mask, **kwargs)
    wanted = hidden.flatten(end_dim=1)[places]
    attention = last.attention.self
    if kwargs.get("cu_seq_lens_k") is not None:
        context = _attend_in_segments(attention, hidden, wanted, places, kwargs)
    else:
        context = _attend_in_rows(attention, hidden, wanted, places, attention_mask, most)
    attended = last.attention.output(context, wanted)
    return last.output(last.intermediate(attended), attended)


def _attend_in_rows(
    attention: Any,
    hidden: torch.Tensor,
    wanted: torch.Tensor,
    places: torch.Tensor,
    attention_mask: torch.Tensor | None,
    most: int | None,
) -> torch.Tensor:
    """SDPA of the wanted places ``[N, H]`` to their rows of ``[B, L, H]``: ``[N, H]``.

    SDPA needs as many queries in every row, so the rows are filled up with queries that nobody reads.
    """
    rows, length, size = hidden.shape
    slots, most = _slots(places, rows, length, most)
    if attention_mask is not None and attention_mask.shape[2] > 1:
        columns = places.new_zeros(rows * most).index_copy(0, slots, places % length).view(rows, 1, most, 1)
        columns = columns.expand(-1, attention_mask.shape[1], -1, attention_mask.shape[3])
        attention_mask = attention_mask.expand(rows, -1, -1, -1).gather(2, columns)
    query = attention.query(wanted)
    query = query.new_zeros(rows * most, size).index_copy(0, slots, query).view(rows, most, size)
    context = nn.functional.scaled_dot_product_attention(
        _heads(attention, query),
        _heads(attention, attention.key(hidden)),
        _heads(attention, attention.value(hidden)),
        attn_mask=attention_mask,
        dropout_p=attention.dropout.p if attention.training else 0.0,
        scale=attention.scaling,
    )
    return context.transpose(1, 2).reshape(rows * most, size)[slots]


def _slots(places: torch.Tensor, rows: int, length: int, most: int | None) -> tuple[torch.Tensor, int]:
    """Where each place ``[N]`` stands in a table with ``most`` of them a row, int64 ``[N]``; and ``most``."""
    begins = torch.searchsorted(places, torch.arange(rows + 1, device=places.device) * length)
    if most is None:
        most = int(begins.diff().max())
    row = places // length
    return row * max(most, 1) + torch.arange(len(places), device=places.device) - begins[row], max(most, 1)


def _attend_in_segments(
    attention: Any, hidden: torch.Tensor, wanted: torch.Tensor, places: torch.Tensor, kwargs: dict[str, Any]
) -> torch.Tensor:
    """Flash attention of the wanted places ``[N, H]`` to their segments of ``[B, L, H]``: ``[N, H]``.

    A segment may have fewer queries than keys, or none.
    """
    bounds = {name: kwargs[name] for name in SEGMENT_ARGUMENTS}
    bounds["cu_seq_lens_q"] = torch.searchsorted(places, bounds["cu_seq_lens_k"].long(), out_int32=True)
    bounds["max_length_q"] = bounds["max_length_k"]  # an upper bound; the true one is not worth waiting for
    tokens = hidden.flatten(end_dim=1)
    context, _ = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation](
        attention,
        *(_heads(attention, states[None]) for states in (attention.query(wanted), attention.key(tokens))),
        _heads(attention, attention.value(tokens)[None]),
        None,
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
        **bounds,
    )
    return context.reshape(len(wanted), -1)


def _heads(attention: Any, states: torch.Tensor) -> torch.Tensor:
    """``[B, M, H]`` -> ``[B, heads, M, H / heads]``."""
    return states.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)
