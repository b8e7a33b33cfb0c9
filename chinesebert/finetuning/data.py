"""The examples of a run: its splits, labels and data sets."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.tasks.dataset import labels_of
from chinesebert.tasks.splits import find_split, missing_split, read_split
from chinesebert.tasks.task import Task


@dataclass
class Splits:
    """The examples of a run by split, empty where it does not use one, and the files they come from.

    Attributes:
        test_is_cut: the test split is not all of its files.
    """

    train: list[Any] = field(default_factory=list)
    dev: list[Any] = field(default_factory=list)
    test: list[Any] = field(default_factory=list)
    files: dict[str, list[Path]] = field(default_factory=dict)
    test_is_cut: bool = False


def read_splits(task: Task, args: FinetuningArguments) -> Splits:
    """Reads the splits that the run needs.

    Raises:
        InputError: a file is missing or not in the task's format.
    """
    splits = Splits()
    if args.do_train:
        splits.train = _read(task, args, "train", splits)
    if args.do_eval or args.do_train:
        splits.dev = _read(task, args, "dev", splits, needed=args.do_eval and not args.validation_share)
    if args.do_train and not splits.dev and args.validation_share:
        splits.train, splits.dev = _held_out(splits.train, args.validation_share, args.seed)
    if args.do_eval and not splits.dev:
        raise InputError("--do_eval: there is nothing to evaluate on; name a file with --dev_file FILE")
    if args.do_predict:
        splits.test = _read(task, args, "test", splits)
    return _limited(splits, args)


def _read(task: Task, args: FinetuningArguments, split: str, splits: Splits, needed: bool = True) -> list[Any]:
    files = [Path(name) for name in getattr(args, f"{split}_file")]
    if not files and args.data_dir:
        files = find_split(task, Path(args.data_dir), split)
        if not files and needed:
            raise missing_split(task, Path(args.data_dir), split)
    if not files and needed:
        raise InputError(
            f"there is no {split} file: give --data_dir DIR with the files of {task.name}, or --{split}_file FILE"
        )
    splits.files[split] = files
    return read_split(task, files, ids_count=split == "test") if files else []


def _held_out(examples: Sequence[Any], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Training and held-out examples, both in the order of the file; which is which follows from the seed."""
    count = max(1, round(len(examples) * share))
    if count >= len(examples):
        raise InputError(f"validation_share {share} leaves no example of {len(examples)} to train on")
    chosen = set(random.Random(seed).sample(range(len(examples)), count))
    return (
        [example for number, example in enumerate(examples) if number not in chosen],
        [example for number, example in enumerate(examples) if number in chosen],
    )


def _limited(splits: Splits, args: FinetuningArguments) -> Splits:
    if args.max_train_samples is not None and args.max_train_samples < len(splits.train):
        chosen = sorted(random.Random(args.seed).sample(range(len(splits.train)), args.max_train_samples))
        splits.train = [splits.train[number] for number in chosen]
    if args.max_eval_samples is not None:
        most = args.max_eval_samples
        splits = dataclasses.replace(
            splits, dev=splits.dev[:most], test=splits.test[:most], test_is_cut=len(splits.test) > most
        )
    return splits


def labels_for(task: Task, splits: Splits, saved: Sequence[str] | None) -> list[str]:
    """All labels in the order of their numbers: the task's, those of the fine-tuned model, or of the training data."""
    if task.labels is not None:
        return list(task.labels)
    if not splits.train and saved is not None:
        return list(saved)
    return labels_of(splits.train)
