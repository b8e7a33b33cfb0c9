"""Any number of labels for a text or a pair of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds.base import Encoded
from chinesebert.tasks.kinds.classification import TextKind
from chinesebert.tasks.metrics.classification import multi_label_scores


class MultiLabel(TextKind):
    """Each label is true of a text or not; the prediction is a list of labels, in their order, which may be empty."""

    name = "multi_label"

    def config_changes(self) -> dict[str, Any]:
        """As for every kind, and that each label is decided for itself."""
        return super().config_changes() | {"problem_type": "multi_label_classification"}

    def _target(self, example: TextExample) -> list[float]:
        target = [0.0] * len(self.labels)
        for label in _labels(example):
            target[self.number_of(label, example.where)] = 1.0
        return target

    def decode(
        self,
        examples: Sequence[TextExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The labels whose probability is above a half, for each example."""
        chosen = np.asarray(scores) > 0  # the sigmoid of 0 is a half
        return [[self.labels[number] for number in np.flatnonzero(row)] for row in chosen]

    def score(self, examples: Sequence[TextExample], predictions: Sequence[Any]) -> dict[str, float]:
        """F1 over all decisions, F1 as mean over the labels, and how many texts have exactly the right ones."""
        return multi_label_scores([self.truth(example) for example in examples], predictions, self.labels)

    def truth(self, example: TextExample) -> Any:
        """The labels as published, in the order of their numbers; [] is that there are none."""
        if example.label is None:
            return None
        return sorted(_labels(example), key=lambda label: self.numbers.get(label, len(self.labels)))


def _labels(example: TextExample) -> tuple[str, ...]:
    return (example.label,) if isinstance(example.label, str) else example.label or ()
