"""Counts everything that is told about a corpus, in one pass over its blocks."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from chinesebert.corpus.format import Block, unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from data_prep.inspection.counters import DifferentKeys, FrequentKeys, Keys
from data_prep.inspection.fingerprints import Fingerprints
from data_prep.inspection.lengths import Lengths
from data_prep.inspection.token_kinds import token_characters

# Words of up to so many tokens are counted: their ids, 16 bits each, are a 64-bit key. Longer ones are Latin words in
# pieces and names in transcription, none of them frequent.
WORD_KEY_TOKENS = 4
# Shorter sentences repeat by nature (好的。谢谢！); those from here on repeat where text was copied.
LONG_SENTENCE_TOKENS = 10


class CorpusStatistics:
    """Everything that is counted while blocks pass by.

    Args:
        tokenizer: of the corpus.

    Attributes:
        token_counts: int64 ``[V]``, occurrences of each token.
        syllable_counts: int64 ``[S + 1]``, occurrences of each syllable id.
        document_tokens, document_characters, sentence_tokens, sentence_characters, word_characters: distributions.
        words: words of two to ``WORD_KEY_TOKENS`` tokens, by ``word_keys``.
        documents, sentences, long_sentences: how many different ones there are.
        repeated: how often long sentences occur, with the number of the token where each was first met.
    """

    def __init__(self, tokenizer: ChineseBertTokenizer) -> None:
        tokens = tokenizer.tokens()
        self._characters = token_characters(tokens)
        self._most_common_readings = tokenizer.default_pinyin_ids().astype(np.uint16)
        self._syllable_numbers = len(tokenizer.readings.syllables) + 1
        self._fingerprints = Fingerprints()
        self._rare_readings = FrequentKeys()
        self._tokens_read = 0
        self.token_counts = np.zeros(len(tokens), dtype=np.int64)
        self.syllable_counts = np.zeros(self._syllable_numbers, dtype=np.int64)
        self.document_tokens, self.document_characters = Lengths(), Lengths()
        self.sentence_tokens, self.sentence_characters = Lengths(), Lengths()
        self.word_characters = Lengths()
        self.words = FrequentKeys()
        self.documents, self.sentences, self.long_sentences = DifferentKeys(), DifferentKeys(), DifferentKeys()
        self.repeated = FrequentKeys()

    def add(self, block: Block) -> None:
        """Counts one block."""
        input_ids = block.input_ids.astype(np.intp)
        pinyin_ids = unpack_pinyin_ids(block.pinyin_and_starts)
        documents = block.document_starts[:-1].astype(np.intp)
        sentences = _starts(unpack_sentence_starts(block.pinyin_and_starts), documents)
        words = _starts(unpack_word_starts(block.pinyin_and_starts), documents)
        self.token_counts += np.bincount(input_ids, minlength=len(self.token_counts))
        self.syllable_counts += np.bincount(pinyin_ids, minlength=len(self.syllable_counts))
        self._add_readings(input_ids, pinyin_ids)
        self._add_lengths(input_ids, documents, sentences, words)
        self._add_words(input_ids, words)
        self._add_repetitions(input_ids, documents, sentences)
        self._tokens_read += len(input_ids)

    def _add_readings(self, input_ids: NDArray[np.intp], pinyin_ids: NDArray[np.uint16]) -> None:
        # A few per cent of all tokens: the others are what is left of the tokens' counts.
        rare = np.flatnonzero(pinyin_ids != self._most_common_readings[input_ids])
        self._rare_readings.add((input_ids[rare] * self._syllable_numbers + pinyin_ids[rare]).astype(np.uint64))

    def _add_lengths(
        self,
        input_ids: NDArray[np.intp],
        documents: NDArray[np.intp],
        sentences: NDArray[np.intp],
        words: NDArray[np.intp],
    ) -> None:
        before = np.concatenate([[0], np.cumsum(self._characters[input_ids])])  # characters before each token
        total = len(input_ids)
        for starts, in_tokens, in_characters in (
            (documents, self.document_tokens, self.document_characters),
            (sentences, self.sentence_tokens, self.sentence_characters),
            (words, None, self.word_characters),
        ):
            if in_tokens is not None:
                in_tokens.add(np.diff(starts, append=total))
            in_characters.add(np.diff(before[starts], append=before[-1]))

    def _add_words(self, input_ids: NDArray[np.intp], words: NDArray[np.intp]) -> None:
        lengths = np.diff(words, append=len(input_ids))
        counted = (lengths > 1) & (lengths <= WORD_KEY_TOKENS)
        self.words.add(word_keys(input_ids, words[counted], lengths[counted]))

    def _add_repetitions(
        self, input_ids: NDArray[np.intp], documents: NDArray[np.intp], sentences: NDArray[np.intp]
    ) -> None:
        self.documents.add(self._fingerprints.of(input_ids, documents))
        of_sentences = self._fingerprints.of(input_ids, sentences)
        self.sentences.add(of_sentences)
        is_long = np.diff(sentences, append=len(input_ids)) >= LONG_SENTENCE_TOKENS
        self.long_sentences.add(of_sentences[is_long])
        self.repeated.add(of_sentences[is_long], sentences[is_long] + self._tokens_read)

    def readings_of_tokens(self) -> dict[int, Counter[int]]:
        """For every token that occurs, how often it has each syllable id (0: none)."""
        readings: dict[int, Counter[int]] = {}
        keys, counts, _ = self._rare_readings.counted()
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            token, syllable = divmod(key, self._syllable_numbers)
            readings.setdefault(token, Counter())[syllable] = count
        for token in np.flatnonzero(self.token_counts).tolist():
            counted = readings.setdefault(token, Counter())
            rest = int(self.token_counts[token]) - counted.total()
            if rest:
                counted[int(self._most_common_readings[token])] += rest
        return readings


def collect(blocks: Iterable[Block], tokenizer: ChineseBertTokenizer) -> CorpusStatistics:
    """Counts all blocks of a corpus."""
    statistics = CorpusStatistics(tokenizer)
    for block in blocks:
        statistics.add(block)
    return statistics


def word_keys(input_ids: NDArray[np.intp], words: NDArray[np.intp], lengths: NDArray[np.intp]) -> Keys:
    """The token ids of words as 64-bit numbers, 16 bits a token from the highest; ids are never 0, so 0 is no token."""
    keys = np.zeros(len(words), dtype=np.uint64)
    for place in range(WORD_KEY_TOKENS):
        inside = np.flatnonzero(lengths > place)
        keys[inside] |= input_ids[words[inside] + place].astype(np.uint64) << np.uint64(16 * (3 - place))
    return keys


def tokens_of_word(key: int) -> list[int]:
    """The token ids that ``word_keys`` put together."""
    ids = [key >> 16 * (WORD_KEY_TOKENS - 1 - place) & 0xFFFF for place in range(WORD_KEY_TOKENS)]
    return [token for token in ids if token]


def _starts(marks: NDArray[np.bool_], documents: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where a mark or a document begins: a document never goes on with what the one before it ended with."""
    marks[documents] = True
    return np.flatnonzero(marks)
