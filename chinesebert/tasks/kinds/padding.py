"""Pads inputs to the longest of a batch."""

from collections.abc import Sequence
from typing import Any

import torch

# What stands where a text is shorter; 0 is [PAD] in vocabularies of BERTs, "no pinyin", and no token type.
_FILL = {"labels": -100}


def padded(inputs: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Some names of the inputs as tensors ``[B, longest]`` (int64), with ``attention_mask``.

    Args:
        inputs: lists of ids by name; ``input_ids`` among them.
        names: those that have an entry for every token.
    """
    longest = max(len(item["input_ids"]) for item in inputs)
    batch = {}
    for name in names:
        rows = [list(item[name]) + [_FILL.get(name, 0)] * (longest - len(item[name])) for item in inputs]
        batch[name] = torch.tensor(rows, dtype=torch.int64)
    lengths = torch.tensor([len(item["input_ids"]) for item in inputs])
    batch["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
    return batch
