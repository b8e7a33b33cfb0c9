"""The settings of transfer, and which of them do not go together."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from chinesebert.configuration_chinesebert import HeadLayers
from chinesebert.errors import InputError
from chinesebert.tasks.custom import NAME as CUSTOM

AVERAGES = ("ema", "last")
EVERY_EPOCH = "epoch"


@dataclass
class TransferArguments:
    """Options of transfer; none by default: all weights are trained alike, with dropout."""

    hidden_dropout: float = field(
        default=0.1,
        metadata={"help": "Dropout of encoder, attention and head while fine-tuning; pretraining may have had none."},
    )
    head_layers: str = field(
        default="top", metadata={"help": "What the head reads: top, embeddings, or mix, a learned sum of all layers."}
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "Train the head only (pooler included); the encoder is not changed."}
    )
    layer_lr_decay: float = field(
        default=1.0,
        metadata={"help": "Learning rate of each layer as a share of that of the layer above it, e.g. 0.9."},
    )
    gradual_unfreezing: str | None = field(
        default=None,
        metadata={"help": "Begin with the head and add a layer, from the top, after so many steps; or every epoch."},
    )
    lora_rank: int = field(default=0, metadata={"help": "Train adapters (LoRA) of this rank, and the head; 0: none."})
    lora_alpha: int = field(default=16, metadata={"help": "Adapters are scaled by lora_alpha / lora_rank."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout of what adapters read."})
    lora_targets: list[str] = field(
        default_factory=lambda: ["query", "value"],
        metadata={"help": "Which linear layers of the encoder get adapters."},
    )
    first_task: str | None = field(default=None, metadata={"help": "Train this task first, into OUTPUT_DIR/first."})
    first_data_dir: str | None = field(default=None, metadata={"help": "Folder of the first task's files."})
    also_train: list[str] = field(
        default_factory=list, metadata={"help": "Other tasks that share the encoder: NAME=DIR [NAME=DIR …]."}
    )
    also_train_alpha: float = field(
        default=0.5, metadata={"help": "Tasks are drawn in proportion to their number of inputs to this power."}
    )
    average_weights: str | None = field(
        default=None, metadata={"help": "The result is an average of the weights: ema, or last steps."}
    )
    average_decay: float = field(default=0.999, metadata={"help": "How much of the average each step keeps (ema)."})
    average_share: float = field(default=0.25, metadata={"help": "The share of steps, the last, that count (last)."})
    self_distillation: float = field(
        default=0.0,
        metadata={"help": "Weight of the distance to the scores of the average of the last steps' weights."},
    )
    teacher_steps: int = field(default=5, metadata={"help": "How many steps' weights that average is of."})
    r_drop: float = field(
        default=0.0, metadata={"help": "Weight of the divergence between two passes with other dropout (R-Drop)."}
    )
    fgm: float = field(
        default=0.0, metadata={"help": "Size of an adversarial change of the word embeddings (FGM), e.g. 1.0."}
    )

    def __post_init__(self) -> None:
        self.also_train = [self.also_train] if isinstance(self.also_train, str) else self.also_train
        if self.gradual_unfreezing is not None:  # a recipe gives a number
            self.gradual_unfreezing = str(self.gradual_unfreezing)
        _check_values(self)
        _check_together(self)
        if self.average_weights:
            # The result is the average at the end, whatever single step was the best.
            settings: Any = self
            settings.load_best_model_at_end = False
            settings.save_strategy = "no" if settings.save_strategy == "best" else settings.save_strategy
        if hasattr(super(), "__post_init__"):
            super().__post_init__()  # type: ignore[misc]  # of TrainingArguments
        _check_deepspeed_settings(self)


def _check_values(args: TransferArguments) -> None:
    lists = {"head_layers": get_args(HeadLayers), "average_weights": (None, *AVERAGES)}
    for name, allowed in lists.items():
        if getattr(args, name) not in allowed:
            choices = ", ".join(str(choice) for choice in allowed if choice is not None)
            raise InputError(f"{name} is {getattr(args, name)}: it must be one of {choices}")
    for name in ("hidden_dropout", "lora_dropout", "average_decay"):
        if not 0 <= getattr(args, name) < 1:
            raise InputError(f"{name} is {getattr(args, name)}: it must be at least 0 and below 1")
    for name in ("layer_lr_decay", "average_share"):
        if not 0 < getattr(args, name) <= 1:
            raise InputError(f"{name} is {getattr(args, name)}: it must be above 0 and at most 1")
    for name in ("lora_rank", "lora_alpha", "self_distillation", "r_drop", "fgm", "also_train_alpha"):
        if getattr(args, name) < 0:
            raise InputError(f"{name} is {getattr(args, name)}: it cannot be below 0")
    if args.teacher_steps < 1:
        raise InputError(f"teacher_steps is {args.teacher_steps}: it must be at least 1")
    steps = args.gradual_unfreezing
    if steps is not None and steps != EVERY_EPOCH and not (steps.isdecimal() and int(steps) > 0):
        raise InputError(f"gradual_unfreezing is {steps}: give a number of steps, or {EVERY_EPOCH}")
    if args.lora_rank and importlib.util.find_spec("peft") is None:
        raise InputError("--lora_rank needs the package peft: pip install peft")
    _check_tasks(args)


def _check_tasks(args: TransferArguments) -> None:
    if (args.first_task is None) != (args.first_data_dir is None):
        raise InputError("--first_task NAME and --first_data_dir DIR belong together: give both")
    if args.first_task is not None:
        _check_other("--first_task", args.first_task)
        if not Path(str(args.first_data_dir)).is_dir():
            raise InputError(f"--first_data_dir {args.first_data_dir}: there is no such folder")
    for given in args.also_train:
        name, _, folder = given.partition("=")
        if not (name and folder):
            raise InputError(f"--also_train {given}: give NAME=DIR, the name of a task and the folder of its files")
        if not Path(folder).is_dir():
            raise InputError(f"--also_train {given}: there is no folder {folder}")
        _check_other("--also_train", name)


def _check_other(flag: str, name: str) -> None:
    if name.lower() == CUSTOM:
        raise InputError(
            f"{flag} {name}: the flags that describe files of your own are those of --task; make {name} the --task, or "
            "train it by itself and begin with its output (--model_name_or_path)"
        )


#: Pairs of options that do not go together, and why.
CONFLICTS = (
    ("freeze_encoder", "layer_lr_decay", "a frozen encoder has no learning rates"),
    ("freeze_encoder", "gradual_unfreezing", "one keeps the encoder frozen, the other does not"),
    ("freeze_encoder", "lora_rank", "adapters change what the encoder computes"),
    ("freeze_encoder", "fgm", "the word embeddings of a frozen encoder have no gradient"),
    ("freeze_encoder", "r_drop", "a frozen encoder runs without dropout, so both passes would be alike"),
    ("freeze_encoder", "also_train", "tasks cannot learn from each other through an encoder that does not"),
    ("lora_rank", "layer_lr_decay", "with adapters the layers themselves are not trained"),
    ("lora_rank", "gradual_unfreezing", "with adapters the layers themselves are not trained"),
    ("lora_rank", "fgm", "with adapters the word embeddings have no gradient"),
    ("lora_rank", "also_train", "adapters are made for one task"),
    ("head_layers=embeddings", "layer_lr_decay", "the head does not read the layers"),
    ("head_layers=embeddings", "gradual_unfreezing", "the head does not read the layers"),
    ("head_layers=embeddings", "lora_rank", "the head does not read the layers, which the adapters are in"),
    ("hidden_dropout=0", "r_drop", "without dropout both passes are the same"),
)
#: Options that DeepSpeed, which keeps weights and gradients in its own form, has no place for.
NOT_WITH_DEEPSPEED = {
    "lora_rank": "use torchrun: adapters need little memory",
    "first_task": "run the first task by itself and begin with its output: --model_name_or_path DIR",
    "also_train": "use torchrun",
    "average_weights": "use torchrun",
    "self_distillation": "use torchrun",
    "fgm": "use torchrun",
}
#: Options whose state no checkpoint holds.
NOT_RESUMED = ("also_train", "average_weights", "self_distillation")


def _used(args: TransferArguments, option: str) -> bool:
    """Whether an option is given: ``name``, with any value but the one that means none, or ``name=value``."""
    name, _, value = option.partition("=")
    if value:
        return str(getattr(args, name)) in (value, f"{value}.0")
    return getattr(args, name) not in (None, False, 0, [], 1.0 if name == "layer_lr_decay" else None)


def _check_together(args: TransferArguments) -> None:
    for one, other, why in CONFLICTS:
        if _used(args, one) and _used(args, other):
            flag = one.replace("=", " ")
            raise InputError(f"--{flag} and --{other} do not go together: {why}; leave one of them out")
    if getattr(args, "deepspeed", None):
        for name, remedy in NOT_WITH_DEEPSPEED.items():
            if _used(args, name):
                raise InputError(f"--{name} does not work with --deepspeed; {remedy}")
    if str(getattr(args, "resume_from_checkpoint", None)).lower() not in ("none", "false"):
        for name in NOT_RESUMED:
            if _used(args, name):
                raise InputError(f"--{name} cannot be resumed: checkpoints do not hold what it needs; start again")


def _check_deepspeed_settings(args: TransferArguments) -> None:
    settings = getattr(getattr(args, "hf_deepspeed_config", None), "config", {})
    for option in ("layer_lr_decay", "gradual_unfreezing"):
        for part in ("optimizer", "scheduler"):
            if _used(args, option) and part in settings:
                raise InputError(
                    f"--{option} does not work with DeepSpeed's own {part}, which has one learning rate for all: take "
                    f"{part} out of its settings, and transformers' is used"
                )


def can_be_resumed(args: TransferArguments) -> bool:
    """Whether checkpoints hold all that these options need to go on."""
    return not any(_used(args, name) for name in NOT_RESUMED)


def config_changes(args: TransferArguments) -> dict[str, Any]:
    """What the configuration of a model that is to be trained says about these settings."""
    return {
        "hidden_dropout_prob": args.hidden_dropout,
        "attention_probs_dropout_prob": args.hidden_dropout,
        "classifier_dropout": args.hidden_dropout,
        "head_layers": args.head_layers,
    }
