"""Drops texts that are too short to say anything."""

import re

from data_prep.cleaning.character_classes import count_characters
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Count

# A full stop only before white space or the end: not in 3.14 or example.com.
_SENTENCE_END = re.compile(r"[。！？!?…]+|\.(?=\s|$)")


class Length(CleaningStep):
    """Drops a text with too few Han characters or sentences.

    Args:
        min_han: Han characters.
        min_sentences: sentences that end in 。！？…; a text of captions and labels has none, but hurried reviews have
            none either.
    """

    name = "length"

    def __init__(self, *, min_han: Count = 10, min_sentences: Count = 0) -> None:
        super().__init__()
        self.min_han = min_han
        self.min_sentences = min_sentences

    def clean(self, text: str) -> str | Dropped:
        """``text``, ``too few Han characters`` or ``too few sentences``."""
        han = count_characters(text).han
        if han < self.min_han:
            return Dropped("too few Han characters", str(han))
        if self.min_sentences and (sentences := len(_SENTENCE_END.findall(text))) < self.min_sentences:
            return Dropped("too few sentences", str(sentences))
        return text
