"""Drops texts that are not Chinese: too small a share of Han characters."""

from data_prep.cleaning.character_classes import count_characters
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Share


class HanShare(CleaningStep):
    """Drops a text in which Han characters are too rare.

    Args:
        min_han_share: of all characters that are not white space.
    """

    name = "han_share"

    def __init__(self, *, min_han_share: Share = 0.3) -> None:
        super().__init__()
        self.min_han_share = min_han_share

    def clean(self, text: str) -> str | Dropped:
        """``text``, or ``too little Han``."""
        counts = count_characters(text)
        if counts.han < self.min_han_share * counts.total:
            return Dropped("too little Han", f"{counts.han / counts.total:.0%}")
        return text
