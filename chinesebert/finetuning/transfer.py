"""How knowledge is transferred from the pretrained model: settings."""

from dataclasses import dataclass


@dataclass
class TransferArguments:
    """Options of transfer; none by default: all weights are trained alike."""
