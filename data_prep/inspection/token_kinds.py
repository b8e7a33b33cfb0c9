"""What the tokens of a vocabulary are: Han characters, Latin, digits, punctuation …"""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chinesebert.vocabulary import CONTINUATION, UNK, han_character

KINDS = ("Han", "Latin", "digits", "punctuation", "other", "unknown")
_HAN, _LATIN, _DIGITS, _PUNCTUATION, _OTHER, _UNKNOWN = range(len(KINDS))


def written(token: str) -> str:
    """What a token writes: without the mark of a continuation piece."""
    return token.removeprefix(CONTINUATION) if token != CONTINUATION else token


def joined(tokens: Sequence[str]) -> str:
    """Tokens as text. White space is not stored; it is put between what would be one Latin word without it."""
    text = ""
    for token in tokens:
        apart = text[-1:].isalnum() and text[-1:].isascii() and token[:1].isalnum() and token[:1].isascii()
        text += f" {token}" if apart else written(token)
    return text


def token_kinds(tokens: Sequence[str]) -> NDArray[np.int8]:
    """For every token the index of its kind in ``KINDS``: int8 ``[V]``."""
    return np.array([_kind(token) for token in tokens], dtype=np.int8)


def token_characters(tokens: Sequence[str]) -> NDArray[np.int64]:
    """How many characters every token writes: int64 ``[V]``. An unknown token counts as one."""
    return np.array([1 if token == UNK else len(written(token)) for token in tokens], dtype=np.int64)


def _kind(token: str) -> int:
    if token == UNK:
        return _UNKNOWN
    if han_character(token):
        return _HAN
    text = written(token)
    categories = {unicodedata.category(character)[0] for character in text}
    if any(map(_is_latin, text)):
        return _LATIN
    if categories == {"N"}:
        return _DIGITS
    return _PUNCTUATION if categories <= {"P", "S"} else _OTHER


def _is_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("LATIN ", "FULLWIDTH LATIN "))
