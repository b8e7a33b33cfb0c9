"""The settings of a pretraining run: a YAML recipe, overridden by flags."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import yaml
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from chinesebert.corpus.packing import SHORTEST_ROW
from chinesebert.errors import InputError
from chinesebert.masking import MASKING_STRATEGIES
from chinesebert.training.device_peak import peak_of
from chinesebert.training.engine import OPTIMIZERS
from chinesebert.training.recipes import parse_settings
from chinesebert.training.timeline import Phase, Ramp, Timeline, read_phases


@dataclass
class PretrainingArguments(TrainingArguments):
    """Everything that decides a run. All flags of transformers' ``TrainingArguments`` work; these come on top."""

    train_data: list[str] = field(default_factory=list, metadata={"help": "Prepared corpora to train on, one or more."})
    data_weights: list[float] = field(
        default_factory=list,
        metadata={
            "help": "A weight for each corpus of train_data, in the same order and any unit: its share of the rows "
            "that training reads. Without weights the corpora are one pool. See docs/mixtures.md."
        },
    )
    eval_data: list[str] = field(default_factory=list, metadata={"help": "Prepared corpora of held-out text."})
    glyphs: str | None = field(
        default=None, metadata={"help": "Glyph images of the vocabulary, from `python -m data_prep glyphs`."}
    )
    model: str | None = field(default=None, metadata={"help": "JSON file with the sizes of the model."})
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "Weights to begin with: a directory of ours, a released ChineseBERT, or a plain Chinese BERT. "
            "Without it, and for what it lacks, weights are drawn."
        },
    )
    glyph_trainable: bool | None = field(
        default=None,
        metadata={"help": "Train the glyph images as weights, or leave them as they are. Default: as init_from."},
    )
    pronunciation_loss_weight: float | None = field(
        default=None,
        metadata={
            "help": "Weight of a second loss, the pronunciation of masked characters; 0: none. Default: as the sizes "
            "or init_from have it, else none."
        },
    )
    attention: str | None = field(
        default=None,
        metadata={
            "help": "Attention, as transformers names it: sdpa (default), flash_attention_2, flex_attention, eager."
        },
    )
    resume: str = field(
        default="auto",
        metadata={
            "help": "auto: go on from the newest checkpoint in output_dir, or start; never: start; or a checkpoint."
        },
    )

    max_length: int = field(default=512, metadata={"help": "Tokens in a row."})
    phases: str | None = field(
        default=None,
        metadata={
            "help": "Phases of the run, as YAML: [{steps: 450000, max_length: 128, per_device_train_batch_size: 200}, "
            "{max_length: 512}]. What a phase leaves out is as in the recipe; the last takes the steps that are left."
        },
    )
    global_batch_size: int = field(
        default=256, metadata={"help": "Rows in an optimizer step over all ranks. Accumulation follows from it."}
    )
    batch_size_start: int | None = field(
        default=None, metadata={"help": "The global batch of the first step, where it grows. Default: full at once."}
    )
    batch_size_increment: int | None = field(
        default=None, metadata={"help": "By how many rows it grows at a time. Default: batch_size_start."}
    )
    batch_size_ramp_steps: int = field(default=0, metadata={"help": "Over how many steps it grows."})
    single_sentence_probability: float = field(
        default=0.1, metadata={"help": "Share of the rows whose sentences stand alone instead of packed."}
    )
    isolate_documents: bool = field(
        default=True, metadata={"help": "Hide the documents of a packed row from one another."}
    )
    masking_strategy: str = field(
        default="wwm+char", metadata={"help": f"What is masked together: {', '.join(MASKING_STRATEGIES)}."}
    )
    masking_probability: float = field(default=0.15, metadata={"help": "Share of the tokens that is predicted."})
    masking_probability_end: float | None = field(
        default=None, metadata={"help": "The share at the end of the run, where it changes linearly."}
    )
    whole_word_probability: float = field(
        default=0.9, metadata={"help": "Share of the rows masked word by word; the rest character by character."}
    )
    eval_max_rows: int = field(
        default=1024, metadata={"help": "Rows of held-out text that an evaluation reads at most."}
    )
    cloze: str | None = field(
        default=None,
        metadata={"help": "Sentences with one character in 【】, a line each, that the model guesses at evaluations."},
    )

    glyph_learning_rate_scale: float = field(
        default=1.0,
        metadata={
            "help": "What the learning rate of the map from pixels to the glyph vector is multiplied by. Each of its "
            "steps moves the vector by as much as 1,728 pixels add up to: small models learn faster with 0.1."
        },
    )
    optimizer: str = field(default="adamw", metadata={"help": f"One of {', '.join(OPTIMIZERS)}."})
    nonfinite_steps: int = field(
        default=5,
        metadata={"help": "Steps in a row without a finite loss and gradient after which the run gives up."},
    )
    save_failure: str = field(
        default="continue",
        metadata={"help": "What a checkpoint that cannot be written does to the run: continue, or stop."},
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Print sizes, steps, memory and expected time, and end without training."}
    )
    dry_run_mfu: float = field(
        default=0.4, metadata={"help": "Share of the device's peak that --dry_run assumes is reached."}
    )
    dry_run_ranks: int | None = field(
        default=None, metadata={"help": "How many ranks --dry_run plans for. Default: those that are running."}
    )
    dry_run_device: str | None = field(
        default=None,
        metadata={
            "help": "The device that --dry_run plans for, by its name: H100, 'A100 40GB', …. Default: the one at hand."
        },
    )

    # Other defaults than transformers' own.
    output_dir: str | None = field(default=None, metadata={"help": "Where checkpoints, logs and the model go."})
    max_steps: int = field(default=-1, metadata={"help": "Optimizer steps of the run."})
    report_to: str | list[str] = field(default_factory=lambda: ["tensorboard"], metadata={"help": "Logging back-ends."})

    def __post_init__(self) -> None:
        for name in ("eval_strategy", "save_strategy"):
            if getattr(self, name) is False:  # YAML reads `no` as false
                setattr(self, name, "no")
        _check(self)
        self.use_cpu: bool = self.use_cpu or not torch.cuda.is_available()
        self.timeline = _timeline(self)
        self.timeline.check_divides(self.dry_run_ranks or int(os.environ.get("WORLD_SIZE", "1")))
        # transformers would set up DeepSpeed for its own Trainer, of which this program uses the settings only.
        deepspeed = getattr(self, "deepspeed", None)
        self.deepspeed: Any = None
        try:
            super().__post_init__()
            get_reporting_integration_callbacks(self.report_to)  # knows their names
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
        self.deepspeed = deepspeed


# What pretraining uses of transformers' TrainingArguments. The others would be passed over without a word.
_USED = {
    *("output_dir", "seed", "max_steps", "learning_rate", "warmup_steps", "lr_scheduler_type", "lr_scheduler_kwargs"),
    *("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "tf32", "torch_compile"),
    *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_checkpointing", "deepspeed", "use_cpu"),
    *("eval_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit", "logging_steps", "report_to"),
    *("logging_first_step", "run_name", "disable_tqdm", "dataloader_num_workers", "dataloader_prefetch_factor"),
    *("dataloader_pin_memory", "ddp_timeout", "log_level", "project", "trackio_space_id", "logging_dir"),
}
# Why some of the others are not used.
_INSTEAD = {
    "gradient_accumulation_steps": "it follows from global_batch_size, the micro-batch and the number of ranks",
    "num_train_epochs": "the length of a run is max_steps",
    "remove_unused_columns": "samples hold model inputs only",
    "ignore_data_skip": "seeking in the data costs nothing",
    "resume_from_checkpoint": "use resume",
    "optim": "use optimizer",
    "fp16": "use bf16, which needs no loss scaling",
    "warmup_ratio": "use warmup_steps",
}


def _timeline(args: PretrainingArguments) -> Timeline:
    phases = read_phases(args.phases, args.max_steps, args.max_length, args.per_device_train_batch_size)
    # The recipe that is saved has to name what every phase has: max_length is that of the longest from here on.
    args.phases = _resolved(args.phases, phases)
    args.max_length = max(phase.length for phase in phases)
    if (shortest := min(phase.length for phase in phases)) < SHORTEST_ROW:
        raise InputError(f"max_length {shortest}: rows need {SHORTEST_ROW} tokens or more, to hold any text")
    ramp = None
    if args.batch_size_start is not None:
        ramp = Ramp(
            args.batch_size_start, args.batch_size_increment or args.batch_size_start, args.batch_size_ramp_steps
        )
    return Timeline(phases, args.global_batch_size, ramp)


def _resolved(given: Any, phases: Sequence[Phase]) -> Any:
    """The phases of a recipe with all their settings; the last keeps to what is left where it did."""
    if not given:
        return given
    resolved = [
        {"steps": phase.steps, "max_length": phase.length, "per_device_train_batch_size": phase.micro_batch_size}
        for phase in phases
    ]
    if "steps" not in given[-1]:
        del resolved[-1]["steps"]
    return resolved


def parse_arguments(argv: Sequence[str]) -> PretrainingArguments:
    """Reads ``--config FILE`` and the flags that override it.

    Raises:
        InputError: the recipe cannot be read; a key or flag is unknown (the nearest name is suggested) or not used; or
            something that every run needs is missing.
    """
    return parse_settings(PretrainingArguments, argv, _refuse_unused, is_shown=is_used)


def is_used(name: str) -> bool:
    """Whether pretraining uses a setting; of transformers' ``TrainingArguments`` it does not use all."""
    return name in _USED or name in PretrainingArguments.__annotations__


def _refuse_unused(given: Iterable[str], where: str) -> None:
    for name in given:
        known = name.removeprefix("no_")
        if not is_used(known) and known not in ("config", "help"):
            raise InputError(f"{where}: {name} cannot be set: {_INSTEAD.get(known, 'pretraining does not use it')}")


_CHOICES = {
    "masking_strategy": tuple(MASKING_STRATEGIES),
    "optimizer": OPTIMIZERS,
    "save_failure": ("continue", "stop"),
    "eval_strategy": ("no", "steps"),
    "save_strategy": ("no", "steps"),
}


_WHOLE_NUMBERS = (
    *("global_batch_size", "per_device_train_batch_size", "logging_steps", "eval_steps", "save_steps"),
    *("batch_size_start", "batch_size_increment", "nonfinite_steps", "eval_max_rows", "save_total_limit"),
    *("dataloader_prefetch_factor", "ddp_timeout", "max_length", "per_device_eval_batch_size", "dry_run_ranks"),
)
_SHARES = ("single_sentence_probability", "whole_word_probability", "dry_run_mfu")
# Of numbers that may be no whole ones: the lowest, and the highest where there is one.
_NUMBERS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "glyph_learning_rate_scale"), (0.0, math.inf)
    ),
    "pronunciation_loss_weight": (0.0, math.inf),
    "adam_epsilon": (1e-38, math.inf),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), (0.0, 1 - 1e-9)),
    # At 0, a token of each row would be masked all the same: without one there is no loss.
    **dict.fromkeys(("masking_probability", "masking_probability_end"), (1e-9, 1.0)),
}
_WHOLE_FROM_0 = ("seed", "dataloader_num_workers", "batch_size_ramp_steps")
_MAY_BE_LEFT_OPEN = {
    *("batch_size_start", "batch_size_increment", "eval_steps", "save_total_limit", "dataloader_prefetch_factor"),
    *("masking_probability_end", "pronunciation_loss_weight", "dry_run_ranks"),
}


def _check(args: PretrainingArguments) -> None:
    needed = {
        "train_data": "--train_data DIR: a corpus made by `python -m data_prep corpus`",
        "output_dir": "--output_dir DIR: where checkpoints and the model go",
        "deepspeed": "--deepspeed FILE: e.g. configs/deepspeed/zero1.json",
    }
    if not args.init_from:
        needed["glyphs"] = "--glyphs DIR: images made by `python -m data_prep glyphs`"
        needed["model"] = "--model FILE: the sizes of the model, e.g. configs/model/base.json; or --init_from DIR"
    for name, what in needed.items():
        if not getattr(args, name):
            raise InputError(f"{name} is not set. Give {what}, or set it in the recipe")
    for name in ("train_data", "eval_data"):
        if getattr(args, name) and not isinstance(getattr(args, name), list):
            raise InputError(f"{name} is {getattr(args, name)}: write a list of corpora, [DIR, ...]")
        _check_corpora(name, getattr(args, name) or [])
    args.data_weights = checked_weights(args.train_data, args.data_weights)
    if type(args.max_steps) is not int or args.max_steps < 1:
        raise InputError("max_steps is not set. Give --max_steps N: the length of the run in optimizer steps")
    if args.eval_strategy != "no" and not args.eval_data:
        raise InputError(
            "eval_strategy asks for evaluation but there is no eval_data. Give --eval_data DIR or --eval_strategy no"
        )
    _check_numbers(args)
    if isinstance(args.phases, str):
        try:
            args.phases = yaml.safe_load(args.phases)
        except yaml.YAMLError as error:
            raise InputError(f"phases: is not YAML ({' '.join(str(error).split())})") from error
    for name, choices in _CHOICES.items():
        if getattr(args, name) not in choices:
            raise InputError(f"{name} is {getattr(args, name)}: it must be one of {', '.join(choices)}")
    if args.batch_size_start is None and (args.batch_size_increment is not None or args.batch_size_ramp_steps):
        raise InputError(
            "batch_size_increment and batch_size_ramp_steps say how the batch grows: set batch_size_start too"
        )
    for name in _WHOLE_NUMBERS:
        value = getattr(args, name)
        if value is not None and (not isinstance(value, int | float) or value < 1 or value != int(value)):
            raise InputError(f"{name} is {value}: it must be a whole number above 0")
        if value is not None:
            setattr(args, name, int(value))  # YAML's 4.0 would end where only whole numbers are taken
    for name in _SHARES:
        if getattr(args, name) is not None and not 0 <= getattr(args, name) <= 1:
            raise InputError(f"{name} is {getattr(args, name)}: it must be between 0 and 1")
    _check_plan(args)


def _check_plan(args: PretrainingArguments) -> None:
    for name in ("dry_run_ranks", "dry_run_device"):
        if getattr(args, name) is not None and not args.dry_run:
            raise InputError(f"{name} says what a plan is made for: add --dry_run, or leave it out")
    if args.dry_run and args.dry_run_mfu == 0:
        raise InputError("dry_run_mfu is 0: give the share of the peak that is reached, above 0")
    if args.dry_run_device is not None:
        if not args.bf16:
            raise InputError(
                f"dry_run_device {args.dry_run_device}: peaks are listed for bfloat16 alone; add --bf16 true"
            )
        peak_of(args.dry_run_device)


def _check_numbers(args: PretrainingArguments) -> None:
    """Raises ``InputError`` for what is no number, or one that would end in a traceback or make no sense."""
    for name in (*_WHOLE_NUMBERS, *_WHOLE_FROM_0, *_SHARES, *_NUMBERS):
        value = getattr(args, name)
        if value is None and name in _MAY_BE_LEFT_OPEN:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name} is {'null' if value is None else value}: it must be a number")
    for name in _WHOLE_FROM_0:
        value = getattr(args, name)
        if value < 0 or value != int(value):
            raise InputError(f"{name} is {value}: it must be a whole number, 0 or above")
        setattr(args, name, int(value))
    for name, (lowest, highest) in _NUMBERS.items():
        value = getattr(args, name)
        if value is not None and not lowest <= value <= highest:
            raise InputError(f"{name} is {value}: it must be {_described(lowest, highest)}")


def _described(lowest: float, highest: float) -> str:
    if highest == math.inf:
        return "0 or above" if lowest == 0 else "above 0"
    return f"{'0 or above' if lowest == 0 else 'above 0'}, and {'at most' if highest == 1 else 'below'} 1"


def checked_weights(train_data: Sequence[str], weights: Sequence[Any] | None) -> list[float]:
    """The weights of the corpora as numbers; none where the corpora are not weighted.

    Raises:
        InputError: there is not one for each corpus, or one is not a number above 0.
    """
    if weights is None or weights == []:
        return []
    if not isinstance(weights, list):
        raise InputError(f"data_weights is {weights}: write a list of numbers, one for each corpus of train_data")
    if len(weights) != len(train_data):
        raise InputError(
            f"data_weights has {len(weights)} weights for the {len(train_data)} corpora of train_data: give one to "
            "each corpus, in the same order"
        )
    for directory, weight in zip(train_data, weights, strict=True):
        if not _is_weight(weight):
            raise InputError(
                f"data_weights: the weight of {directory} is {weight}, it must be a number above 0; to leave a corpus "
                "out, take it out of train_data too"
            )
    return [float(weight) for weight in weights]


def _check_corpora(name: str, directories: Sequence[Any]) -> None:
    """Raises ``InputError`` where one of several corpora is no name of a folder, or is there twice."""
    seen: dict[str, str] = {}
    for directory in directories:
        if not isinstance(directory, str) or not directory:
            raise InputError(f"{name}: {directory!r} is not the folder of a corpus; write [DIR, ...]")
        place = os.path.realpath(directory)
        if place in seen:
            more = ", with a larger weight" if name == "train_data" else ""
            raise InputError(f"{name}: {directory} and {seen[place]} are the same corpus; give it once{more}")
        seen[place] = directory


def _is_weight(value: Any) -> bool:
    try:
        return math.isfinite(float(value)) and float(value) > 0
    except (TypeError, ValueError, OverflowError):
        return False
