"""How fast a run is and what its time goes to."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

import torch

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.training.device_peak import DevicePeak
from chinesebert.training.flops import BatchCounts, training_flops

_PROCESS_MEMORY = "/proc/self/statm"


class Meter:
    """Counts what this rank does between two logs.

    ::

        with meter.waiting():
            batch = next(batches)
        meter.add(count_batch(batch, …))
        …
        with meter.paused():
            evaluate()
        …
        figures = meter.figures(sum_over_ranks)

    Args:
        config: of the model.
        device: that this rank trains on.
        peak: of that device, the same for every rank; None leaves ``mfu`` out.
        ranks: how many train together.
        clock: seconds, rising.
    """

    def __init__(
        self,
        config: ChineseBertConfig,
        device: torch.device,
        peak: DevicePeak | None = None,
        ranks: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._config, self._device, self._peak, self._ranks, self._clock = config, device, peak, ranks, clock
        self._start_interval()

    def _start_interval(self) -> None:
        self._started = self._clock()
        self._text_tokens = self._places = self._padding = self._flops = self._waited = self._paused = 0.0

    def add(self, batch: BatchCounts) -> None:
        """Counts one micro-batch that is trained on."""
        self._text_tokens += batch.text_tokens
        self._places += batch.places
        self._padding += batch.padding
        self._flops += training_flops(self._config, batch)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around asking the loader for a batch.

        On a GPU that still works on the batch before, waiting costs nothing yet: ``data_wait`` is an upper bound there.
        """
        started = self._clock()
        try:
            yield
        finally:
            self._waited += self._clock() - started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Around evaluation and saving: their time counts for no figure. Not to be nested, nor put around waiting."""
        started = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - started

    def figures(self, sum_over_ranks: Callable[[list[float]], list[float]] | None = None) -> dict[str, float]:
        """What was reached since the last call, or the beginning; begins a new interval.

        Args:
            sum_over_ranks: adds up a list of numbers (float64, or operations lose their count) over all ranks. Every
                rank calls this method then, and gets the same figures but ``memory_gb``.

        Returns:
            ``tokens_per_second`` (tokens of text, all ranks) and ``tokens_per_second_per_device``; ``mfu``, the share
            of the devices' peak that the model's operations come to; ``padding``, its share of the places of the rows;
            ``data_wait``, the share of the time; ``memory_gb``, see ``memory_in_use``.
        """
        elapsed = self._clock() - self._started - self._paused
        sums = [self._text_tokens, self._places, self._padding, self._flops, self._waited, elapsed]
        self._start_interval()
        if sum_over_ranks is not None:
            sums = sum_over_ranks(sums)
        text_tokens, places, padding, flops, waited, device_seconds = sums
        device_seconds = max(device_seconds, 1e-9)
        per_device = text_tokens / device_seconds
        figures = {"tokens_per_second": per_device * self._ranks, "tokens_per_second_per_device": per_device}
        if self._peak is not None:
            figures["mfu"] = flops / device_seconds / self._peak.flops
        figures["padding"] = padding / max(places, 1)
        figures["data_wait"] = waited / device_seconds
        figures["memory_gb"] = memory_in_use(self._device) / 1e9
        return figures


def memory_in_use(device: torch.device) -> int:
    """Bytes: on a GPU the most that tensors have taken since the program started; on a CPU, the resident set now (its
    peak where the system does not tell)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open(_PROCESS_MEMORY, encoding="ascii") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak_resident_set()


def _peak_resident_set() -> int:
    import resource  # not on Windows, which DeepSpeed's launcher does not run on either

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
