"""The micro-batches of one rank, in order, made by worker processes while the model is busy."""

import functools
import math
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, Sampler

from chinesebert.batch_layout import segment_bounds
from chinesebert.corpus.dataset import Batch, collate, model_inputs
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.training.flops import BatchCounts
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
) -> "BatchLoader":
    """A loader of micro-batches.

    Args:
        rows: with ``__getitems__``.
        batches: sample numbers of each micro-batch.
        collate: makes tensors of what ``rows`` gives.
        workers: processes; one at least. A process that reads a mapped file which has been cut off is ended by the
            kernel: a worker that ends so leaves this one to say what has happened.
        prefetch: micro-batches that each worker has ready.
        pin_memory: for a GPU.
    """
    return BatchLoader(
        rows,
        batch_sampler=batches,
        collate_fn=functools.partial(_collate_and_pack, collate),
        num_workers=max(1, workers),
        prefetch_factor=prefetch,
        pin_memory=pin_memory,
        worker_init_fn=_outlast_signals,
        # A loader draws a seed when it starts: from the global generator, it would shift the dropout of the run.
        generator=torch.Generator(),
    )


class BatchLoader(DataLoader[Any]):
    """A loader whose workers hand on the numbers of a batch as one tensor.

    Each tensor that goes from one process to another costs a file in memory and a connection of its own: for the dozen
    of a micro-batch more time than to make them.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            yield unpack(batch)


class PackedBatch(NamedTuple):
    """A batch whose int64 tensors lie one after another in one.

    Attributes:
        numbers: int64, all of them.
        shapes: of the tensors, in their order.
        rest: the batch, with ``Part`` in place of these.
    """

    numbers: torch.Tensor
    shapes: list[tuple[int, ...]]
    rest: Batch


class Part(NamedTuple):
    """Stands for a tensor of a ``PackedBatch``: the number of its shape."""

    number: int


def pack(batch: Batch) -> PackedBatch:
    """Puts the tensors of a batch, and of dictionaries in it, side by side; one that is there twice is put once."""
    found: dict[int, tuple[Part, torch.Tensor]] = {}

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: replaced(part) for name, part in value.items()}
        if isinstance(value, torch.Tensor) and value.dtype == torch.int64:
            return found.setdefault(id(value), (Part(len(found)), value))[0]
        return value

    rest = replaced(batch)
    tensors = [tensor for _, tensor in found.values()]
    return PackedBatch(torch.cat([one.reshape(-1) for one in tensors]), [tuple(one.shape) for one in tensors], rest)


def unpack(packed: PackedBatch) -> Batch:
    """The batch as it was; its tensors are views, and pinned where ``numbers`` is."""
    parts = packed.numbers.split([math.prod(shape) for shape in packed.shapes])
    tensors = [part.view(shape) for part, shape in zip(parts, packed.shapes, strict=True)]

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: restored(part) for name, part in value.items()}
        return tensors[value.number] if isinstance(value, Part) else value

    batch: Batch = restored(packed.rest)
    return batch


def _collate_and_pack(collate: Callable[[Any], Batch], rows: Any) -> PackedBatch:
    return pack(collate(rows))


def read_batches(loader: DataLoader[Any]) -> Generator[Batch, None, None]:
    """What a loader gives; close it to end the workers, which no signal does."""
    yield from loader


@dataclass(frozen=True)
class StepBatches:
    """What a step reads.

    Attributes:
        micro_batches: of this rank, in order.
        counts: what each of them holds.
        masked, text_tokens: in the micro-batches of all ranks together.
    """

    micro_batches: list[Batch]
    counts: list[BatchCounts]
    masked: float
    text_tokens: float


class StepReader:
    """The micro-batches of one step after another; those of the next can be read while a GPU works on these.

    The loss of a step is divided by what is masked in the batches of all ranks. That hangs on the batches alone, so the
    ranks add it up between their CPUs, ahead of time: through the GPUs, each step would begin by waiting for them.

    Args:
        batches: of this rank, in order.
        count: what a micro-batch holds.
        add_up: adds numbers up over ranks.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        count: Callable[[Batch], BatchCounts],
        add_up: Callable[[list[float]], list[float]],
    ) -> None:
        self._batches, self._count, self._add_up = batches, count, add_up
        self._ahead: StepBatches | None = None

    def read(self, micro_batches: int) -> StepBatches:
        """The batches of the next step: so many, or what was read ahead. All ranks must call it."""
        step, self._ahead = self._ahead or self._read(micro_batches), None
        return step

    def read_ahead(self, micro_batches: int) -> None:
        """Reads what the next ``read`` returns. All ranks must call it, once before each ``read`` or not at all."""
        self._ahead = self._read(micro_batches)

    def _read(self, number: int) -> StepBatches:
        micro_batches = [next(self._batches) for _ in range(number)]
        counts = [self._count(batch) for batch in micro_batches]
        sums = [float(sum(count.masked for count in counts)), float(sum(count.text_tokens for count in counts))]
        return StepBatches(micro_batches, counts, *self._add_up(sums))


def adder_on_cpu(timeout: timedelta) -> Callable[[list[float]], list[float]]:
    """Adds numbers up over ranks, in float64, without their GPUs; all ranks must call it, and then what it returns."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return list
    group = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo", timeout=timeout)

    def add_up(numbers: list[float]) -> list[float]:
        sums = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(sums, group=group)
        added: list[float] = sums.tolist()
        return added

    return add_up


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
