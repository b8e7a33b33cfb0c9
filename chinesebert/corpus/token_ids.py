"""The token ids of a text, looked up character by character where WordPiece allows it.

BERT sets every Han character and every punctuation mark apart, so its token does not depend on its neighbours: those
ids come from one table over all code points, with numpy. What stands between them (Latin words, numbers, kana) goes
through the tokenizer itself, once for every different piece. The result is that of ``Tokenizer.encode`` on the whole
text.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

_CODE_POINTS = 0x110000
# What the table says of a code point besides its token id.
_JOINS = -1  # goes through the tokenizer together with its neighbours
_SEPARATES = -2  # white space: no token, and nothing joins over it
_NOT_SEEN = -3
# Different pieces (words, numbers) that are remembered: about 20 MB.
_MOST_PIECES = 1 << 16


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text; all arrays have shape ``[tokens]``.

    Attributes:
        input_ids: int32.
        starts: int64, the first character of each token.
        lengths: int64, how many characters it covers.
    """

    input_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


_Piece = tuple[list[int], list[int], list[int]]  # ids, starts, lengths


class TokenTable:
    """Finds token ids as the tokenizer's ``encode`` does, without special tokens, a whole text at once."""

    def __init__(self, tokenizer: ChineseBertTokenizer) -> None:
        # A copy: the tokenizer's own takes on the padding and truncation of each call.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        # Text that happens to contain "[MASK]" must not become a special token in training data.
        self._backend.encode_special_tokens = True
        self._table = np.full(_CODE_POINTS, _NOT_SEEN, dtype=np.int32)
        if any(not token.special for token in self._backend.get_added_tokens_decoder().values()):
            self._table[:] = _JOINS  # added tokens are found anywhere in a text, over Han characters too
            self._table[ord("\n")] = _SEPARATES
        self._pieces: dict[str, _Piece] = {}

    def encode(self, text: str) -> Tokens:
        """The tokens of a text in their order."""
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        found = self._table[codes]
        if (found == _NOT_SEEN).any():
            self._learn(np.unique(codes[found == _NOT_SEEN]))
            found = self._table[codes]
        apart = np.flatnonzero(found >= 0)
        ids, starts, lengths = self._joined(text, found == _JOINS)
        places = np.searchsorted(apart, starts)
        return Tokens(
            np.insert(found[apart], places, ids),
            np.insert(apart, places, starts),
            np.insert(np.ones(len(apart), dtype=np.int64), places, lengths),
        )

    def _joined(
        self, text: str, joins: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """The tokens of all runs of characters that join."""
        edges = np.flatnonzero(np.diff(joins, prepend=False, append=False))
        begins, ends = edges[::2], edges[1::2]
        pieces = [self._piece(text[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        offsets = np.repeat(begins, np.array([len(piece[0]) for piece in pieces], dtype=np.int64))
        ids = np.array([number for piece in pieces for number in piece[0]], dtype=np.int32)
        starts = np.array([start for piece in pieces for start in piece[1]], dtype=np.int64)
        lengths = np.array([length for piece in pieces for length in piece[2]], dtype=np.int64)
        return ids, starts + offsets, lengths

    def _piece(self, piece: str) -> _Piece:
        known = self._pieces.get(piece)
        if known is None:
            if len(self._pieces) >= _MOST_PIECES:
                self._pieces.clear()
            encoding = self._backend.encode(piece, add_special_tokens=False)
            starts = [start for start, _ in encoding.offsets]
            known = encoding.ids, starts, [end - start for start, end in encoding.offsets]
            self._pieces[piece] = known
        return known

    def _learn(self, codes: NDArray[np.uint32]) -> None:
        for code in codes.tolist():
            self._table[code] = self._token_of(chr(code))

    def _token_of(self, character: str) -> int:
        """Asks the tokenizer whether it sets this character apart, and for its token."""
        normalized = self._backend.normalizer.normalize_str(f"a{character}a")
        words = [word for word, _ in self._backend.pre_tokenizer.pre_tokenize_str(normalized)]
        if len(words) < 2 or words[0] != "a" or words[-1] != "a":
            return _JOINS
        encoding = self._backend.encode(character, add_special_tokens=False)
        if not encoding.ids:
            return _SEPARATES
        return encoding.ids[0] if encoding.offsets == [(0, 1)] else _JOINS
