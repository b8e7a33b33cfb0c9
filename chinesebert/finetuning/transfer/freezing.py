"""Feature extraction: the encoder stays as it is, the head is trained (Peters et al., RepL4NLP 2019, 1903.05987)."""

from typing import Any

from torch import nn


def freeze_encoder(model: Any) -> None:
    """Takes gradients from embeddings and layers. The pooler, of which masked language models learn nothing, and the
    mixture of the layers belong to the head."""
    for part in encoder_parts(model):
        part.requires_grad_(False)


def encoder_parts(model: Any) -> list[nn.Module]:
    """What ``freeze_encoder`` freezes. It is to run in evaluation mode: the features of a text are always the same."""
    return [model.base_model.embeddings, model.base_model.encoder]
