"""transformers' ``Trainer`` with the loss, scores and batches of a kind of task, and the options of transfer."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer
from transformers.utils import find_labels

from chinesebert.finetuning.transfer.averaging import Teacher, WeightAverage, distances
from chinesebert.finetuning.transfer.depths import split_by_depth, unfreeze_gradually
from chinesebert.finetuning.transfer.fgm import gradient_of, perturbed
from chinesebert.finetuning.transfer.freezing import encoder_parts
from chinesebert.finetuning.transfer.mixture import SharedEncoder, TaskBatches, TaskMixture
from chinesebert.finetuning.transfer.r_drop import divergence, twice
from chinesebert.finetuning.transfer.rows import score_rows
from chinesebert.finetuning.transfer.settings import EVERY_EPOCH
from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.kinds import Kind
from chinesebert.tasks.task import Task

HEADS_FILE = "other_heads.pt"


class FinetuningTrainer(Trainer):
    """Trains a model on a ``BertDataset``; figures and predictions are those of the data set's kind and task.

    Args:
        task: whose figures are computed.
        kind: of the task.
        model: with the kind's head; with adapters; or a ``SharedEncoder`` whose first model has that head.
        train_dataset, eval_dataset: what is trained and evaluated on, of one kind; a ``TaskMixture`` to train a
            ``SharedEncoder`` on.
    """

    label_names: list[str]
    model: Any  # what is trained, before it is wrapped for ranks

    def __init__(
        self,
        *,
        task: Task,
        kind: Kind,
        model: Any,
        train_dataset: BertDataset | TaskMixture | None,
        eval_dataset: BertDataset | None,
        **kwargs: Any,
    ) -> None:
        self.task = task
        self.kind = kind
        self.compute_metrics: Any = None
        super().__init__(
            model=model,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=kind.collate,
            compute_metrics=self._score_dev if eval_dataset is not None else None,
            compute_loss_func=kind.loss_of_labels if kind.own_loss and not isinstance(model, SharedEncoder) else None,
            preprocess_logits_for_metrics=kind.keep,
            **kwargs,
        )
        # Every rank has read the same images, spellings and readings; torch's DistributedDataParallel would send them
        # to all of them, and cannot: there is no communication of 16-bit whole numbers.
        model._ddp_params_and_buffers_to_ignore = [name for name, _ in model.named_buffers()]
        if isinstance(model, SharedEncoder):
            self.label_names = find_labels(type(model.main))
        # The masked-language-model head takes labels of its second head too, which no task has; if Trainer waited for
        # them, it would take the others for missing.
        self.label_names = [name for name in self.label_names if name != "pinyin_labels"]
        if type(kind).loss is not Kind.loss:
            self.model_accepts_loss_kwargs = False  # a loss of the kind's own is the mean of its micro-batch
        self.average: WeightAverage | None = None
        self.teacher: Teacher | None = None
        if self.args.do_train:
            self._add_averages()

    def _add_averages(self) -> None:
        if self.args.average_weights:
            how, decay, share = self.args.average_weights, self.args.average_decay, self.args.average_share
            self.average = WeightAverage(self.model, how, decay, share)
            self.add_callback(self.average)
        if self.args.self_distillation:
            self.teacher = Teacher(self.model, self.args.teacher_steps)
            self.add_callback(self.teacher)

    # --- Batches and learning rates

    def get_train_dataloader(self) -> DataLoader:
        """As transformers' own; of several tasks, batches of one each."""
        mixture = self.train_dataset
        if not isinstance(mixture, TaskMixture):
            return super().get_train_dataloader()
        sizes = [len(dataset) for dataset in mixture.datasets]
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        batches = TaskBatches(sizes, self._train_batch_size, self.args.also_train_alpha, seed)
        loader = DataLoader(
            mixture,
            batch_sampler=batches,
            collate_fn=mixture.collate,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As transformers' own; with a group for each depth where learning rates depend on it."""
        optimizer = super().create_optimizer(model)
        if self.args.layer_lr_decay < 1 or self.args.gradual_unfreezing:
            trained = self.model if model is None else model
            layers = self.model.config.num_hidden_layers
            split_by_depth(optimizer, trained, layers, self.args.learning_rate, self.args.layer_lr_decay)
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """As transformers' own; the rates of layers that wait are 0."""
        if self.lr_scheduler is not None or not self.args.gradual_unfreezing:
            return super().create_scheduler(num_training_steps, optimizer)
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        depths = [group["depth"] for group in (optimizer or self.optimizer).param_groups]
        if self.args.gradual_unfreezing == EVERY_EPOCH:
            steps = math.ceil(len(self.get_train_dataloader()) / self.args.gradient_accumulation_steps)
        else:
            steps = int(self.args.gradual_unfreezing)
        unfreeze_gradually(scheduler, depths, steps)
        return scheduler

    # --- The loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The head's loss, or the kind's own; while training, with what the options of transfer add."""
        pairs = model.training and self.args.r_drop > 0
        if model.training and self.args.freeze_encoder:
            for part in encoder_parts(self.model):
                part.eval()
        if pairs:
            inputs = twice(inputs)
            num_items_in_batch = None if num_items_in_batch is None else 2 * num_items_in_batch
        kind = self._kind_of(inputs)
        loss, outputs = self._loss_of_task(kind, model, inputs, num_items_in_batch)
        if pairs:
            gaps = divergence(outputs, inputs, kind.prior)
            pairs_in_batch = None if num_items_in_batch is None else num_items_in_batch / 2
            loss = loss + self.args.r_drop * self._mean(gaps, pairs_in_batch)
        if model.training and self.teacher is not None and self.teacher.exists:
            gaps = self._distance_to_teacher(self.teacher, kind, outputs, inputs)
            loss = loss + self.args.self_distillation * self._mean(gaps, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _loss_of_task(self, kind: Kind, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> Any:
        if kind.own_loss and self.compute_loss_func is None:  # of several tasks, which have a loss each
            outputs = model(**_without_labels(inputs))
            return kind.loss_of_labels(outputs, inputs["labels"]), outputs
        # A copy, since label smoothing takes the labels out.
        loss, outputs = super().compute_loss(model, dict(inputs), True, num_items_in_batch)
        own = kind.loss(outputs, inputs)
        return (loss if own is None else own), outputs

    def _kind_of(self, inputs: dict[str, Any]) -> Kind:
        if isinstance(self.train_dataset, TaskMixture):
            return self.train_dataset.datasets[inputs.get("task", 0)].kind
        return self.kind

    def _distance_to_teacher(self, teacher: Teacher, kind: Kind, outputs: Any, inputs: dict[str, Any]) -> torch.Tensor:
        with torch.no_grad(), self.accelerator.autocast():
            wanted = teacher.model(**(_without_labels(inputs) if kind.own_loss else inputs))
        return distances(score_rows(outputs, inputs), score_rows(wanted, inputs))

    def _mean(self, values: torch.Tensor, num_items_in_batch: Any) -> torch.Tensor:
        """The mean of values ``[N]``, scaled as the head's loss is: over the global batch, or this micro-batch."""
        if not self.model_accepts_loss_kwargs or num_items_in_batch is None:
            return values.mean() if len(values) else values.sum()
        ranks = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return values.sum() / num_items_in_batch * ranks

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Adds the gradients of a micro-batch; with FGM also those of the same with changed word embeddings."""
        if not self.args.fgm:
            return super().training_step(model, inputs, num_items_in_batch)
        main = self.model.main if isinstance(self.model, SharedEncoder) else self.model
        weight = main.get_input_embeddings().weight
        before = gradient_of(weight)
        # Ranks add up their gradients once, with the second pass; each looks for the worst of its own batch.
        with self.accelerator.no_sync(model):
            loss = super().training_step(model, inputs, num_items_in_batch)
        with perturbed(weight, before, self.args.fgm):
            super().training_step(model, inputs, num_items_in_batch)
        return loss

    # --- The result

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains; the model is then the result: the average, with adapters merged."""
        output = super().train(*args, **kwargs)
        if self.average is not None:
            self.average.copy_to(self.model)
            self.average = None
        if self.args.lora_rank:
            from chinesebert.finetuning.transfer.lora import merged

            directory = Path(self.args.output_dir) if self.args.should_save else None
            self.model = self.model_wrapped = merged(self.model, directory)
        return output

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluates what the result would be: the average, where there is to be one."""
        if self.average is None:
            return super().evaluate(*args, **kwargs)
        with self.average.in_place(self.model):
            return super().evaluate(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model; of several tasks the main one, and in checkpoints the heads of the others beside it."""
        with self._main_model() as whole:
            super().save_model(output_dir, _internal_call)
        if whole is not None and _internal_call and self.args.should_save:
            torch.save(whole.heads(), Path(str(output_dir)) / HEADS_FILE)

    def _load_best_model(self) -> None:
        with self._main_model() as whole:
            super()._load_best_model()
        if whole is not None:
            path = Path(str(self.state.best_model_checkpoint)) / HEADS_FILE
            whole.load_heads(torch.load(path, weights_only=True))

    @contextmanager
    def _main_model(self) -> Iterator[SharedEncoder | None]:
        """Of several tasks, puts the main model in the place of all; gives all, or None where there is one task."""
        whole = self.model
        if not isinstance(whole, SharedEncoder):
            yield None
            return
        self.model = whole.main
        try:
            yield whole
        finally:
            self.model = whole

    # --- Figures and predictions

    def _score_dev(self, given: EvalPrediction) -> dict[str, float]:
        dataset = self.eval_dataset
        return score(self.task, dataset.kind, dataset.examples, decoded(dataset, given.predictions))

    def predict_examples(self, dataset: BertDataset) -> list[Any]:
        """A prediction for each example of a data set, whether it has labels or not."""
        scorer, self.compute_metrics = self.compute_metrics, None  # it scores the dev split, whatever is predicted
        output = self.predict(dataset)
        self.compute_metrics = scorer
        return decoded(dataset, output.predictions)


def _without_labels(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name != "labels"}


def decoded(dataset: BertDataset, scores: Any) -> list[Any]:
    """Predictions from the scores that a ``Trainer`` collected for all inputs."""
    return dataset.kind.decode(dataset.examples, dataset.encoded, scores)


def score(task: Task, kind: Kind, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """The task's figures, or the kind's where the task has none of its own."""
    return task.score(examples, predictions) if task.score is not None else kind.score(examples, predictions)


def has_truth(kind: Kind, examples: Sequence[Any]) -> bool:
    """Whether every example says what is right, so that predictions can be scored."""
    return bool(examples) and all(kind.truth(example) is not None for example in examples)
