"""The micro-batches of one rank, in order, made by worker processes while the model is busy."""

import functools
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from chinesebert.batch_layout import segment_bounds
from chinesebert.corpus.dataset import Batch, collate, model_inputs
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.training.timeline import Timeline


@dataclass(frozen=True)
class RankBatches(Sampler[list[int]]):
    """The samples of each micro-batch of one rank, to the end of the run.

    Every step takes the next samples of the run; within it the micro-batches of all ranks follow one another, so which
    samples a step sees does not depend on how they are split.

    Attributes:
        timeline: of the run.
        rank, ranks: this one, of how many.
        first_step: where to begin.
    """

    timeline: Timeline
    rank: int
    ranks: int
    first_step: int = 0

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first_step, self.timeline.steps):
            segment = self.timeline.at(step)
            first = segment.first_sample_of(step) + self.rank * segment.micro_batch_size
            for number in range(segment.micro_batches(self.ranks)):
                start = first + number * self.ranks * segment.micro_batch_size
                yield list(range(start, start + segment.micro_batch_size))


def collate_for(model: ChineseBertForMaskedLM) -> Callable[[Batch], Batch]:
    """What makes tensors of a batch, with all in ``inputs`` that a model takes of it."""
    return functools.partial(
        _collate,
        segments="flash" in str(model.config._attn_implementation),
        pronunciation=model.config.pronunciation_loss_weight > 0,
    )


def _collate(batch: Batch, segments: bool, pronunciation: bool) -> Batch:
    tensors = collate(batch)
    tensors["inputs"] = model_inputs(tensors)
    if pronunciation:
        tensors["inputs"]["pinyin_labels"] = tensors["pinyin_labels"]
    if segments:  # flash attention takes the bounds of segments in place of a mask
        tensors["inputs"] |= segment_bounds(tensors["segment_ids"])
    return tensors


def build_loader(
    rows: Dataset[Any],
    batches: Any,
    collate: Callable[[Any], Any],
    workers: int,
    prefetch: int | None,
    pin_memory: bool,
) -> DataLoader[Any]:
    """A loader of micro-batches.

    Args:
        rows: with ``__getitems__``.
        batches: sample numbers of each micro-batch.
        collate: makes tensors of what ``rows`` gives.
        workers: processes; 0 to make batches in this one.
        prefetch: micro-batches that each worker has ready.
        pin_memory: for a GPU.
    """
    return DataLoader(
        rows,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        pin_memory=pin_memory,
        worker_init_fn=_outlast_signals,
        # A loader draws a seed when it starts: from the global generator, it would shift the dropout of the run.
        generator=torch.Generator(),
    )


def read_batches(loader: DataLoader[Any]) -> Generator[Batch, None, None]:
    """What a loader gives; close it to end the workers, which no signal does."""
    yield from loader


def _outlast_signals(worker: int) -> None:
    """Ctrl-C and batch systems send a signal to all processes of a run, and DeepSpeed's launcher hands it on to them.

    A worker that ended then would take its rank along before it has saved.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """What the model takes of a batch, on the device; from pinned memory without waiting."""
    return {
        name: part.to(device, non_blocking=True) if isinstance(part, torch.Tensor) else part
        for name, part in batch["inputs"].items()
    }
