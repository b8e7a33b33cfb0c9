"""Text -> token ids, syllable ids, word starts and sentence starts, all aligned by character offsets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chinesebert.corpus.format import Block, pack_annotations
from chinesebert.corpus.token_ids import TokenTable
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import HAN
from chinesebert.words import Segmenter

_CLOSING = r"”’」』）)】》〉\"'"
# A sentence ends after 。！？… and the quotes and brackets that close it. The half-width ! and ? end one before a Han
# character or white space too, but not inside an address; a Latin full stop only before white space: 3.5 stays whole.
_SENTENCE_END = re.compile(rf"(?:[。！？…][。！？…!?]*|[!?]+(?=[\s{HAN}{_CLOSING}]|$)|\.(?=\s))[{_CLOSING}]*")


@dataclass(frozen=True)
class Annotations:
    """Documents as the prepared corpus stores them, one after another; arrays have shape ``[tokens]`` but for the last.

    Attributes:
        input_ids: uint16 token ids, without special tokens.
        pinyin_ids: uint16 syllable ids, 0 = none.
        word_starts: bool, marks the first token of each word; the pieces of a Latin word are one word.
        sentence_starts: bool, marks the first token of each sentence; a subset of ``word_starts``.
        document_starts: int32 ``[documents + 1]``, the first token of each document, and the end of the last.
    """

    input_ids: NDArray[np.uint16]
    pinyin_ids: NDArray[np.uint16]
    word_starts: NDArray[np.bool_]
    sentence_starts: NDArray[np.bool_]
    document_starts: NDArray[np.int32]

    def block(self) -> Block:
        """As it is stored. Documents without a token are left out."""
        starts = self.document_starts
        has_tokens = np.flatnonzero(starts[1:] > starts[:-1])
        packed = pack_annotations(self.pinyin_ids, self.word_starts, self.sentence_starts)
        return Block(self.input_ids, packed, np.append(starts[has_tokens], starts[-1]).astype(np.int32))


class Annotator:
    """Annotates documents with one tokenizer (its vocabulary and readings) and the words of one segmenter."""

    def __init__(self, tokenizer: ChineseBertTokenizer, segmenter: Segmenter | None = None) -> None:
        self._tokens = TokenTable(tokenizer)
        self._readings = tokenizer.readings
        self._is_continuation = tokenizer.continuation_tokens()
        self._segmenter = segmenter or Segmenter()

    def annotate(self, documents: Sequence[str]) -> Annotations:
        """Annotates documents, their paragraphs separated by line feeds; every paragraph starts a sentence.

        Nothing looks over a line feed: not a word, a phrase of the reading dictionary, a sentence. So many documents
        are one text, and each step runs over it once. A few hundred thousand characters at a time are best.
        """
        text = "\n".join(documents)
        tokens = self._tokens.encode(text)
        starts = tokens.starts
        syllables = np.array(self._readings.syllable_ids(text), dtype=np.uint16)
        begins = ~self._is_continuation[tokens.input_ids]
        sentences = _changes(_numbered(_paragraph_starts(text) | sentence_starts(text))[starts]) & begins
        words = _changes(_numbered(self._segmenter.word_starts(text))[starts]) & begins
        ends = np.cumsum([len(document) + 1 for document in documents])
        return Annotations(
            tokens.input_ids.astype(np.uint16),
            np.where(tokens.lengths == 1, syllables[starts], 0).astype(np.uint16),
            words | sentences,
            sentences,
            np.concatenate([[0], np.searchsorted(starts, ends)]).astype(np.int32),
        )


def _numbered(starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.cumsum(starts, dtype=np.int64)


def _changes(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the places where a group number differs from the one before; the first place counts."""
    changes = np.ones(len(group), dtype=np.bool_)
    np.not_equal(group[1:], group[:-1], out=changes[1:])
    return changes


def _paragraph_starts(text: str) -> NDArray[np.bool_]:
    starts = np.zeros(len(text), dtype=np.bool_)
    line_feeds = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32) == ord("\n")
    starts[:1] = True
    starts[1:] = line_feeds[:-1]
    return starts


def sentence_starts(text: str) -> NDArray[np.bool_]:
    """Marks the first character of every sentence, white space before it included: bool ``[len(text)]``."""
    starts = np.zeros(len(text) + 1, dtype=np.bool_)
    starts[0] = True
    ends = np.fromiter((match.end() for match in _SENTENCE_END.finditer(text)), dtype=np.int64)
    starts[ends] = True
    return starts[:-1]
