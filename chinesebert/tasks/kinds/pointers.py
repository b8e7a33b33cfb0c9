"""Spans that may overlap, as a start and an end score of each label: subjects and arguments of events."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.tasks.examples import Span
from chinesebert.tasks.kinds.characters import Window
from chinesebert.tasks.kinds.padding import padded
from chinesebert.tasks.kinds.spans import SpanKind, Spans

_IGNORED = -100
# Added to every score: a new head then says that one output in a hundred is set, not every second. Else the first
# hundreds of steps only learn that almost none is (Lin et al., Focal Loss for Dense Object Detection, 2017, 4.1).
_PRIOR = math.log(0.01 / 0.99)


class Pointers(SpanKind):
    """For each label, is a character the first of a span, and is it the last: decided one by one with a sigmoid.

    One company may so be the subject of two events. Within a label a first character goes with the nearest last one
    from it on (the half-pointers of CasRel, Wei et al., ACL 2020, section 3.2.1), so of spans of *one* label that end
    at different places inside one another only the shorter is found (with right scores, 98.9 F1 of the spans of the
    900 published records of ccks2020_event_subject).
    """

    name = "pointers"
    each_label_scored = False  # there are dozens
    own_loss = True
    prior = _PRIOR

    def output_names(self) -> list[str]:
        """``start-`` and ``end-`` of each label."""
        return [f"{part}-{label}" for label in self.labels for part in ("start", "end")]

    def targets(self, length: int, spans: Spans) -> NDArray[np.integer[Any]]:
        """``[marks, 2]``: the token and the output of each mark that is to be set."""
        known = [(span, 2 * self.numbers[span.label]) for span in spans if span.label in self.numbers]
        marks = {mark for span, output in known for mark in ((span.start, output), (span.end - 1, output + 1))}
        return np.array(sorted(marks), dtype=np.int64).reshape(-1, 2)

    def window_labels(self, targets: NDArray[np.integer[Any]], window: Window) -> dict[str, Any]:
        """``counted``: the tokens whose outputs count in this window; ``marks``: token and output of what is set."""
        inside = targets[(window.first <= targets[:, 0]) & (targets[:, 0] < window.last)]
        shift = 1 - window.start
        return {
            "counted": (window.first + shift, window.last + shift),
            "marks": [(place + shift, output) for place, output in inside.tolist()],
        }

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask`` ``[B, L]``; ``labels`` ``[B, L, 2 · labels]``, int8.

        Labels are 1 where a span of the label begins or ends, else 0; -100 where nothing counts.
        """
        batch = padded(inputs, ("input_ids", "pinyin_ids"))
        if all("labels" in item for item in inputs):
            outputs = 2 * len(self.labels)
            labels = torch.full((*batch["input_ids"].shape, outputs), _IGNORED, dtype=torch.int8)
            for row, item in zip(labels, inputs, strict=True):
                first, last = item["labels"]["counted"]
                row[first:last] = 0
                for token, output in item["labels"]["marks"]:
                    row[token, output] = 1
            batch["labels"] = labels
        return batch

    def loss_of_labels(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        """Binary cross entropy, summed over the outputs of a character and averaged over characters.

        Args:
            outputs: of the head, ``logits`` ``[B, L, outputs]``.
            labels: as ``collate`` makes them.
            num_items_in_batch: how many labels count in the whole global batch; by default those of this one.
        """
        counted = labels != _IGNORED
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            outputs["logits"].float() + _PRIOR, labels.clamp(min=0).float(), reduction="none"
        )
        count = counted.sum() if num_items_in_batch is None else num_items_in_batch
        if not torch.is_tensor(count):
            count = torch.tensor(count, device=losses.device)
        return (losses * counted).sum() * labels.shape[-1] / count.clamp(min=1)

    def summarise(self, logits: Any) -> Any:
        """Whether each output is above one half, int8 ``[B, L, outputs]``."""
        return (logits + _PRIOR > 0).to(torch.int8)

    def spans(self, scores: NDArray[Any]) -> Spans:
        """Each first character with the nearest last one of its label, in the order of the text."""
        found = []
        for number, label in enumerate(self.labels):
            starts = np.flatnonzero(scores[:, 2 * number] > 0)
            ends = np.flatnonzero(scores[:, 2 * number + 1] > 0)
            nearest = np.searchsorted(ends, starts)
            found += [
                Span(int(start), int(ends[place]) + 1, label)
                for start, place in zip(starts, nearest, strict=True)
                if place < len(ends)
            ]
        return tuple(sorted(found))
