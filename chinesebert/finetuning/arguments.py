"""The settings of a fine-tuning run: the task's hyper-parameters, overridden by a YAML recipe, overridden by flags."""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from chinesebert.errors import InputError
from chinesebert.finetuning.starting_model import saved_task
from chinesebert.finetuning.transfer import TransferArguments
from chinesebert.tasks import custom
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.task import Task
from chinesebert.training.recipes import parse_settings, read_recipe, value_of

TRUNCATIONS = ("head", "tail", "head+tail")


@dataclass
class FinetuningArguments(TransferArguments, custom.CustomArguments, TrainingArguments):
    """Everything that decides a run. All flags of transformers' ``TrainingArguments`` work; these come on top."""

    task: str | None = field(default=None, metadata={"help": "Name of the task, all, or custom (files of your own)."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the task's files as published."})
    train_file: list[str] = field(
        default_factory=list, metadata={"help": "Files to train on, instead of those in data_dir."}
    )
    dev_file: list[str] = field(
        default_factory=list, metadata={"help": "Files to evaluate on, instead of those in data_dir."}
    )
    test_file: list[str] = field(
        default_factory=list, metadata={"help": "Files to predict, instead of those in data_dir."}
    )
    skip_missing_test: bool = field(
        default=False,
        metadata={
            "help": "Without a test file, train and evaluate all the same, and predict nothing: always so for several "
            "tasks, and where a recipe, not a flag, says do_predict."
        },
    )
    validation_share: float = field(
        default=0.0,
        metadata={"help": "Share of the training examples held out to evaluate on, where there is no dev file."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on so many examples, drawn by seed."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate and predict so many, the first."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Model to begin with: a directory of ours, a released ChineseBERT or a plain Chinese BERT."},
    )
    random_weights: bool = field(
        default=False,
        metadata={"help": "Draw the weights anew; of the model only sizes, glyphs and tokenizer are kept: a baseline."},
    )
    max_seq_length: int = field(default=128, metadata={"help": "Tokens of an input at most. Default: the task's."})
    doc_stride: int = field(
        default=128, metadata={"help": "Tokens that neighbouring windows share, where texts are read in windows."}
    )
    truncation: str = field(
        default="head", metadata={"help": f"What is kept of texts that are too long: {', '.join(TRUNCATIONS)}."}
    )
    unique_choices: bool = field(
        default=False,
        metadata={"help": "ChID: no idiom twice among the blanks of a record; lifts scores, and not all do it."},
    )
    correction_threshold: float | None = field(
        default=None,
        metadata={
            "help": "Spelling correction: replace a character only where the model gives the other at least this "
            "probability; more precision, less recall. Default: what the model was saved with, 0 for a new one."
        },
    )
    no_cache: bool = field(
        default=False,
        metadata={"help": "Tokenize anew, and keep nothing. Else: $CHINESEBERT_CACHE, or ~/.cache/chinesebert."},
    )
    seeds: int = field(
        default=1, metadata={"help": "Runs with seed, seed+1, …; mean, standard deviation and maximum are reported."}
    )
    submission_name: str | None = field(
        default=None, metadata={"help": "Name of the submission file, where the server wants another than the task's."}
    )
    overwrite_output_dir: bool = field(default=False, metadata={"help": "Replace a finished run in output_dir."})

    # Other defaults than transformers' own.
    output_dir: str | None = field(default=None, metadata={"help": "Where model, scores and predictions go."})
    do_eval: bool = field(default=False, metadata={"help": "Score the dev split at the end, and write predictions."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When the dev split is scored: no, steps, epoch."})
    save_strategy: str = field(default="best", metadata={"help": "When checkpoints are kept: no, steps, epoch, best."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints that are kept."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best model on the dev split."})
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "A checkpoint to go on from; false: begin afresh; true, the default: from the last in output_dir, "
            "if an interrupted run with the same settings has left one."
        },
    )
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Inputs a device scores at a time."})
    disable_tqdm: bool | None = field(default=None, metadata={"help": "No bars; the default where output is a file."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between two lines of the log."})
    report_to: str | list[str] = field(default_factory=lambda: ["tensorboard"], metadata={"help": "Logging back-ends."})

    def __post_init__(self) -> None:
        for name in ("eval_strategy", "save_strategy"):
            if getattr(self, name) is False:  # YAML reads `no` as false
                setattr(self, name, "no")
        _check(self)
        self.remove_unused_columns = False  # inputs hold what the model reads, and nothing else
        # Without being told outright, accelerate takes each of several CPU ranks for a run of its own.
        self.use_cpu: bool = self.use_cpu or not torch.accelerator.is_available()
        if self.disable_tqdm is None and not sys.stderr.isatty():
            self.disable_tqdm = True  # bars fill log files with thousands of lines
        self.deepspeed: Any = _deepspeed_settings(getattr(self, "deepspeed", None))
        if not self.do_train:
            self.eval_strategy, self.save_strategy, self.load_best_model_at_end = "no", "no", False
        asked = self.do_eval  # transformers sets it wherever the dev split is scored while training
        try:
            super().__post_init__()
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
        self.do_eval = asked
        if self.deepspeed and self.use_cpu:
            # accelerate joins CPU ranks without telling DeepSpeed, which would take each for a world of its own.
            import deepspeed

            deepspeed.init_distributed(dist_backend="gloo", verbose=False)


def setting(name: str, argv: Sequence[str]) -> Any:
    """What a flag is set to, or the recipe where the flag is not given; None where neither sets it."""
    value: Any = value_of(name, argv)
    recipe = value_of("config", argv)
    return read_recipe(recipe).get(name) if value is None and recipe is not None else value


def task_named(argv: Sequence[str]) -> str:
    """The task that flags or recipe name.

    Raises:
        InputError: neither does.
    """
    name = setting("task", argv)
    if name is None:
        raise InputError("task is not set. Give --task NAME, e.g. --task tnews")
    return str(name)


def task_and_arguments(argv: Sequence[str]) -> tuple[Task, FinetuningArguments]:
    """The task that flags or recipe name, and the settings of its run; of ``custom`` they say what the task is.

    Raises:
        InputError: there is no such task, or a setting is wrong.
    """
    name = task_named(argv)
    if name.lower() != custom.NAME:
        task = get_task(name)
        return task, parse_arguments(argv, task)
    outline = custom.custom_task(custom.CustomArguments(kind=setting("kind", argv)))
    args = parse_arguments(argv, outline)
    saved = None if args.do_train else saved_task(str(args.model_name_or_path)).get("labels")
    return custom.custom_task(args, args.data_dir, saved), args


def parse_arguments(argv: Sequence[str], task: Task | None = None) -> FinetuningArguments:
    """Reads ``--config FILE`` and flags; what neither sets is as the task's hyper-parameters say.

    Without training, inputs are cut as they were when the model was fine-tuned.

    Raises:
        InputError: the recipe cannot be read, a key or flag is unknown, or something that every run needs is missing.
    """
    task = task or get_task(task_named(argv))
    args = parse_settings(FinetuningArguments, argv, defaults=hyperparameters(task))
    lengths = {} if args.do_train else _saved_lengths(str(args.model_name_or_path))
    if lengths:
        args = parse_settings(FinetuningArguments, argv, defaults={**hyperparameters(task), **lengths})
    # A recipe is for many tasks, some of which have no test file; a flag means the files at hand.
    args.skip_missing_test |= not any(flag.split("=")[0] in ("--do_predict", "--do-predict") for flag in argv)
    return args


def _saved_lengths(source: str) -> dict[str, Any]:
    names = ("max_seq_length", "doc_stride", "truncation")
    return {name: value for name, value in saved_task(source).items() if name in names}


def hyperparameters(task: Task) -> dict[str, Any]:
    """The task's hyper-parameters by the names of flags."""
    values = dataclasses.asdict(task.defaults)
    return {**{name: value for name, value in values.items() if name not in ("source", "extra")}, **task.defaults.extra}


def _deepspeed_settings(given: Any) -> Any:
    """The settings of DeepSpeed with what transformers' Trainer fills in only where it finds the word "auto".

    So one file of a ZeRO stage serves pretraining, which sets these itself, and fine-tuning.
    """
    if given is None:
        return None
    if "RANK" not in os.environ:
        raise InputError("--deepspeed: start it with the launcher: deepspeed [--num_gpus N] launch/… instead of python")
    settings = dict(given) if isinstance(given, Mapping) else _read_deepspeed(Path(str(given)))
    for name in ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"):
        settings.setdefault(name, "auto")
    settings.setdefault("gradient_clipping", "auto")
    zero = settings.setdefault("zero_optimization", {"stage": 0})
    if zero.get("stage") == 3:
        zero.setdefault("stage3_gather_16bit_weights_on_model_save", True)  # no whole model is saved otherwise
    return settings


def _read_deepspeed(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the settings of DeepSpeed ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: the settings of DeepSpeed are not JSON ({error})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path}: the settings of DeepSpeed must be a JSON object")
    return settings


def _check(args: FinetuningArguments) -> None:
    needed = {
        "model_name_or_path": "--model_name_or_path DIR: a pretrained or fine-tuned model",
        "output_dir": "--output_dir DIR: where model, scores and predictions go",
    }
    for name, what in needed.items():
        if not getattr(args, name):
            raise InputError(f"{name} is not set. Give {what}")
    if not (args.do_train or args.do_eval or args.do_predict):
        raise InputError("there is nothing to do. Give --do_train, --do_eval, --do_predict, or several of them")
    if args.truncation not in TRUNCATIONS:
        raise InputError(f"truncation is {args.truncation}: it must be one of {', '.join(TRUNCATIONS)}")
    if not 0 <= args.validation_share < 1:
        raise InputError(f"validation_share is {args.validation_share}: it must be at least 0 and below 1")
    if args.correction_threshold is not None and not 0 <= args.correction_threshold <= 1:
        raise InputError(f"correction_threshold is {args.correction_threshold}: it is a probability, from 0 to 1")
    for name in ("seeds", "max_seq_length", "max_train_samples", "max_eval_samples"):
        value = getattr(args, name)
        if value is not None and (value != int(value) or value < 1):
            raise InputError(f"{name} is {value}: it must be a whole number above 0")
    for item in dataclasses.fields(custom.CustomArguments):
        value = getattr(args, item.name)
        if str(args.task).lower() != custom.NAME and value not in (None, [], item.default):
            raise InputError(f"{item.name} is for files of your own: give --task custom --kind KIND, or leave it out")
    if args.seeds > 1 and not args.do_train:
        raise InputError("--seeds: without --do_train all of them would come out alike; leave it out, or train")
    for name in ("train_file", "dev_file", "test_file"):
        if isinstance(getattr(args, name), str):  # a recipe may name one file without brackets
            setattr(args, name, [getattr(args, name)])
