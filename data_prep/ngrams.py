"""Texts as numbers: normalised characters of many texts at once, and a hash of every run of n of them, by numpy.

Duplicates and contamination are found by comparing runs of characters. Texts that differ only in punctuation, white
space, full-width forms or letter case are the same here: ``NormalisedTexts`` keeps what ``letters_table`` (Han
characters, letters, digits) or ``han_table`` (Han characters) keeps, as one array over all texts.

Runs are hashed through prefix sums. With S[i] = c[0]·B⁰ + … + c[i-1]·Bⁱ⁻¹ modulo 2⁶⁴ and B odd, (S[e] - S[s])·B⁻ˢ
depends on the characters s … e-1 only, not on where they stand. So a run of any length costs two multiplications, and
whole sentences are as cheap as n-grams. A last step mixes the bits, the lowest of which are weak.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from datatrove.data import Document
from numpy.typing import NDArray

from chinesebert.vocabulary import HAN

# All that Unicode calls letters and digits lies in the planes 0 to 3; the entry after them stands for everything above.
TABLE_SIZE = 0x40000
# The one version of Unicode's tables that is the same in every Python. It lacks later scripts; Han characters we know.
_UNICODE = unicodedata.ucd_3_2_0
_BASE = 0x9E3779B97F4A7C15  # odd, bits without pattern (2⁶⁴ divided by the golden ratio)
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # MurmurHash3's finaliser
_MIX_SHIFT = np.uint64(33)


@lru_cache(maxsize=1)
def letters_table() -> NDArray[np.uint32]:
    """Code point -> code point that stands for it, 0 for what is left out; keeps Han characters, letters and digits.

    Full-width and compatibility forms and Kangxi radicals become the plain character, capitals small ones (NFKC and
    lower case, where they give a single character). Traditional and simplified characters stay different.
    """
    table = han_table().copy()
    for code in range(TABLE_SIZE):
        plain = _UNICODE.normalize("NFKC", chr(code)).lower()
        character = plain if len(plain) == 1 else chr(code)
        if not table[code] and _UNICODE.category(character)[0] in "LN":
            table[code] = ord(character)
    return table


@lru_cache(maxsize=1)
def han_table() -> NDArray[np.uint32]:
    """As ``letters_table``, but keeps Han characters only."""
    table = np.zeros(TABLE_SIZE + 1, np.uint32)
    han = frozenset(re.findall(f"[{HAN}]", "".join(map(chr, range(TABLE_SIZE)))))
    for code in range(TABLE_SIZE):
        plain = _UNICODE.normalize("NFKC", chr(code))
        if plain in han:
            table[code] = ord(plain)
    return table


class NormalisedTexts:
    """The characters of some texts that a table keeps, one text after the other.

    Attributes:
        text: the texts, joined without anything between them.
        raw: their code points, uint32.
        codes: the normalised code points that are kept, uint32.
        positions: where in ``text`` each of them stands.
        starts, ends: the first of each text's codes, and the one after its last.
    """

    def __init__(self, texts: Sequence[str], table: NDArray[np.uint32]):
        self.text = "".join(texts)
        self.raw = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32)
        normalised = table.take(self.raw, mode="clip")
        self.positions = np.flatnonzero(normalised)
        self.codes = normalised[self.positions]
        text_ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        self.ends = np.searchsorted(self.positions, text_ends)
        self.starts = np.concatenate(([0], self.ends[:-1])) if len(texts) else self.ends

    def end_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The end of the text that each of these codes belongs to."""
        return self.ends[np.searchsorted(self.ends, places, side="right")]

    def original(self, start: int, end: int) -> str:
        """What stands in the text from code ``start`` up to ``end``, on one line."""
        return " ".join(self.text[self.positions[start] : self.positions[end - 1] + 1].split())


def prefix_sums(codes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """``S`` of the module's description, one longer than ``codes``."""
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * _powers(len(codes), inverse=False), out=sums[1:])
    return sums


def span_hashes(sums: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of each run ``codes[start:end]``."""
    return _mixed((sums[ends] - sums[starts]) * _powers(len(sums), inverse=True)[starts])


def ngram_hashes(sums: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """A hash of every run of ``n`` codes, the same as ``span_hashes`` gives; empty where there are fewer codes."""
    count = max(len(sums) - n, 0)
    return _mixed((sums[len(sums) - count :] - sums[:count]) * _powers(count, inverse=True))


def document_batches(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Consecutive documents in lists of ``characters`` or more, but for the last: numpy is fast on long arrays only."""
    batch: list[Document] = []
    collected = 0
    for document in documents:
        batch.append(document)
        collected += len(document.text)
        if collected >= characters:
            yield batch
            batch, collected = [], 0
    if batch:
        yield batch


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    hashes ^= hashes >> _MIX_SHIFT
    hashes *= _MIX
    hashes ^= hashes >> _MIX_SHIFT
    return hashes


def _powers(length: int, inverse: bool) -> NDArray[np.uint64]:
    return _all_powers(1 << max(length - 1, 0).bit_length(), inverse)[:length]


@lru_cache(maxsize=8)
def _all_powers(length: int, inverse: bool) -> NDArray[np.uint64]:
    factor = pow(_BASE, -1, 1 << 64) if inverse else _BASE
    powers = np.full(length, factor, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)
