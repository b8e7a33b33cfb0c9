"""What a kind of task must be able to do: from examples to model inputs, and from scores to predictions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.tasks.examples import Example, TextExample

Truncation = Literal["head", "tail", "head+tail"]


@dataclass(frozen=True)
class Lengths:
    """How long inputs are and what happens to longer texts.

    Attributes:
        max_seq_length: tokens of an input at most, special ones included.
        doc_stride: tokens that neighbouring windows share, for kinds that read long texts in windows.
        truncation: which end of a text is kept, for kinds that cut it.
    """

    max_seq_length: int = 128
    doc_stride: int = 128
    truncation: Truncation = "head"


@dataclass
class Encoded:
    """Examples as the model reads them; a long text may be several inputs.

    Attributes:
        inputs: for each input the ids by name: ``input_ids`` and ``pinyin_ids`` ``[L]`` (choices: ``[C, L]``); where
            the examples have them, ``labels`` and the like.
        owners: which example each input comes from.
        offsets: for kinds that need them, for each token of each input the characters ``[start, end)`` of the text that
            it covers, ``(0, 0)`` where none.
        cut: how many examples lost text because they were too long.
    """

    inputs: list[dict[str, Any]]  # or a sequence that reads them from a cache, one by one
    owners: list[int]
    offsets: list[list[tuple[int, int]]] = field(default_factory=list)
    cut: int = 0


class Kind(ABC):
    """A kind of task; made for one run, with the labels of its task.

    Args:
        labels: all labels, in the order of their numbers; empty for kinds without.
    """

    name: ClassVar[str]
    head: ClassVar[str]  # the model class in ``chinesebert`` that is trained
    has_labels: ClassVar[bool] = True  # whether the head's size follows from labels
    own_loss: ClassVar[bool] = False  # whether the head cannot read ``labels``, and ``loss_of_labels`` is the loss
    prior: ClassVar[float] = 0.0  # what its loss and its predictions add to the scores of the head
    example: ClassVar[type[Example]] = TextExample  # what its examples are

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.labels = list(labels)
        self.numbers = {label: number for number, label in enumerate(self.labels)}

    def config_changes(self) -> dict[str, Any]:
        """What the model's configuration says for this task (``num_labels`` follows from ``id2label``)."""
        if not self.has_labels:
            return {}
        names = self.output_names()
        return {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}

    def output_names(self) -> list[str]:
        """A name for each output of the head: the labels themselves, or the tags made of them."""
        return self.labels

    def prepare(self, tokenizer: Any) -> None:
        """Takes from the tokenizer what ``decode`` needs; called also where a cache makes ``encode`` unnecessary."""
        return None

    def learn(self, examples: Sequence[Any]) -> None:
        """Takes from the training examples what predictions need, besides the labels."""
        return None

    def state(self) -> dict[str, Any]:
        """What ``learn`` took, and what else decides predictions, as JSON: it is saved with the model."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes what another run learned, from ``state``."""
        return None

    @abstractmethod
    def encode(self, examples: Sequence[Any], tokenizer: Any, lengths: Lengths) -> Encoded:
        """Makes model inputs; with labels for the examples that have some."""

    @abstractmethod
    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch, padded to its longest input, with an ``attention_mask``."""

    def summarise(self, logits: Any) -> Any:
        """What is kept of a batch's scores for ``decode``; all of them by default."""
        return logits

    def keep(self, logits: Any, labels: torch.Tensor | None) -> Any:
        """``summarise`` for kinds that have to see the labels of the batch too."""
        return self.summarise(logits)

    def loss(self, outputs: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """A loss of the kind's own, where it is not the head's; None for the head's."""
        return None

    def loss_of_labels(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        """The loss, where labels are not such as the head reads; see ``compute_loss_func`` of transformers' Trainer."""
        raise NotImplementedError(f"{type(self).__name__} has own_loss, but no loss_of_labels")

    @abstractmethod
    def decode(
        self, examples: Sequence[Any], encoded: Encoded, scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...]
    ) -> list[Any]:
        """A prediction for each example, from what ``summarise`` kept (``[N, …]``, N inputs, padded with -100)."""

    def confidences(
        self, examples: Sequence[Any], encoded: Encoded, scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...]
    ) -> list[float] | None:
        """How sure ``decode`` is of each prediction, as a probability.

        None where the kind cannot say, or where a prediction is not one label of one text: a list, a text, a span.
        """
        return None

    @abstractmethod
    def score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """Figures between 0 and 1; examples without the truth do not get here."""

    @abstractmethod
    def truth(self, example: Any) -> Any:
        """What ``decode`` should have returned for an example; None where the file does not say."""

    def record(self, example: Any, prediction: Any) -> dict[str, Any]:
        """A line of ``predictions.jsonl``."""
        line: dict[str, Any] = {"id": example.id, "prediction": prediction}
        truth = self.truth(example)
        return line if truth is None else line | {"label": truth}
