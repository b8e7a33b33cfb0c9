"""The datasets that training and evaluation read: sample numbers in, a batch of masked rows out.

torch's ``DataLoader`` asks a dataset that has ``__getitems__`` for all samples of a micro-batch at once. So rows are
packed and masked together, by array operations over the batch, and there is nothing left to collate.
"""

import copy
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from chinesebert.corpus.order import MixtureOrder, SampleOrder, mix
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.masking import IGNORE_INDEX, NO_WORD, Masking, number_words
from chinesebert.sample_draws import Purpose, SampleDraws

# Keeps the draws of evaluation apart from those of training under the same seed.
_EVALUATION_STREAM = 1 << 63
# The number of a row that counts for nothing.
FILLER_ROW = -1

Batch = dict[str, Any]
"""What ``__getitems__`` returns. Arrays of int64 ``[B, L]``:

- ``input_ids``, ``pinyin_ids``, ``attention_mask``, ``position_ids``, ``segment_ids`` and ``labels``, for the model;
- ``pinyin_labels``: the syllables before masking, for a model that predicts those too;
- ``word_numbers``: equal for the tokens of one word, different for those of different words of the batch; ``NO_WORD``
  in rows whose words were not masked whole;

int64 ``[N]``: ``masked_places``, the N places that have a label, as row * L + place in the row, in ascending order;

and whole numbers: ``masked_tokens``, which is N; ``most_masked``, the N of the row that has most; and ``padding``, how
many of the B x L places are [PAD]. With these a program need not ask the device, which would make it wait.
"""


@dataclass(frozen=True)
class LinearRate:
    """A masking rate that changes linearly over a run: call it with the number of a sample.

    Attributes:
        start: the rate of sample 0.
        end: the rate from sample ``samples`` on; equal to ``start`` for a constant rate.
        samples: over how many samples it changes.

    Raises:
        ValueError: a rate is not in [0, 1], or there are no samples.
    """

    start: float
    end: float
    samples: int

    def __post_init__(self) -> None:
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1 and self.samples > 0):
            raise ValueError(f"a masking rate goes from 0..1 to 0..1 over some samples, not as {self}")

    def __call__(self, sample: int) -> float:
        """The rate of sample number ``sample``, from 0."""
        return self.start + (self.end - self.start) * min(sample / self.samples, 1.0)


class MaskedRows(Dataset[Batch]):
    """Endless training samples: sample *n* and its mask are functions of (seed, n) alone, not of the batch it is in.

    Args:
        plan: the rows of the corpora.
        dresser: makes rows of token ranges.
        masking: masks them.
        single_probability: the share of rows whose sentences stand alone (paper: 0.1).
        seed: of the run.
        weights: of each corpus of the plan, to mix them in this ratio; without, their rows are one pool.
        rate: the masking rate of each sample; without, that of ``masking``.

    Attributes:
        mixture: the order of samples where the corpora are mixed by weight, else None.
        order: the order of samples, mixed or not.
        first_sample: the number of the sample that the order begins with: 0, or where a phase begins.
    """

    def __init__(
        self,
        plan: RowPlan,
        dresser: RowDresser,
        masking: Masking,
        single_probability: float = 0.1,
        seed: int = 0,
        weights: Sequence[float] = (),
        rate: LinearRate | None = None,
    ) -> None:
        self._plan, self._dresser, self._masking = plan, dresser, masking
        self._single_probability = single_probability
        self._seed, self._weights, self._rate = seed, weights, rate
        self.first_sample = 0
        self._set_order(seed)

    def _set_order(self, seed: int) -> None:
        plan, weights = self._plan, self._weights
        self.mixture = MixtureOrder(plan.corpus_rows, weights, seed) if weights else None
        self.order = self.mixture or SampleOrder(len(plan), seed)

    def __len__(self) -> int:
        """Rows of all corpora together: the samples in one epoch."""
        return len(self._plan)

    def __getitem__(self, sample: int) -> Batch:
        """Sample number ``sample`` alone: as ``__getitems__``, its arrays of shape ``[L]`` and ``[N]``."""
        batch = self.__getitems__([sample])
        return batch | {name: batch[name][0] for name in (*MODEL_INPUTS, "pinyin_labels", "word_numbers")}

    def __getitems__(self, samples: Sequence[int]) -> Batch:
        """The samples with these numbers in the run, from 0 without end, see ``Batch``."""
        rows = [self.order.row(sample - self.first_sample) for sample in samples]
        rates = None if self._rate is None else np.array([self._rate(sample) for sample in samples])
        return self._masked(rows, SampleDraws(self._seed, samples), rates)

    def as_phase(self, number: int, first_sample: int) -> "MaskedRows":
        """The same rows as a phase of a run that begins with sample ``first_sample``, in the order of that phase.

        Phase 0 has the order of a run without phases.
        """
        phase = copy.copy(self)
        phase.first_sample = first_sample
        phase._set_order(mix(self._seed ^ mix(number)) if number else self._seed)
        return phase

    def _masked(
        self, row_numbers: Sequence[int], draws: SampleDraws, rates: NDArray[np.float64] | None = None
    ) -> Batch:
        single = draws.uniform_per_sample(Purpose.SINGLE_SENTENCES) < self._single_probability
        rows = self._dresser([self._plan.locate(row) for row in row_numbers], single)
        masked = self._masking(rows.input_ids, rows.pinyin_ids, rows.word_starts, rows.is_text, draws, rates)
        words = number_words(rows.word_starts, rows.is_text)
        words[~masked.whole_words] = NO_WORD
        attention_mask = rows.segment_ids > 0
        return _labelled(masked.labels, masked.places) | {
            "input_ids": masked.input_ids,
            "pinyin_ids": masked.pinyin_ids,
            "attention_mask": attention_mask.astype(np.int64),
            "position_ids": rows.position_ids,
            "segment_ids": rows.segment_ids,
            "pinyin_labels": rows.pinyin_ids,
            "word_numbers": words,
            "padding": attention_mask.size - int(np.count_nonzero(attention_mask)),
        }


def _labelled(labels: NDArray[np.int64], places: NDArray[np.int64]) -> Batch:
    """The labels of a batch, and what follows from their places."""
    most = int(np.bincount(places // labels.shape[1], minlength=1).max())
    return {"labels": labels, "masked_places": places, "masked_tokens": len(places), "most_masked": most}


class HeldOutRows(MaskedRows):
    """The rows of held-out text in order, with masks that are the same at every evaluation."""

    def __getitems__(self, samples: Sequence[int]) -> Batch:
        """The rows with these numbers in ``range(len(self))``, or with ``FILLER_ROW`` rows without labels."""
        numbers = [max(row, 0) for row in samples]
        batch = self._masked(numbers, SampleDraws(self._seed, [number | _EVALUATION_STREAM for number in numbers]))
        fillers = np.array(samples) == FILLER_ROW
        if fillers.any():
            labels = batch["labels"]
            labels[fillers] = IGNORE_INDEX
            batch |= _labelled(labels, np.flatnonzero(labels != IGNORE_INDEX))
        return batch

    def batches(self, rank: int, ranks: int, batch_size: int, most: int) -> list[list[int]]:
        """The row numbers of one rank, in batches: rank r has the numbers r, r + ranks, … of ``chosen(most)``.

        Every rank has as many batches of the same sizes, filled up with ``FILLER_ROW``: a rank that ran the model less
        often than the others would leave them waiting where the model is spread over ranks.
        """
        chosen = self.chosen(most)
        mine = chosen[rank::ranks]
        mine += [FILLER_ROW] * (-(-len(chosen) // ranks) - len(mine))
        return [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]

    def chosen(self, most: int) -> list[int]:
        """The numbers of all rows, or of ``most`` of them, evenly spaced: of every corpus as large a share."""
        count = min(len(self), most)
        return [number * len(self) // count for number in range(count)]


class PhasedRows(Dataset[Batch]):
    """The samples of a run in phases, of rows of other lengths or from other corpora.

    Samples keep their numbers over the run, and the masks that these give; in each phase the rows come in an order of
    its own, from its beginning.

    Args:
        phases: of each phase the number of its first sample, 0 for the first, and its rows, all with the run's seed.

    Attributes:
        phases: the rows of each phase, in the order of the phases.

    Raises:
        ValueError: there are none, the first does not begin with sample 0, or one does not begin after the one before.
    """

    def __init__(self, phases: Sequence[tuple[int, MaskedRows]]) -> None:
        self._starts = [first_sample for first_sample, _ in phases]
        if self._starts[:1] != [0] or sorted(set(self._starts)) != self._starts:
            raise ValueError(f"phases begin with sample 0 and then one after another, not with {self._starts}")
        self.phases = [rows.as_phase(number, first) for number, (first, rows) in enumerate(phases)]

    def phase_of(self, sample: int) -> int:
        """The number of the phase, from 0, that a sample is in."""
        return bisect_right(self._starts, sample) - 1

    def __getitem__(self, sample: int) -> Batch:
        """See ``MaskedRows``."""
        return self.phases[self.phase_of(sample)][sample]

    def __getitems__(self, samples: Sequence[int]) -> Batch:
        """See ``MaskedRows``.

        Raises:
            ValueError: the samples are of several phases, whose rows may differ in length.
        """
        phases = {self.phase_of(sample) for sample in (min(samples), max(samples))}
        if len(phases) > 1:
            raise ValueError(
                f"samples {min(samples)} to {max(samples)} are of phases {sorted(phases)}; a batch has one"
            )
        return self.phases[phases.pop()].__getitems__(samples)

    def epochs(self, samples: int) -> float:
        """How often the first ``samples`` samples pass over the rows, the passes of all phases together."""
        return sum(self._drawn(number, samples) / len(rows) for number, rows in enumerate(self.phases))

    def _drawn(self, phase: int, samples: int) -> int:
        """How many of the first ``samples`` samples are of a phase."""
        end = self._starts[phase + 1] if phase + 1 < len(self._starts) else samples
        return max(min(end, samples) - self._starts[phase], 0)


# What the model takes; the rest of a batch serves evaluation and counting.
MODEL_INPUTS = ("input_ids", "pinyin_ids", "attention_mask", "position_ids", "segment_ids", "labels")


def collate(batch: Batch) -> Batch:
    """A batch with tensors in place of its arrays, on the same memory."""
    return {name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part for name, part in batch.items()}


def model_inputs(batch: Batch) -> dict[str, Any]:
    """What ``ChineseBertForMaskedLM`` takes of a collated batch, except ``pinyin_labels``, which few models want."""
    layout = {"masked_positions": batch["masked_places"], "masked_per_row": batch["most_masked"]}
    return {name: batch[name] for name in MODEL_INPUTS} | layout
