"""Which places of a row are masked together: the strategies, each a small class, and their registry.

A strategy cuts the text of every row into units. ``Masking`` chooses units at random until the share is reached, none
of them in part, and replaces their tokens; so a strategy needs no thought for shares, special tokens or pinyin. Since
the units cover the text, every place is as likely to be masked as any other, at the edges of a row too.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .sample_draws import Purpose, SampleDraws

# 1 to 4 consecutive words at 40, 30, 20 and 10 % (MacBERT: Cui et al. 2020, arXiv 2004.13922).
NGRAM_SHARES = (0.4, 0.3, 0.2, 0.1)
# SpanBERT (Joshi et al. 2020, arXiv 1907.10529, section 3.1): whole words, their number geometric with p = 0.2 and at
# most 10, scaled to sum to 1, which gives the paper's mean of 3.8. SpanBERT replaces all tokens of a span alike; here
# each token has its own fate, as in all strategies.
SPAN_SHARES = tuple(0.2 * 0.8**extra / (1 - 0.8**10) for extra in range(10))


class Units(NamedTuple):
    """The text of B rows, cut into what is masked together.

    Attributes:
        starts: bool ``[B, L]``, the first token of each unit; a unit goes on to the next start or to where the text is
            interrupted.
        whole_words: bool ``[B]``, whether no word of the row is cut.
    """

    starts: NDArray[np.bool_]
    whole_words: NDArray[np.bool_]


class MaskingStrategy(Protocol):
    """What a strategy does."""

    def __call__(self, words: NDArray[np.bool_], is_text: NDArray[np.bool_], draws: SampleDraws) -> Units:
        """Cuts the text of B rows into units.

        Args:
            words: bool ``[B, L]``, the first token of each word, and of the text after each interruption.
            is_text: bool ``[B, L]``, which tokens may be masked; the units have to cover these.
            draws: the random numbers of the samples.
        """


class Characters:
    """Every token by itself."""

    def __call__(self, words: NDArray[np.bool_], is_text: NDArray[np.bool_], draws: SampleDraws) -> Units:
        """See ``MaskingStrategy``."""
        return Units(is_text, np.zeros(len(words), dtype=np.bool_))


class WholeWords:
    """Every word by itself."""

    def __call__(self, words: NDArray[np.bool_], is_text: NDArray[np.bool_], draws: SampleDraws) -> Units:
        """See ``MaskingStrategy``."""
        return Units(words, np.ones(len(words), dtype=np.bool_))


@dataclass(frozen=True)
class WordsOrCharacters:
    """Whole words in some samples, characters in the others (ChineseBERT, section 4.1: in nine of ten, words).

    Attributes:
        whole_word_probability: the share of the samples whose words are masked whole.
    """

    whole_word_probability: float

    def __call__(self, words: NDArray[np.bool_], is_text: NDArray[np.bool_], draws: SampleDraws) -> Units:
        """See ``MaskingStrategy``."""
        whole = draws.uniform_per_sample(Purpose.BY_WORDS) < self.whole_word_probability
        return Units(np.where(whole[:, None], words, is_text), whole)


@dataclass(frozen=True)
class WordRuns:
    """Runs of consecutive whole words, that end at the latest where the text is interrupted.

    Attributes:
        shares: of the runs of one word, of two words, …; they sum to 1.
    """

    shares: tuple[float, ...]

    def __call__(self, words: NDArray[np.bool_], is_text: NDArray[np.bool_], draws: SampleDraws) -> Units:
        """See ``MaskingStrategy``."""
        rows, places = np.nonzero(words)
        limits = list(itertools.accumulate(self.shares[:-1]))
        lengths = np.searchsorted(limits, draws.uniform(Purpose.RUN_LENGTH, rows, places), side="right") + 1
        first = np.flatnonzero(_begins_text(is_text)[rows, places])  # the first word of each uninterrupted text
        run_starts = _starts_of_runs(lengths, first)
        starts = np.zeros_like(words)
        starts[rows[run_starts], places[run_starts]] = True
        return Units(starts, np.ones(len(words), dtype=np.bool_))


def _starts_of_runs(lengths: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The words that begin a run: run *k* of a text has the *k*-th of as many lengths as the text has words."""
    text_sizes = np.diff(first, append=len(lengths))
    before = np.cumsum(lengths) - lengths
    starts = before + np.repeat(first - before[first], text_sizes)
    return starts[starts < np.repeat(first + text_sizes, text_sizes)]


def word_begins(word_starts: NDArray[np.bool_], is_text: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first token of each word, and of the text after each interruption: bool, the shape of both, ``[…, L]``."""
    return (word_starts & is_text) | _begins_text(is_text)


def _begins_text(is_text: NDArray[np.bool_]) -> NDArray[np.bool_]:
    begins = is_text.copy()
    begins[..., 1:] &= ~is_text[..., :-1]
    return begins


# Name of a strategy -> makes it, given the share of samples that are to be masked by whole words, if it asks for one.
MASKING_STRATEGIES: dict[str, Callable[[float], MaskingStrategy]] = {
    "wwm+char": WordsOrCharacters,
    "char": lambda _: Characters(),
    "wwm": lambda _: WholeWords(),
    "ngram": lambda _: WordRuns(NGRAM_SHARES),
    "span": lambda _: WordRuns(SPAN_SHARES),
}
