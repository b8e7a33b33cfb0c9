"""Drops texts with too much of something: Latin letters, digits, symbols, letters of other scripts."""

from data_prep.cleaning.character_classes import count_characters
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Share


class CharacterMix(CleaningStep):
    """Drops a text with too many characters of one kind. All shares are of the characters that are not white space.

    Args:
        max_latin_share: Latin letters.
        max_digit_share: digits.
        max_symbol_share: what is neither letter, digit nor ordinary punctuation: ``|*=_{}``, boxes, arrows, emoji.
        max_punctuation_share: punctuation.
        max_other_letter_share: kana, Hangul, Cyrillic, Greek, Zhuyin …
    """

    name = "character_mix"

    def __init__(
        self,
        *,
        max_latin_share: Share = 0.6,
        max_digit_share: Share = 0.4,
        max_symbol_share: Share = 0.25,
        max_punctuation_share: Share = 0.5,
        max_other_letter_share: Share = 0.3,
    ) -> None:
        super().__init__()
        self.max_latin_share = max_latin_share
        self.max_digit_share = max_digit_share
        self.max_symbol_share = max_symbol_share
        self.max_punctuation_share = max_punctuation_share
        self.max_other_letter_share = max_other_letter_share

    def clean(self, text: str) -> str | Dropped:
        """``text``, or which kind there is too much of."""
        counts = count_characters(text)
        for found, most, kind in (
            (counts.latin, self.max_latin_share, "Latin"),
            (counts.digits, self.max_digit_share, "digits"),
            (counts.symbols, self.max_symbol_share, "symbols"),
            (counts.punctuation, self.max_punctuation_share, "punctuation"),
            (counts.other_letters, self.max_other_letter_share, "letters of other scripts"),
        ):
            if found > most * counts.total:
                return Dropped(f"too much: {kind}", f"{found / counts.total:.0%}")
        return text
