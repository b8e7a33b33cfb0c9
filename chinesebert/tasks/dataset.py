"""``BertDataset``: the map-style dataset that feeds downstream tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from chinesebert.errors import InputError
from chinesebert.tasks.kinds import KINDS, Encoded, Kind, Lengths
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, labels_in, missing_split, read_split


class BertDataset(Dataset):
    """Examples of a task as model inputs.

    An item is what the model reads of one input: ``input_ids`` and ``pinyin_ids`` ``[L]``, and ``labels`` where the
    examples have them. ``collate`` makes batches padded to their longest input: give it to a ``DataLoader`` or a
    ``Trainer``.

    Args:
        examples: of ``chinesebert.tasks.examples``, those of one kind.
        kind: the kind of task, made with its labels.
        tokenizer: a ``ChineseBertTokenizer``.
        lengths: how long inputs are, and what happens to longer texts.
    """

    def __init__(self, examples: Sequence[Any], kind: Kind, tokenizer: Any, lengths: Lengths | None = None) -> None:
        self.examples = list(examples)
        self.kind = kind
        self.encoded: Encoded = kind.encode(self.examples, tokenizer, lengths or Lengths())

    @classmethod
    def from_task(
        cls,
        name: str,
        data_dir: str | Path,
        split: str,
        tokenizer: Any,
        labels: Sequence[str] | None = None,
        lengths: Lengths | None = None,
    ) -> "BertDataset":
        """A split of a registered task, read from its published files.

        Args:
            name: of the task.
            data_dir: the folder of its files.
            split: ``train``, ``dev`` or ``test``.
            tokenizer: a ``ChineseBertTokenizer``.
            labels: all labels in the order of their numbers, for tasks whose labels are those of the training data and
                a split that is another; by default the task's, or those of this split, sorted.
            lengths: how long inputs are; by default as the task's hyper-parameters say.

        Raises:
            InputError: there is no such task or file, or the file is not in the task's format.
        """
        task = get_task(name)
        files = find_split(task, Path(data_dir), split)
        if not files:
            raise missing_split(task, Path(data_dir), split)
        examples = read_split(task, files)
        if lengths is None:
            lengths = Lengths(task.defaults.max_seq_length, task.defaults.doc_stride)
        known = labels or task.labels or labels_of(examples)
        return cls(examples, KINDS[task.kind](known), tokenizer, lengths)

    def __len__(self) -> int:
        return len(self.encoded.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.encoded.inputs[index]

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch of items, padded to its longest, with ``attention_mask``."""
        return self.kind.collate(items)


def labels_of(examples: Sequence[Any]) -> list[str]:
    """All labels that occur, numbers in their own order, the others in that of the alphabet."""
    found = {label for example in examples for label in labels_in(example)}
    return sorted(found, key=lambda label: (0, int(label), "") if label.isdecimal() else (1, 0, label))


def require_labels(examples: Sequence[Any], kind: Kind, what: str) -> None:
    """Makes sure that every example says what is right.

    Raises:
        InputError: one does not.
    """
    for example in examples:
        if kind.truth(example) is None:
            raise InputError(f"{example.where}: has no label, which {what} needs")
