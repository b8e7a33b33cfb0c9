"""transformers' ``Trainer`` with the loss, scores and batches of a kind of task."""

from collections.abc import Sequence
from typing import Any

from transformers import EvalPrediction, Trainer

from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.kinds import Kind
from chinesebert.tasks.task import Task


class FinetuningTrainer(Trainer):
    """Trains a model on a ``BertDataset``; figures and predictions are those of the data set's kind and task.

    Args:
        task: whose figures are computed.
        train_dataset, eval_dataset: what is trained and evaluated on, of one kind.
    """

    label_names: list[str]

    def __init__(
        self,
        *,
        task: Task,
        kind: Kind,
        train_dataset: BertDataset | None,
        eval_dataset: BertDataset | None,
        **kwargs: Any,
    ) -> None:
        self.task = task
        self.kind = kind
        self.compute_metrics: Any = None
        super().__init__(
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=kind.collate,
            compute_metrics=self._score_dev if eval_dataset is not None else None,
            compute_loss_func=kind.loss_of_labels if kind.own_loss else None,
            preprocess_logits_for_metrics=kind.keep,
            **kwargs,
        )
        # The masked-language-model head takes labels of its second head too, which no task has; if Trainer waited for
        # them, it would take the others for missing.
        self.label_names = [name for name in self.label_names if name != "pinyin_labels"]

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The head's loss, or the kind's own."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        own = self.kind.loss(outputs, inputs)
        loss = loss if own is None else own
        return (loss, outputs) if return_outputs else loss

    def _score_dev(self, given: EvalPrediction) -> dict[str, float]:
        dataset = self.eval_dataset
        return score(self.task, dataset.kind, dataset.examples, decoded(dataset, given.predictions))

    def predict_examples(self, dataset: BertDataset) -> list[Any]:
        """A prediction for each example of a data set, whether it has labels or not."""
        scorer, self.compute_metrics = self.compute_metrics, None  # it scores the dev split, whatever is predicted
        output = self.predict(dataset)
        self.compute_metrics = scorer
        return decoded(dataset, output.predictions)


def decoded(dataset: BertDataset, scores: Any) -> list[Any]:
    """Predictions from the scores that a ``Trainer`` collected for all inputs."""
    return dataset.kind.decode(dataset.examples, dataset.encoded, scores)


def score(task: Task, kind: Kind, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """The task's figures, or the kind's where the task has none of its own."""
    return task.score(examples, predictions) if task.score is not None else kind.score(examples, predictions)


def has_truth(kind: Kind, examples: Sequence[Any]) -> bool:
    """Whether every example says what is right, so that predictions can be scored."""
    return bool(examples) and all(kind.truth(example) is not None for example in examples)
