"""The scores of a batch as rows, each one distribution that the loss looks at, whatever the head."""

from typing import Any

import torch

from chinesebert.masking import IGNORE_INDEX

# The score of a choice that is only there to fill a batch: no probability, and no difference between two passes.
_ABSENT = -1e4


def score_rows(outputs: Any, inputs: dict[str, torch.Tensor], prior: float = 0.0) -> list[torch.Tensor]:
    """Rows ``[N, C]``, float32; more than one table where a text has several scores (first and last of an answer).

    Rows are texts (``logits`` ``[B, C]``), or the tokens that have a label (``[B, L, C]``, or already only those).
    Where every label is decided by itself (``labels`` as many as scores), a row is one of these decisions: yes and no.

    Args:
        outputs: of the head.
        inputs: the batch that they are of; choices (``[B, C, L]``) of fewer than two tokens fill it only.
        prior: what the kind adds to the scores of decisions, ``Kind.prior``.
    """
    if "start_logits" in outputs:
        return [outputs["start_logits"].float(), outputs["end_logits"].float()]
    logits, labels = outputs["logits"].float(), inputs.get("labels")
    if labels is not None and labels.shape == logits.shape:
        decisions = torch.stack([logits + prior, torch.zeros_like(logits)], dim=-1)
        return [decisions[labels != IGNORE_INDEX]]
    if labels is not None and labels.dim() > 1 and labels.shape == logits.shape[:-1]:
        return [logits[labels != IGNORE_INDEX]]
    mask = inputs.get("attention_mask")
    if mask is not None and mask.dim() == 3:
        logits = logits.masked_fill(mask.sum(dim=-1) < 2, _ABSENT)
    return [logits.flatten(end_dim=-2)]
