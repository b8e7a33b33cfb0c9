"""Converts between traditional and simplified characters with OpenCC. Not among the steps of ``web.yaml``."""

from functools import lru_cache
from typing import Any, Literal

from chinesebert.errors import InputError
from data_prep.cleaning.step import CleaningStep

# OpenCC's names: s simplified, t its own standard of traditional, tw Taiwan's, twp Taiwan's with its words, hk Hong
# Kong's.
Direction = Literal["t2s", "tw2s", "tw2sp", "hk2s", "s2t", "s2tw", "s2twp", "s2hk", "t2tw", "t2hk", "tw2t", "hk2t"]


class ScriptConversion(CleaningStep):
    """Converts the whole text, phrase by phrase; the paragraphs stay as they are.

    Args:
        direction: from and to what, in OpenCC's names; ``t2s`` is traditional to simplified.
    """

    name = "script_conversion"

    def __init__(self, *, direction: Direction = "t2s") -> None:
        super().__init__()
        self.direction = direction

    def clean(self, text: str) -> str:
        """The converted text.

        Raises:
            InputError: the package ``opencc`` is not installed.
        """
        converted: str = _converter(self.direction).convert(text)
        if converted.count("\n") != text.count("\n"):
            raise AssertionError(f"OpenCC ({self.direction}) has changed the number of paragraphs")
        return converted


@lru_cache  # not an attribute of the step: a converter cannot be sent to another process
def _converter(direction: str) -> Any:
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise InputError(
            "the cleaning step script_conversion needs OpenCC; install it with: "
            "pip install 'chinesebert-pretraining[opencc]'"
        ) from error
    return OpenCC(direction)
