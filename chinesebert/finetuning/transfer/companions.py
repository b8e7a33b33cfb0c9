"""The other tasks of ``--also_train``: their data, models and figures."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.starting_model import positions_of, starting_model
from chinesebert.finetuning.trainer import FinetuningTrainer, score
from chinesebert.finetuning.transfer.settings import config_changes
from chinesebert.tasks.dataset import BertDataset, labels_of, require_labels
from chinesebert.tasks.kinds import KINDS, Kind, Lengths
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, missing_split, read_split
from chinesebert.tasks.task import Task


@dataclass
class Companion:
    """A task that is trained along; ``dev`` is None where there is no dev file, ``model`` until training begins."""

    task: Task
    kind: Kind
    train: BertDataset
    dev: BertDataset | None
    lengths: Lengths
    model: Any = None


def companions(args: FinetuningArguments, tokenizer: Any) -> list[Companion]:
    """The tasks of ``--also_train``, read and encoded, each with the lengths that its hyper-parameters say, or shorter
    where the model has fewer positions.

    Args:
        args: the settings of the run.
        tokenizer: of the directory that all models begin with.

    Raises:
        InputError: a task is unknown, or its files are missing or not in its format.
    """
    found = []
    for given in args.also_train:
        name, _, folder = given.partition("=")
        found.append(_companion(get_task(name), Path(folder), args, tokenizer))
    names = [str(args.task), *(companion.task.name for companion in found)]
    if len(set(names)) < len(names):
        raise InputError(f"--also_train: a task is there twice: {', '.join(names)}")
    return found


def _companion(task: Task, folder: Path, args: FinetuningArguments, tokenizer: Any) -> Companion:
    files = {split: find_split(task, folder, split) for split in ("train", "dev")}
    if not files["train"]:
        raise missing_split(task, folder, "train")
    examples = {split: read_split(task, paths) if paths else [] for split, paths in files.items()}
    kind = KINDS[task.kind](list(task.labels) if task.labels is not None else labels_of(examples["train"]))
    longest = min(task.defaults.max_seq_length, positions_of(str(args.model_name_or_path)))
    lengths = Lengths(longest, task.defaults.doc_stride, args.truncation)  # type: ignore[arg-type]  # checked
    kind.learn(examples["train"])
    datasets = {}
    for split, what in (("train", "training"), ("dev", "evaluation")):
        require_labels(examples[split], kind, what)
        datasets[split] = BertDataset(tokenizer, examples[split], kind, lengths) if examples[split] else None
    assert datasets["train"] is not None
    return Companion(task, kind, datasets["train"], datasets["dev"], lengths)


def companion_model(companion: Companion, args: FinetuningArguments) -> Any:
    """The task's model before training: its head, on an encoder that gives way to that of the main task."""
    source, changes = str(args.model_name_or_path), config_changes(args)
    return starting_model(source, companion.kind, companion.task.name, companion.lengths, args.random_weights, changes)


def companion_figures(companion: Companion, args: FinetuningArguments, tokenizer: Any) -> dict[str, Any]:
    """The figures of a task on its dev split, {} where it has none."""
    if companion.dev is None:
        return {}
    settings = copy.copy(args)
    settings.do_train, settings.report_to = False, []
    settings.eval_strategy = settings.save_strategy = "no"
    trainer = FinetuningTrainer(
        task=companion.task,
        kind=companion.kind,
        model=companion.model,
        args=settings,
        processing_class=tokenizer,
        train_dataset=None,
        eval_dataset=None,
    )
    predictions = trainer.predict_examples(companion.dev)
    figures: dict[str, Any] = {"examples": len(companion.dev.examples)}
    return figures | score(companion.task, companion.kind, companion.dev.examples, predictions)
