"""How many characters of each kind a text has: Han, Latin letters, digits, punctuation …

The classes are written out here, not taken from ``unicodedata``, which differs from one Python to the next.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_SYMBOL, _HAN, _LATIN, _DIGIT, _PUNCTUATION, _OTHER_LETTER, _SPACE = range(7)

# First and last code point of each stretch. What none names is a symbol: +=<>|~^_#@&*/\{}[], arrows, boxes, emoji.
_STRETCHES = {
    _OTHER_LETTER: [
        (0x0250, 0x1DFF),  # Greek, Cyrillic, Arabic, Thai … and the letters of Chinese phonetics
        (0x1F00, 0x1FFF),
        (0x2C00, 0x2DFF),
        (0x3041, 0x30FF),  # kana
        (0x3100, 0x31BF),  # Zhuyin, Hangul
        (0x31F0, 0x31FF),
        (0xA000, 0xABFF),
        (0xAC00, 0xD7FF),
        (0xFB00, 0xFDFF),
        (0xFE70, 0xFEFC),
        (0xFF66, 0xFFDC),
    ],
    _HAN: [
        (0x3005, 0x3005),  # 々 stands for the character before it
        (0x3007, 0x3007),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x323AF),
    ],
    _LATIN: [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)],
    _DIGIT: [(0x30, 0x39), (0xFF10, 0xFF19)],
    _PUNCTUATION: [
        (ord(mark), ord(mark)) for mark in "!\"'(),-.:;?%·–—‘’“”…、。〈〉《》「」『』【】〔〕！％（），－．：；？～"
    ],
    _SPACE: [(0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x2000, 0x200B), (0x2028, 0x2029), (0x3000, 0x3000)],
    _SYMBOL: [(0xD7, 0xD7), (0xF7, 0xF7), (0x30FB, 0x30FB)],
}


def _class_table() -> np.ndarray:
    table = np.full(0x110000, _SYMBOL, dtype=np.uint8)
    for kind, stretches in _STRETCHES.items():
        for first, last in stretches:
            table[first : last + 1] = kind
    return table


_CLASSES = _class_table()


@dataclass(frozen=True)
class CharacterCounts:
    """Characters of one text by kind; white space belongs to none and is not in ``total``."""

    han: int
    latin: int
    digits: int
    punctuation: int
    other_letters: int
    symbols: int

    @property
    def total(self) -> int:
        """All that is not white space."""
        return self.han + self.latin + self.digits + self.punctuation + self.other_letters + self.symbols


def code_points(text: str) -> np.ndarray:
    """uint32 code points of ``text``, ``[len(text)]``; read-only."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@lru_cache(maxsize=1)  # several steps ask one after another about the same text
def count_characters(text: str) -> CharacterCounts:
    """Counts the characters of ``text`` by kind."""
    counts = np.bincount(_CLASSES[code_points(text)], minlength=7).tolist()
    return CharacterCounts(
        counts[_HAN], counts[_LATIN], counts[_DIGIT], counts[_PUNCTUATION], counts[_OTHER_LETTER], counts[_SYMBOL]
    )


def han_code_points(text: str) -> np.ndarray:
    """uint32 code points of the Han characters of ``text``."""
    points = code_points(text)
    return points[_CLASSES[points] == _HAN]
