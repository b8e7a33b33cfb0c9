"""The examples of a run: its splits, labels and data sets."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.process import say
from chinesebert.tasks.dataset import labels_of
from chinesebert.tasks.splits import find_split, missing_split, read_split, without_empty
from chinesebert.tasks.task import Task
from chinesebert.tasks.text_columns import some

HOLD_OUT = ", or hold out a part of the training examples with --validation_share 0.1"


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
    labels: list[str] = field(default_factory=list)  # those of all training examples, also where few are drawn
    test_is_cut: bool = False


def read_splits(task: Task, args: FinetuningArguments) -> Splits:
    """Reads the splits that the run needs.

    Raises:
        InputError: a file is missing or not in the task's format.
    """
    splits = Splits()
    if args.do_train:
        splits.train = without_empty(_read(task, args, "train", splits))
        if not splits.train:
            raise InputError(
                f"{splits.files['train'][0]}: holds no example that can be trained on: all texts are empty"
            )
        splits.labels = labels_of(splits.train)
    if args.do_eval or args.do_train:
        splits.dev = _read(task, args, "dev", splits, needed=args.do_eval and not args.validation_share)
    if args.do_train and not splits.dev and args.validation_share:
        splits.train, splits.dev = _held_out(splits.train, args.validation_share, args.seed)
    if args.do_eval and not splits.dev:
        raise InputError(
            f"--do_eval: there is nothing to evaluate on; name a file with --dev_file FILE{_hint('dev', args)}"
        )
    if args.do_predict:
        needed = not (args.skip_missing_test and (args.do_train or args.do_eval))
        splits.test = _read(task, args, "test", splits, needed)
    return _limited(splits, args)


def _read(task: Task, args: FinetuningArguments, split: str, splits: Splits, needed: bool = True) -> list[Any]:
    files = [Path(name) for name in getattr(args, f"{split}_file")]
    if not files and args.data_dir:
        files = find_split(task, Path(args.data_dir), split)
        if _trained_on(files, splits):  # --train_file names what is published as another split
            files = []
        if not files and needed:
            raise InputError(f"{missing_split(task, Path(args.data_dir), split)}{_hint(split, args)}")
    if not files and needed:
        raise InputError(
            f"there is no {split} file: give --data_dir DIR with the files of {task.name}, or --{split}_file FILE"
            f"{_hint(split, args)}"
        )
    for path in _trained_on(files, splits):
        say(f"warning: {path}: is trained on, and is the {split} split too: its figures say nothing about other texts")
    splits.files[split] = files
    return read_split(task, files, ids_count=split == "test") if files else []


def _trained_on(files: Sequence[Path], splits: Splits) -> set[Path]:
    return {path.resolve() for path in files} & {path.resolve() for path in splits.files.get("train", [])}


def _hint(split: str, args: FinetuningArguments) -> str:
    return HOLD_OUT if split == "dev" and args.do_train else ""


def _held_out(examples: Sequence[Any], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Training and held-out examples, both in the order of the file; which is which follows from the seed.

    Examples of a group (the candidates of one mention, say) stay together.
    """
    groups = _groups(examples)
    count = max(1, round(len(groups) * share))
    if count >= len(groups):
        raise InputError(f"validation_share {share} leaves no example of {len(groups)} to train on")
    chosen = {number for place in random.Random(seed).sample(range(len(groups)), count) for number in groups[place]}
    return (
        [example for number, example in enumerate(examples) if number not in chosen],
        [example for number, example in enumerate(examples) if number in chosen],
    )


def _groups(examples: Sequence[Any]) -> list[list[int]]:
    """The numbers of the examples that belong together; most examples are by themselves."""
    groups: dict[Any, list[int]] = {}
    for number, example in enumerate(examples):
        groups.setdefault(getattr(example, "group", None) or number, []).append(number)
    return list(groups.values())


def _first(examples: Sequence[Any], count: int) -> list[Any]:
    """The first examples, with the rest of the group that the last of them is in."""
    while 0 < count < len(examples) and _same_group(examples[count - 1], examples[count]):
        count += 1
    return list(examples[:count])


def _same_group(first: Any, second: Any) -> bool:
    group = getattr(first, "group", None)
    return group is not None and group == second.group


def _limited(splits: Splits, args: FinetuningArguments) -> Splits:
    if args.max_train_samples is not None and args.max_train_samples < len(splits.train):
        chosen = sorted(random.Random(args.seed).sample(range(len(splits.train)), args.max_train_samples))
        splits.train = [splits.train[number] for number in chosen]
    if args.max_eval_samples is not None:
        most = args.max_eval_samples
        splits = dataclasses.replace(
            splits,
            dev=_first(splits.dev, most),
            test=_first(splits.test, most),
            test_is_cut=len(splits.test) > most,
        )
    return splits


def labels_for(task: Task, splits: Splits, saved: Sequence[str] | None) -> list[str]:
    """All labels in the order of their numbers: the task's, those of the fine-tuned model, or of the training data.

    Raises:
        InputError: the fine-tuned model that predicts has other labels than the task.
    """
    if not splits.train and saved is not None:
        if task.labels is not None and set(task.labels) != set(saved):
            raise InputError(
                f"the model has other labels ({some(saved)}) than {task.name} ({some(task.labels)}); "
                f"give one that was fine-tuned for {task.name}, or --do_train"
            )
        return list(saved)
    return list(task.labels) if task.labels is not None else splits.labels
