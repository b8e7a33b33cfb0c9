"""Several tasks at once: a shared encoder with a head for each task, and batches of one task each.

Multi-task learning as in MT-DNN (Liu et al., ACL 2019, arXiv 1901.11504); tasks are drawn in proportion to their size
to a power, as in Stickland and Murray (PALs, ICML 2019, arXiv 1902.02671).
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, Sampler

from chinesebert.tasks.dataset import BertDataset


class SharedEncoder(nn.Module):
    """Models that share embeddings and layers; each has its own pooler and head. The first is the main one.

    Args:
        models: of one configuration but for their heads, and with the same weights.
    """

    accepts_loss_kwargs = False  # the mean over the inputs of a micro-batch, whatever the task

    def __init__(self, models: Sequence[Any]) -> None:
        super().__init__()
        self.main, *others = models
        self.config = self.main.config
        for other in others:
            other.base_model.embeddings = self.main.base_model.embeddings
            other.base_model.encoder = self.main.base_model.encoder
            other.tie_weights()  # a decoder, to the embeddings that it shares now
        self.others = nn.ModuleList(others)

    def forward(self, task: int = 0, **inputs: Any) -> Any:
        """The outputs of a task's model; of the main one by default."""
        return (self.others[task - 1] if task else self.main)(**inputs)

    def heads(self) -> dict[str, torch.Tensor]:
        """The weights that only the other tasks have."""
        shared = {id(parameter) for parameter in self.main.parameters()}
        others = self.others.named_parameters()
        return {name: weight.detach() for name, weight in others if id(weight) not in shared}

    @torch.no_grad()
    def load_heads(self, weights: dict[str, torch.Tensor]) -> None:
        """Sets what ``heads`` returned."""
        for name, weight in self.heads().items():
            weight.copy_(weights[name])

    def gradient_checkpointing_enable(self, *args: Any, **kwargs: Any) -> None:
        """As for the main model, which has all the layers."""
        self.main.gradient_checkpointing_enable(*args, **kwargs)


class TaskMixture(Dataset):
    """The training data of several tasks, one after the other; items are ``(task, input)``, tasks counted from 0."""

    def __init__(self, datasets: Sequence[BertDataset]) -> None:
        self.datasets = list(datasets)
        self.places = [(task, row) for task, dataset in enumerate(self.datasets) for row in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[int, dict[str, Any]]:
        task, row = self.places[index]
        return task, self.datasets[task][row]

    def collate(self, items: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        """A batch of one task, as its kind makes it, with the number of the ``task``."""
        task = items[0][0]
        return {"task": task, **self.datasets[task].collate([item for _, item in items])}


class TaskBatches(Sampler[list[int]]):
    """Batches of one task each, as indices into a ``TaskMixture``.

    An epoch is one of the main task, the first: all its inputs, and so many batches of the others that tasks come in
    proportion to ``size ** alpha``, in an order drawn anew. Batches are full: the last one begins the task again.

    Args:
        sizes: number of inputs of each task.
        batch_size: inputs of a batch.
        alpha: 1 draws every input equally often, 0 every task.
        seed: with the epoch, it decides the order.
    """

    drop_last = True  # ranks take turns; what is left over when not every one gets a batch is not used

    def __init__(self, sizes: Sequence[int], batch_size: int, alpha: float, seed: int) -> None:
        self.sizes, self.batch_size, self.seed, self.epoch = list(sizes), batch_size, seed, 0
        batches = math.ceil(sizes[0] / batch_size)
        self.counts = [max(1, round(batches * (size / sizes[0]) ** alpha)) for size in sizes]
        self.counts[0] = batches

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[list[int]]:
        generator = random.Random(f"{self.seed} {self.epoch}")
        streams = [_endless(size, sum(self.sizes[:task]), generator) for task, size in enumerate(self.sizes)]
        order = [task for task, count in enumerate(self.counts) for _ in range(count)]
        generator.shuffle(order)
        for task in order:
            yield [next(streams[task]) for _ in range(self.batch_size)]


def _endless(size: int, first: int, generator: random.Random) -> Iterator[int]:
    """The numbers from ``first`` on, each once, then again in another order, and so on."""
    while True:
        yield from (first + number for number in generator.sample(range(size), size))
