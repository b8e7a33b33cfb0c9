"""Dynamic masking: some of the text is hidden, with its pinyin in the same places.

Of the tokens of a sample 15 % are chosen, in units that a strategy decides on: whole words of the text in nine samples
of ten, single tokens otherwise (paper, section 4.1), or others (``masking_strategies``). Of the chosen 80 % become
[MASK] without pinyin, 10 % a random token with *its own* pinyin (with the old one, the answer could be read off), 10 %
stay (BERT's proportions; the paper gives no others). Glyphs need no masking of their own: the model looks them up by
token id, so [MASK] shows [MASK]'s image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .masking_strategies import MASKING_STRATEGIES, word_begins
from .sample_draws import Purpose, SampleDraws

# What torch's cross entropy passes over.
IGNORE_INDEX = -100
# The number of a word that is none: where words were not masked whole.
NO_WORD = -1
# Rows, and tokens of a row, that can be masked at once: both numbers are sorted by as 16 bits.
MOST_ROWS_AND_TOKENS = 1 << 16


@dataclass(frozen=True)
class MaskedTokens:
    """The masked form of B samples.

    Attributes:
        input_ids: int64 ``[B, L]``, with the chosen tokens masked, replaced or kept.
        pinyin_ids: int64 ``[B, L]``, in step with ``input_ids``.
        labels: int64 ``[B, L]``, the original ids at the chosen places, ``IGNORE_INDEX`` elsewhere.
        places: int64 ``[N]``, the chosen places in ascending order: row * L + place in the row.
        whole_words: bool ``[B]``, whether no word of the sample was masked in part.
    """

    input_ids: NDArray[np.int64]
    pinyin_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    whole_words: NDArray[np.bool_]


@dataclass(frozen=True)
class Masking:
    """How samples are masked, for one vocabulary.

    Attributes:
        mask_token_id: the id of [MASK].
        ordinary_token_ids: int64 ``[N]``, what a random replacement is drawn from: never a special token.
        default_pinyin_ids: int64 ``[V]``, for every token its most common reading: the pinyin of a replacement.
        probability: share of the tokens that is chosen.
        whole_word_probability: share of the samples whose words are chosen whole, under the strategy ``wwm+char``.
        strategy: a name in ``MASKING_STRATEGIES``: what is masked together.
        mask_share, random_share: what becomes of the chosen tokens; the rest of them is kept.

    Raises:
        ValueError: there is no such strategy.
    """

    mask_token_id: int
    ordinary_token_ids: NDArray[np.int64]
    default_pinyin_ids: NDArray[np.int64]
    probability: float = 0.15
    whole_word_probability: float = 0.9
    strategy: str = "wwm+char"
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self) -> None:
        if self.strategy not in MASKING_STRATEGIES:
            raise ValueError(f"no masking strategy {self.strategy!r}; there are {', '.join(MASKING_STRATEGIES)}")

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        pinyin_ids: NDArray[np.int64],
        word_starts: NDArray[np.bool_],
        is_text: NDArray[np.bool_],
        draws: SampleDraws,
        rates: NDArray[np.float64] | None = None,
    ) -> MaskedTokens:
        """Masks B samples; the inputs are left as they are. What becomes of a sample does not hang on the others.

        Args:
            input_ids: int64 ``[B, L]``.
            pinyin_ids: int64 ``[B, L]``.
            word_starts: bool ``[B, L]``, the first token of each word; a word goes on to the next start or to where
                the text is interrupted.
            is_text: bool ``[B, L]``, which tokens may be chosen at all: neither special nor padding.
            draws: all randomness comes from here.
            rates: float64 ``[B]``, the share of each sample's tokens that is chosen, instead of ``probability``.

        Raises:
            ValueError: there are more rows, or tokens in a row, than ``MOST_ROWS_AND_TOKENS``.
        """
        if max(is_text.shape) > MOST_ROWS_AND_TOKENS:
            raise ValueError(f"masks at most {MOST_ROWS_AND_TOKENS:,} rows of as many tokens, not {is_text.shape}")
        strategy = MASKING_STRATEGIES[self.strategy](self.whole_word_probability)
        units = strategy(word_begins(word_starts, is_text), is_text, draws)
        rates = np.full(len(is_text), self.probability) if rates is None else rates
        places = _choose(units.starts, is_text, rates, draws)
        labels = np.full_like(input_ids, IGNORE_INDEX)
        labels.reshape(-1)[places] = input_ids.reshape(-1)[places]
        masked_ids, masked_pinyin = self._replace(input_ids, pinyin_ids, places, draws)
        return MaskedTokens(masked_ids, masked_pinyin, labels, places, units.whole_words)

    def _replace(
        self,
        input_ids: NDArray[np.int64],
        pinyin_ids: NDArray[np.int64],
        places: NDArray[np.int64],
        draws: SampleDraws,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        masked_ids, masked_pinyin = input_ids.copy(), pinyin_ids.copy()
        ids, pinyin = masked_ids.reshape(-1), masked_pinyin.reshape(-1)  # views
        length = input_ids.shape[1]
        fate = draws.uniform(Purpose.FATE, *np.divmod(places, length))
        masked = places[fate < self.mask_share]
        ids[masked] = self.mask_token_id
        pinyin[masked] = 0
        replaced = places[(fate >= self.mask_share) & (fate < self.mask_share + self.random_share)]
        drawn = draws.below(len(self.ordinary_token_ids), Purpose.REPLACEMENT, *np.divmod(replaced, length))
        ids[replaced] = self.ordinary_token_ids[drawn]
        pinyin[replaced] = self.default_pinyin_ids[ids[replaced]]
        return masked_ids, masked_pinyin


def _choose(
    starts: NDArray[np.bool_], is_text: NDArray[np.bool_], rates: NDArray[np.float64], draws: SampleDraws
) -> NDArray[np.int64]:
    """The places to mask: units of each row in random order until its share is reached, none of them in part.

    The unit that would go past the share is taken with the probability that makes the share exact on average. Passing
    over it for a shorter one instead would favour short units. The first unit is always taken, so that there is a loss:
    a text so short that its share is less than a unit is masked at a higher rate.
    """
    text = np.flatnonzero(is_text)
    first_tokens = np.flatnonzero(starts.reshape(-1)[text])
    sizes = np.diff(first_tokens, append=len(text))
    rows, places = np.divmod(text[first_tokens], is_text.shape[1])
    units_before, tokens_before = (_counts_before(mask) for mask in (starts, is_text))
    picked = _shuffled(rows, places, units_before, draws)
    picked_sizes = sizes[picked]
    ahead = np.cumsum(picked_sizes) - picked_sizes - tokens_before[rows]  # tokens of the units that come first
    budgets = rates * np.count_nonzero(is_text, axis=1)
    part = draws.uniform_per_sample(Purpose.LAST_UNIT)[rows] * picked_sizes
    taken = (ahead + part < budgets[rows]) | (ahead == 0)
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    chosen[picked[taken]] = True
    return text[np.repeat(chosen, sizes)]


def _shuffled(
    rows: NDArray[np.int64], places: NDArray[np.int64], units_before: NDArray[np.int64], draws: SampleDraws
) -> NDArray[np.int64]:
    """The units of each row in random order, row after row, as numbers from 0 over all rows.

    Row, random bits and the number of the unit in its row go into one integer, which is sorted many times as fast as
    an order is computed (``argsort``); and equal bits do not leave the order to chance.
    """
    numbers = np.arange(len(rows)) - units_before[rows]
    high_bits = draws.bits(Purpose.ORDER, rows, places) >> np.uint64(32)
    keys = rows.astype(np.uint64) << np.uint64(48) | high_bits << np.uint64(16) | numbers.astype(np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFF)).astype(np.int64) + units_before[rows]


def _counts_before(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many places are marked in the rows before each row: int64 ``[B]``."""
    counts = np.count_nonzero(mask, axis=1)
    before: NDArray[np.int64] = np.cumsum(counts) - counts
    return before


def number_words(word_starts: NDArray[np.bool_], is_text: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of the word that each token is in: int64, the shape of both, ``[B, L]``.

    They run from 1 over all rows. A token that is no text is a word by itself.
    """
    numbers: NDArray[np.int64] = np.cumsum(word_begins(word_starts, is_text) | ~is_text)
    return numbers.reshape(is_text.shape)
