"""Transformers' ``Trainer`` with what pretraining adds: sample order, evaluation by words, whole checkpoints."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer, TrainerControl

from chinesebert.atomic import atomic_directory
from chinesebert.corpus.dataset import HeldOutRows, collate_for_evaluation, collate_for_training
from chinesebert.corpus.order import RankBatches
from chinesebert.training.checkpoints import HF_DIRECTORY, RUN_FILE, prune_checkpoints
from chinesebert.training.metrics import MaskedAccuracy

_UNFINISHED = ".unfinished"


class PretrainingTrainer(Trainer):
    """Masked-LM pretraining over prepared corpora.

    What differs from ``Trainer``:

    - which samples a step sees is a function of its number alone (``get_train_dataloader``);
    - ``evaluate`` measures loss and accuracy over masked tokens and over masked words, summed over all ranks;
    - a checkpoint appears under its name when it is complete, and holds ``hf/``, which ``from_pretrained`` opens.
    """

    control: TrainerControl

    def __init__(self, facts: dict[str, int | str], **kwargs: Any) -> None:
        """Takes what ``Trainer`` takes, and the facts of the run that its checkpoints are to carry."""
        self._facts = facts
        super().__init__(**kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Micro-batches of this rank, from wherever the run stands when they are first asked for."""
        batches = _LateRankBatches(
            lambda: RankBatches(
                self.args.process_index,
                self.args.world_size,
                self.args.per_device_train_batch_size,
                self.args.global_batch_size,
                self.state.global_step * self.args.global_batch_size,
            )
        )
        return self._loader(self.train_dataset, batches, collate_for_training)

    def get_eval_dataloader(self, eval_dataset: HeldOutRows | None = None) -> DataLoader:
        """This rank's share of the held-out rows."""
        rows = eval_dataset if eval_dataset is not None else self.eval_dataset
        batches = rows.batches(
            self.args.process_index,
            self.args.world_size,
            self.args.per_device_eval_batch_size,
            self.args.eval_max_rows,
        )
        return self._loader(rows, batches, collate_for_evaluation)

    def _loader(self, rows: Any, batches: Any, collate: Callable[..., Any]) -> DataLoader:
        workers = self.args.dataloader_num_workers
        return DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory and self.args.device.type == "cuda",
            persistent_workers=workers > 0,
            # A loader draws a seed when it starts. From the global generator, that would shift the dropout of a run
            # that was restarted (and starts its loader once more) against one that was not.
            generator=torch.Generator(),
        )

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: HeldOutRows | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss and accuracies on held-out text; every row counts once, whatever the number of ranks."""
        started = time.monotonic()
        model = self.model_wrapped
        model.eval()
        accuracy = MaskedAccuracy(self.args.device)
        for batch in self.get_eval_dataloader(eval_dataset):
            inputs = self._prepare_inputs(batch)
            words = inputs.pop("word_numbers")
            outputs = model(**inputs, masked_only=True)
            accuracy.add(outputs.logits, inputs["labels"], words)
        accuracy.sums = self.accelerator.reduce(accuracy.sums, reduction="sum")
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in accuracy.compute().items()}
        metrics[f"{metric_key_prefix}_seconds"] = round(time.monotonic() - started, 2)
        model.train()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs with the true epoch: samples over rows. Of a mixture also the epochs of each corpus, numbered from 1."""
        samples = self.state.global_step * self.args.global_batch_size
        self.state.epoch = samples / len(self.train_dataset)
        mixture = self.train_dataset.mixture
        if mixture is not None and "loss" in logs:
            epochs = enumerate(mixture.epochs(samples), start=1)
            logs = logs | {f"epochs_corpus_{number}": round(seen, 4) for number, seen in epochs}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Writes the model and its tokenizer to ``output_dir/hf`` (transformers calls this on the rank that saves)."""
        if not self.args.should_save:
            return
        directory = Path(output_dir or self.args.output_dir) / HF_DIRECTORY
        self.model.save_pretrained(directory, state_dict=state_dict)
        self.processing_class.save_pretrained(directory)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Lets transformers write the checkpoint aside, and gives it its name when all ranks are done."""
        output_dir = self.args.output_dir
        unfinished = os.path.join(output_dir, _UNFINISHED)
        if self.is_world_process_zero():
            shutil.rmtree(unfinished, ignore_errors=True)  # what a kill in the middle of a save has left
        _wait_for_all_ranks()
        self.args.output_dir = unfinished
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = output_dir
        _wait_for_all_ranks()
        if self.is_world_process_zero():
            name = f"checkpoint-{self.state.global_step}"
            facts = self._facts | {"step": self.state.global_step}
            Path(unfinished, name, RUN_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")
            os.rename(os.path.join(unfinished, name), os.path.join(output_dir, name))
            shutil.rmtree(unfinished)
            prune_checkpoints(Path(output_dir), self.args.save_total_limit)
        _wait_for_all_ranks()

    def save_final_model(self) -> None:
        """Puts the trained model in ``output_dir/hf``; it replaces an older one only when it is complete."""
        state_dict = self.accelerator.get_state_dict(self.model_wrapped)
        if self.is_world_process_zero():
            with atomic_directory(Path(self.args.output_dir) / HF_DIRECTORY, overwrite=True) as directory:
                self.model.save_pretrained(directory, state_dict=state_dict)
                self.processing_class.save_pretrained(directory)
        _wait_for_all_ranks()


def _wait_for_all_ranks() -> None:
    if dist.is_initialized():
        dist.barrier()


class _LateRankBatches(Sampler[list[int]]):
    """Batches decided when iteration begins: ``Trainer`` makes its loader before it has read the checkpoint."""

    def __init__(self, make: Callable[[], RankBatches]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._make())
