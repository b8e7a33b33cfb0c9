"""Another task first: its model is where the second begins (STILTs: Phang et al., 2018, arXiv 1811.01088)."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

from chinesebert.finetuning.starting_model import positions_of
from chinesebert.finetuning.transfer.settings import TransferArguments
from chinesebert.tasks.splits import find_split
from chinesebert.tasks.task import Task

FIRST = "first"
# What the first task is trained with too; all other options of transfer are those of the second.
_SHARED = ("hidden_dropout", "head_layers")


def first_settings(task: Task, args: Any, hyperparameters: dict[str, Any]) -> Any:
    """The settings of the first run: its own task's files and hyper-parameters, all else as in this run.

    Args:
        task: the first.
        args: the settings of the run whose ``first_task`` it is.
        hyperparameters: the first task's, by the names of flags.
    """
    first = copy.copy(args)
    options = {item.name: item for item in dataclasses.fields(TransferArguments) if item.name not in _SHARED}
    for name, item in options.items():
        setattr(first, name, item.default if item.default_factory is dataclasses.MISSING else item.default_factory())
    for name, value in hyperparameters.items():
        setattr(first, name, value)
    first.max_seq_length = min(first.max_seq_length, positions_of(str(args.model_name_or_path)))
    first.task, first.data_dir = task.name, args.first_data_dir
    first.train_file, first.dev_file, first.test_file = [], [], []
    first.output_dir = str(Path(args.output_dir) / FIRST)
    first.do_train, first.do_predict = True, False
    first.do_eval = bool(args.validation_share or find_split(task, Path(args.first_data_dir), "dev"))
    first.resume_from_checkpoint = None
    first.seeds = 1
    return first
