"""What the original ChineseBERT code calls to prepare text: jieba, pypinyin, WordPiece, one sentence at a time."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import BertWordPieceTokenizer

from chinesebert.corpus.annotate import sentence_starts
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY


def split_sentences(paragraphs: Sequence[str]) -> list[str]:
    """The sentences of a text, one string each."""
    sentences = []
    for text in paragraphs:
        starts = [*sentence_starts(text).nonzero()[0].tolist(), len(text)]
        sentences += [text[start:end] for start, end in itertools.pairwise(starts)]
    return sentences


def pypinyin_readings(texts: Sequence[str]) -> list[list[str]]:
    """The original's call: the first reading of every character, "" where there is none."""
    from pypinyin import Style, pinyin

    def none(characters: str) -> list[list[str]]:
        return [[""] for _ in characters]

    return [
        [readings[0] for readings in pinyin(text, style=Style.TONE3, heteronym=True, errors=none)]  # type: ignore[arg-type]
        for text in texts
    ]


def jieba_words(sentence: str) -> list[str]:
    """``jieba.cut``: accurate mode, HMM on."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return list(jieba.cut(sentence))


class OriginalChain:
    """The three calls, and what they say of every token."""

    def __init__(self) -> None:
        self.wordpiece = BertWordPieceTokenizer(str(DEFAULT_VOCABULARY))

    def run(self, sentences: Sequence[str]) -> None:
        """What is timed: the three calls for each sentence, without anything made of their results or written."""
        for sentence in sentences:
            jieba_words(sentence)
            pypinyin_readings([sentence])
            self.wordpiece.encode(sentence)

    def annotate(self, sentence: str) -> tuple[list[int], list[str], list[bool]]:
        """Token ids, the syllable of each token ("" = none) and whether it starts a word.

        A token of one character has that character's reading; the first token of each of jieba's words starts one, the
        pieces of a Latin word go on with it.
        """
        tokens = self.wordpiece.encode(sentence, add_special_tokens=False)
        readings = pypinyin_readings([sentence])[0]
        syllables = [readings[start] if end - start == 1 else "" for start, end in tokens.offsets]
        word_of = np.repeat(*_numbered(jieba_words(sentence)))
        numbers = [int(word_of[start]) for start, _ in tokens.offsets]
        goes_on = [token.startswith("##") for token in tokens.tokens]
        starts = [
            not goes_on[place] and (place == 0 or numbers[place] != numbers[place - 1]) for place in range(len(numbers))
        ]
        return tokens.ids, syllables, starts


def _numbered(words: Sequence[str]) -> tuple[Any, list[int]]:
    return np.arange(len(words)), [len(word) for word in words]
