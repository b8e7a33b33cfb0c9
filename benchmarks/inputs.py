"""What the models are fed in the measurements: full rows of the bundled sample text, 15 % of the places masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.masking import Masking
from chinesebert.sample_draws import SampleDraws
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import MASK, SPECIAL_TOKEN_IDS


@dataclass(frozen=True)
class Batch:
    """The same masked rows in the forms that the models take; all tensors are int64.

    Attributes:
        input_ids: ``[B, L]``.
        pinyin_ids: syllable ids ``[B, L]``.
        letter_ids: the letters of each token's syllable ``[B, L, 8]``.
        labels: ``[B, L]``, the original token at masked places, -100 elsewhere.
    """

    input_ids: torch.Tensor
    pinyin_ids: torch.Tensor
    letter_ids: torch.Tensor
    labels: torch.Tensor

    def save(self, path: Path) -> None:
        """Writes the batch to a file."""
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> "Batch":
        """Reads what ``save`` wrote."""
        return cls(**torch.load(path))

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


class SampleRows:
    """Rows of consecutive tokens of a text, which begins again where it ends.

    Args:
        tokenizer: makes the ids.
        paragraphs: the text.
    """

    def __init__(self, tokenizer: ChineseBertTokenizer, paragraphs: Sequence[str]) -> None:
        encoded = tokenizer(list(paragraphs), add_special_tokens=False)
        self.input_ids = np.concatenate([np.array(ids, dtype=np.int64) for ids in encoded["input_ids"]])
        self.pinyin_ids = np.concatenate([np.array(ids, dtype=np.int64) for ids in encoded["pinyin_ids"]])
        self.spellings = tokenizer.readings.letter_ids()
        self.masking = Masking(SPECIAL_TOKEN_IDS[MASK], tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids())

    def batch(self, rows: int, length: int, number: int) -> Batch:
        """Batch ``number`` of the text: the same for the same arguments."""
        size = rows * length
        places = (number * size + np.arange(size)).reshape(rows, length) % len(self.input_ids)
        return _masked(self.input_ids[places], self.pinyin_ids[places], self.spellings, self.masking, number)


def _masked(
    input_ids: NDArray[np.int64], pinyin_ids: NDArray[np.int64], spellings: NDArray, masking: Masking, seed: int
) -> Batch:
    everywhere = np.ones(input_ids.shape, dtype=np.bool_)  # each token a word of its own
    masked = masking(input_ids, pinyin_ids, everywhere, everywhere, SampleDraws(seed, range(len(input_ids))))
    return Batch(
        input_ids=torch.from_numpy(masked.input_ids),
        pinyin_ids=torch.from_numpy(masked.pinyin_ids),
        letter_ids=torch.from_numpy(spellings[masked.pinyin_ids].astype(np.int64)),
        labels=torch.from_numpy(masked.labels),
    )
