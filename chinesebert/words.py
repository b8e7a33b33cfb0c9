"""Word boundaries: where jieba's words begin in a text, character by character."""

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray


@functools.lru_cache(maxsize=1)
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)  # it announces the loading of its dictionary on stderr
    segmenter = jieba.Tokenizer()
    segmenter.initialize()
    return segmenter


def segmenter_version() -> str:
    """Which segmenter finds the words, for the manifest of a corpus: e.g. ``"jieba 0.42.1"``."""
    import jieba

    return f"jieba {jieba.__version__}"


def cut_words(text: str) -> list[str]:
    """The words of a text by jieba's accurate mode with its HMM for unknown words; joined they are the text again."""
    return list(_jieba().cut(text, HMM=True))


def word_starts(text: str) -> NDArray[np.bool_]:
    """Marks the first character of every word: bool ``[len(text)]``."""
    starts = np.zeros(len(text), dtype=np.bool_)
    position = 0
    for word in cut_words(text):
        starts[position] = True
        position += len(word)
    return starts
