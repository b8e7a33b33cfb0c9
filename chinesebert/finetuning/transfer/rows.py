"""The scores of a batch as rows, each one distribution that the loss looks at, whatever the head."""

from typing import Any

import torch

from chinesebert.masking import IGNORE_INDEX


def score_rows(outputs: Any, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Rows ``[N, C]``, float32; more than one table where a text has several scores (first and last of an answer).

    Rows are texts (``logits`` ``[B, C]``), or the tokens that have a label (``[B, L, C]``, or already only those).
    Where every label is decided by itself (``labels`` are floats), a row is one of these decisions: yes and no.
    """
    if "start_logits" in outputs:
        return [outputs["start_logits"].float(), outputs["end_logits"].float()]
    logits, labels = outputs["logits"].float(), inputs.get("labels")
    if labels is not None and labels.is_floating_point() and labels.shape == logits.shape:
        return [torch.stack([logits, torch.zeros_like(logits)], dim=-1).flatten(end_dim=-2)]
    if labels is not None and labels.dim() > 1 and labels.shape == logits.shape[:-1]:
        return [logits[labels != IGNORE_INDEX]]
    return [logits.flatten(end_dim=-2)]
