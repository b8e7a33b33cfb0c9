"""The datasets that training and evaluation read: sample number in, masked row out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from chinesebert.corpus.order import MixtureOrder, SampleOrder
from chinesebert.corpus.packing import Row, RowDresser, RowPlan
from chinesebert.masking import IGNORE_INDEX, NO_WORD, Masking, number_words, sample_generator

# Keeps the draws of evaluation apart from those of training under the same seed.
_EVALUATION_STREAM = 1 << 63
# The number of a row that counts for nothing.
FILLER_ROW = -1


class MaskedRows(Dataset[dict[str, Any]]):
    """Endless training samples: sample *n* and its mask are functions of (seed, n) alone.

    Args:
        plan: the rows of the corpora.
        dresser: makes rows of token ranges.
        masking: masks them.
        single_probability: the share of rows whose sentences stand alone (paper: 0.1).
        seed: of the run.
        weights: of each corpus of the plan, to mix them in this ratio; without, their rows are one pool.

    Attributes:
        mixture: the order of samples where the corpora are mixed by weight, else None.
    """

    def __init__(
        self,
        plan: RowPlan,
        dresser: RowDresser,
        masking: Masking,
        single_probability: float = 0.1,
        seed: int = 0,
        weights: Sequence[float] = (),
    ) -> None:
        self._plan, self._dresser, self._masking = plan, dresser, masking
        self._single_probability = single_probability
        self._seed = seed
        self.mixture = MixtureOrder(plan.corpus_rows, weights, seed) if weights else None
        self.order = self.mixture or SampleOrder(len(plan), seed)

    def __len__(self) -> int:
        """Rows of all corpora together: the samples in one epoch."""
        return len(self._plan)

    def __getitem__(self, sample: int) -> dict[str, Any]:
        """Sample number ``sample`` of the run, from 0 without end: int64 arrays of shape ``[L]``."""
        return self._masked(self.order.row(sample), sample_generator(self._seed, sample))

    def _masked(self, row_number: int, rng: np.random.Generator) -> dict[str, Any]:
        block, start, end = self._plan.locate(row_number)
        single = rng.random() < self._single_probability
        row = (self._dresser.single if single else self._dresser.packed)(block, start, end)
        masked = self._masking(row.input_ids, row.pinyin_ids, row.word_starts, row.is_text, rng)
        return {
            "input_ids": masked.input_ids,
            "pinyin_ids": masked.pinyin_ids,
            "attention_mask": (row.segment_ids > 0).astype(np.int64),
            "position_ids": row.position_ids,
            "segment_ids": row.segment_ids,
            "labels": masked.labels,
            "word_numbers": _whole_words(row, masked.whole_words),
        }


def _whole_words(row: Row, whole_words: bool) -> NDArray[np.int64]:
    """The number of each token's word, from 1; ``NO_WORD`` everywhere if words were not masked whole."""
    return number_words(row.word_starts, row.is_text) if whole_words else np.full(len(row.input_ids), NO_WORD)


class HeldOutRows(MaskedRows):
    """The rows of held-out text in order, with masks that are the same at every evaluation."""

    def __getitem__(self, row_number: int) -> dict[str, Any]:
        """Row ``row_number`` in ``range(len(self))``, or with ``FILLER_ROW`` a row without labels."""
        number = max(row_number, 0)
        sample = self._masked(number, sample_generator(self._seed, number | _EVALUATION_STREAM))
        if row_number == FILLER_ROW:
            sample["labels"] = np.full_like(sample["labels"], IGNORE_INDEX)
        return sample

    def batches(self, rank: int, ranks: int, batch_size: int, most: int) -> list[list[int]]:
        """The row numbers of one rank, in batches: rank r has rows r, r + ranks, … of the first ``most``.

        Every rank has as many batches of the same sizes, filled up with ``FILLER_ROW``: a rank that ran the model less
        often than the others would leave them waiting where the model is spread over ranks.
        """
        count = min(len(self), most)
        mine = list(range(rank, count, ranks))
        mine += [FILLER_ROW] * (-(-count // ranks) - len(mine))
        return [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]


# What the model takes; the numbers of the words serve evaluation.
MODEL_INPUTS = ("input_ids", "pinyin_ids", "attention_mask", "position_ids", "segment_ids", "labels")


def collate_for_training(samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Stacks samples to the model's inputs: int64 ``[B, L]`` each."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in MODEL_INPUTS}


def collate_for_evaluation(samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """As for training, with ``word_numbers`` ``[B, L]``: the word of the batch each token is in, or ``NO_WORD``."""
    batch = collate_for_training(samples)
    numbers = np.stack([sample["word_numbers"] for sample in samples])
    first_of_row = (numbers.shape[1] + 1) * np.arange(len(samples))[:, None]  # a row has at most L words, from 1
    batch["word_numbers"] = torch.from_numpy(np.where(numbers == NO_WORD, NO_WORD, numbers + first_of_row))
    return batch
