"""Trainers of a few steps for the tests of transfer: a tiny classifier of news titles, in memory."""

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.trainer import FinetuningTrainer
from chinesebert.finetuning.transfer.settings import config_changes
from chinesebert.finetuning.transfer.trained import trained_model
from chinesebert.modeling_chinesebert import ChineseBertForSequenceClassification
from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds import KINDS
from chinesebert.tasks.registry import get_task
from tests.finetuning_runs import LABELS
from tests.test_modeling import tiny_config

State = dict[str, torch.Tensor]


def arguments(directory: Path, **settings: Any) -> FinetuningArguments:
    """Settings of a run of a few steps on the CPU."""
    usual: dict[str, Any] = {
        "model_name_or_path": "unused",
        "output_dir": str(directory),
        "do_train": True,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
    }
    return FinetuningArguments(**usual | settings)


def titles_dataset(tokenizer: Any) -> BertDataset:
    """Twelve titles with one of two labels."""
    examples = [TextExample(0, text, label=label) for label, texts in LABELS.items() for text in texts]
    return BertDataset(tokenizer, examples, KINDS["classification"](sorted(LABELS)), cache=False)


def make_trainer(directory: Path, tokenizer: Any, model: Any = None, **settings: Any) -> FinetuningTrainer:
    """A trainer of a two-layer classifier with the options of transfer that are set."""
    args = arguments(directory, **settings)
    dataset = titles_dataset(tokenizer)
    torch.manual_seed(0)
    if model is None:
        sizes = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
        model = ChineseBertForSequenceClassification(tiny_config(**sizes, num_labels=2, **config_changes(args)))
        model.bert.embeddings.glyph_embeddings.embedding.weight.random_(256)
        model.freeze_unused()
    return FinetuningTrainer(
        task=get_task("tnews"),
        kind=dataset.kind,
        model=trained_model(model, args, []),
        args=args,
        train_dataset=dataset,
        eval_dataset=None,
    )


def weights(model: torch.nn.Module) -> State:
    """A copy of all parameters."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before: State, after: State) -> set[str]:
    """Names of the parameters that differ."""
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


class Recorder(TrainerCallback):
    """Copies the weights after each step."""

    def __init__(self) -> None:
        self.steps: list[State] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Copies them."""
        self.steps.append(copy.deepcopy(weights(model)))


def first_batch(trainer: FinetuningTrainer, rows: int = 4) -> dict[str, torch.Tensor]:
    """The first inputs of the training data as a batch."""
    dataset: Any = trainer.train_dataset
    return dataset.collate([dataset[number] for number in range(rows)])
