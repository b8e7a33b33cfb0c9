"""Dynamic masking: whole words or single characters, with the pinyin masked in the same place.

Of the tokens of a sample 15 % are chosen, whole words of the text at a time with probability 0.9, single tokens
otherwise (paper, section 4.1). Of the chosen 80 % become [MASK] without pinyin, 10 % a random token with *its own*
pinyin (with the old one, the answer could be read off), 10 % stay (BERT's proportions; the paper gives no others).
Glyphs need no masking of their own: the model looks them up by token id, so [MASK] shows [MASK]'s image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What torch's cross entropy passes over.
IGNORE_INDEX = -100
# The number of a word that is none: where words were not masked whole.
NO_WORD = -1


@dataclass(frozen=True)
class MaskedTokens:
    """The masked form of one sample; all arrays have shape ``[L]``.

    Attributes:
        input_ids: int64, with the chosen tokens masked, replaced or kept.
        pinyin_ids: int64, in step with ``input_ids``.
        labels: int64, the original ids at the chosen places, ``IGNORE_INDEX`` elsewhere.
        whole_words: whether whole words were chosen.
    """

    input_ids: NDArray[np.int64]
    pinyin_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    whole_words: bool


@dataclass(frozen=True)
class Masking:
    """How samples are masked, for one vocabulary.

    Attributes:
        mask_token_id: the id of [MASK].
        ordinary_token_ids: int64 ``[N]``, what a random replacement is drawn from: never a special token.
        default_pinyin_ids: int64 ``[V]``, for every token its most common reading: the pinyin of a replacement.
        probability: share of the tokens that is chosen.
        whole_word_probability: share of the samples whose words are chosen whole.
        mask_share, random_share: what becomes of the chosen tokens; the rest of them is kept.
    """

    mask_token_id: int
    ordinary_token_ids: NDArray[np.int64]
    default_pinyin_ids: NDArray[np.int64]
    probability: float = 0.15
    whole_word_probability: float = 0.9
    mask_share: float = 0.8
    random_share: float = 0.1

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        pinyin_ids: NDArray[np.int64],
        word_starts: NDArray[np.bool_],
        is_text: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> MaskedTokens:
        """Masks one sample; the inputs are left as they are.

        Args:
            input_ids: int64 ``[L]``.
            pinyin_ids: int64 ``[L]``.
            word_starts: bool ``[L]``, the first token of each word; a word goes on to the next start or to where the
                text is interrupted.
            is_text: bool ``[L]``, which tokens may be chosen at all: neither special nor padding.
            rng: all randomness comes from here.
        """
        whole_words = bool(rng.random() < self.whole_word_probability)
        words = number_words(word_starts, is_text) if whole_words else np.arange(len(input_ids))
        chosen = self._choose(words[is_text], np.flatnonzero(is_text), rng)
        labels = np.full_like(input_ids, IGNORE_INDEX)
        labels[chosen] = input_ids[chosen]
        masked_ids, masked_pinyin = self._replace(input_ids, pinyin_ids, chosen, rng)
        return MaskedTokens(masked_ids, masked_pinyin, labels, whole_words)

    def _choose(
        self, words: NDArray[np.int64], places: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The places to mask: words in random order until the share is reached, none of them in part.

        The word that would go past the share is taken with the probability that makes the share exact on average.
        Passing over it for a shorter one instead would favour short words.
        """
        if len(places) == 0:
            return places
        _, word, sizes = np.unique(words, return_inverse=True, return_counts=True)
        order = rng.permutation(len(sizes))
        ends = np.cumsum(sizes[order])
        budget = self.probability * len(places)
        count = int(np.searchsorted(ends, budget, side="right"))
        if count < len(sizes):
            left = budget - (ends[count - 1] if count else 0)
            count += bool(rng.random() < left / sizes[order[count]])
        chosen = np.zeros(len(sizes), dtype=np.bool_)
        chosen[order[: max(count, 1)]] = True  # at least one, so that there is a loss
        return places[chosen[word]]

    def _replace(
        self,
        input_ids: NDArray[np.int64],
        pinyin_ids: NDArray[np.int64],
        chosen: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        masked_ids, masked_pinyin = input_ids.copy(), pinyin_ids.copy()
        fate = rng.random(len(chosen))
        masked = chosen[fate < self.mask_share]
        masked_ids[masked] = self.mask_token_id
        masked_pinyin[masked] = 0
        replaced = chosen[(fate >= self.mask_share) & (fate < self.mask_share + self.random_share)]
        masked_ids[replaced] = self.ordinary_token_ids[rng.integers(len(self.ordinary_token_ids), size=len(replaced))]
        masked_pinyin[replaced] = self.default_pinyin_ids[masked_ids[replaced]]
        return masked_ids, masked_pinyin


def number_words(word_starts: NDArray[np.bool_], is_text: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of the word that each token is in, from 1: int64 ``[L]``. A token that is no text is one by itself."""
    begins = word_starts | ~is_text
    begins[:1] = True
    begins[1:] |= ~is_text[:-1]
    return np.cumsum(begins)


def sample_generator(seed: int, sample: int) -> np.random.Generator:
    """The random numbers of one sample: a function of (seed, sample) alone, so that any process can draw them."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, sample], dtype=np.uint64)))
