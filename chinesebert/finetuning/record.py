"""What decides the figures of a run, and whether two runs are alike in it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chinesebert.checksums import file_sha256
from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.data import Splits
from chinesebert.finetuning.transfer import TransferArguments

SETTINGS_FILE = "settings.json"
METRICS_FILE = "metrics.json"
WHAT = ("do_train", "do_eval", "do_predict")  # what is done, which does not change what training comes to
_DATA = ("validation_share", "max_train_samples", "max_eval_samples", "max_seq_length", "truncation", "doc_stride")
_DECIDING = ("unique_choices", "correction_threshold")  # of some kinds only, so they are told where they are set
_TRAINING = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "world_size", "num_train_epochs", "max_steps"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "max_grad_norm"),
    *("optim", "adam_beta1", "adam_beta2", "adam_epsilon", "label_smoothing_factor", "neftune_noise_alpha"),
    *("fp16", "bf16", "eval_strategy", "eval_steps", "load_best_model_at_end", "seed", "data_seed"),
)


def settings_of(args: FinetuningArguments) -> dict[str, Any]:
    """The settings that decide the figures of a run, as JSON has them."""
    transfer = [item.name for item in dataclasses.fields(TransferArguments)]
    start = ("model_name_or_path", "random_weights")
    trained = (*_TRAINING, *transfer) if args.do_train else ()
    settings = {name: getattr(args, name) for name in (*start, *_DATA, *trained, *WHAT)}
    settings |= {name: getattr(args, name) for name in _DECIDING if getattr(args, name)}
    read: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return read


def files_of(splits: Splits) -> dict[str, list[dict[str, str]]]:
    """For each split the files it was read from, with their SHA-256."""
    return {
        split: [{"file": str(path), "sha256": file_sha256(path)} for path in files]
        for split, files in splits.files.items()
        if files
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings that are not as they were, in words; "" where all are."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)} (now {now.get(name)})" for name in names)


def read_metrics(directory: Path) -> dict[str, Any] | None:
    """What ``metrics.json`` of a finished run holds; None where there is none.

    Raises:
        InputError: the file is damaged.
    """
    return _read(directory / METRICS_FILE)


def read_settings(directory: Path) -> dict[str, Any] | None:
    """The settings that a run in this folder has begun with; None where none has."""
    return _read(directory / SETTINGS_FILE)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give another --output_dir, or delete it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not what a run writes; give another --output_dir, or delete it")
    return content
