"""Pair scoring: which of the candidates of a group fits, each judged by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds.base import Encoded, Lengths
from chinesebert.tasks.kinds.choice import grouped
from chinesebert.tasks.kinds.classification import TextKind
from chinesebert.tasks.kinds.compact import compact


class Ranking(TextKind):
    """Pairs with the labels "0" and "1"; the prediction is the probability of "1".

    Which candidate of a group wins is decided by the task's ``score``, or here: the most probable.
    """

    name = "ranking"

    def encode(self, examples: Sequence[TextExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """As for every pair; the ids are kept in little memory, as there are many candidates."""
        encoded = super().encode(examples, tokenizer, lengths)
        for item in encoded.inputs:
            item["input_ids"], item["pinyin_ids"] = compact(item["input_ids"]), compact(item["pinyin_ids"])
        return encoded

    def decode(
        self,
        examples: Sequence[TextExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The probability of "1", for each example."""
        logits = np.asarray(scores, dtype=np.float64)
        yes = self.numbers["1"]
        return [float(row[yes]) for row in np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))]

    def score(self, examples: Sequence[TextExample], predictions: Sequence[Any]) -> dict[str, float]:
        """The share of groups whose most probable candidate is right."""
        groups = grouped([example.group for example in examples])
        best = [max(members, key=lambda place: predictions[place]) for members in groups]
        return {"accuracy": sum(examples[place].label == "1" for place in best) / len(groups)}

    def record(self, example: TextExample, prediction: Any) -> dict[str, Any]:
        """With group and candidate: what the probability is of."""
        return {"group": example.group, "candidate": example.candidate} | super().record(example, prediction)
