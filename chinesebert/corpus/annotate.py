"""Text -> token ids, syllable ids, word starts and sentence starts, all aligned by character offsets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import HAN, UNK
from chinesebert.words import word_starts

_CLOSING = r"”’」』）)】》〉\"'"
# A sentence ends after 。！？… and the quotes and brackets that close it. The half-width ! and ? end one before a Han
# character or white space too, but not inside an address; a Latin full stop only before white space: 3.5 stays whole.
_SENTENCE_END = re.compile(rf"(?:[。！？…][。！？…!?]*|[!?]+(?=[\s{HAN}{_CLOSING}]|$)|\.(?=\s))[{_CLOSING}]*")


@dataclass(frozen=True)
class AnnotatedDocument:
    """A document as the prepared corpus stores it; all arrays have length ``[tokens]``.

    Attributes:
        input_ids: uint16 token ids, without special tokens.
        pinyin_ids: uint16 syllable ids, 0 = none.
        word_starts: bool, marks the first token of each word; the pieces of a Latin word are one word.
        sentence_starts: bool, marks the first token of each sentence; a subset of ``word_starts``.
        unknown: how many tokens are [UNK].
    """

    input_ids: NDArray[np.uint16]
    pinyin_ids: NDArray[np.uint16]
    word_starts: NDArray[np.bool_]
    sentence_starts: NDArray[np.bool_]
    unknown: int


class Annotator:
    """Annotates documents with one tokenizer (its vocabulary and readings) and the words of jieba."""

    def __init__(self, tokenizer: ChineseBertTokenizer) -> None:
        # A copy: the tokenizer's own takes on the padding and truncation of each call.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        # Text that happens to contain "[MASK]" must not become a special token in training data.
        self._backend.encode_special_tokens = True
        self._readings = tokenizer.readings
        self._is_continuation = tokenizer.continuation_tokens()
        self._unknown_id = tokenizer.convert_tokens_to_ids(UNK)

    def annotate(self, paragraphs: Sequence[str]) -> AnnotatedDocument:
        """Annotates the paragraphs of one document; every paragraph starts a sentence."""
        encodings = self._backend.encode_batch(list(paragraphs), add_special_tokens=False)
        parts = [
            self._annotate_paragraph(text, encoding.ids, encoding.offsets)
            for text, encoding in zip(paragraphs, encodings, strict=True)
            if encoding.ids
        ]
        return _concatenate(parts or [_EMPTY], self._unknown_id)

    def _annotate_paragraph(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> "_Paragraph":
        input_ids = np.array(ids, dtype=np.uint16)
        starts, ends = np.array(offsets, dtype=np.int64).T
        syllables = np.array(self._readings.syllable_ids(text), dtype=np.uint16)
        pinyin_ids = np.where(ends - starts == 1, syllables[starts], 0).astype(np.uint16)

        begins = ~self._is_continuation[input_ids]
        begins[0] = True
        sentences = _changes(np.cumsum(sentence_starts(text))[starts]) & begins
        words = _changes(np.cumsum(word_starts(text))[starts]) & begins
        words |= sentences
        return input_ids, pinyin_ids, words, sentences


_Paragraph = tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.bool_], NDArray[np.bool_]]
_EMPTY: _Paragraph = (np.zeros(0, np.uint16), np.zeros(0, np.uint16), np.zeros(0, np.bool_), np.zeros(0, np.bool_))


def _concatenate(parts: list[_Paragraph], unknown_id: int) -> AnnotatedDocument:
    input_ids, pinyin_ids, words, sentences = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    unknown = int((input_ids == unknown_id).sum())
    return AnnotatedDocument(input_ids, pinyin_ids, words, sentences, unknown)


def _changes(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the places where a group number differs from the one before; the first place counts."""
    changes = np.ones(len(group), dtype=np.bool_)
    np.not_equal(group[1:], group[:-1], out=changes[1:])
    return changes


def sentence_starts(text: str) -> NDArray[np.bool_]:
    """Marks the first character of every sentence, white space before it included: bool ``[len(text)]``."""
    starts = np.zeros(len(text), dtype=np.bool_)
    starts[:1] = True
    for match in _SENTENCE_END.finditer(text):
        if match.end() < len(text):
            starts[match.end()] = True
    return starts
