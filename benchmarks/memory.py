"""Peak memory of one variant, in a process of its own: ``python -m benchmarks.memory '{"variant": …}'``.

On a GPU this is the peak of what PyTorch allocated. On a CPU it is the peak resident memory of the whole process, the
interpreter and the libraries included (their share is given beside it), from when the model was ready to the end of the
last step. ``benchmarks.model`` starts this program; nobody else needs to.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.inputs import Batch
from benchmarks.variants import TRAINING, make_config, make_step

_ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20
WHAT_IT_IS = {
    "cpu": "peak resident memory of a fresh process during the steps, interpreter and libraries included",
    "cuda": "peak of the memory PyTorch allocated on the GPU during the steps, in a fresh process",
}


@dataclass(frozen=True)
class MemoryTask:
    """What to measure: one variant in one mode and type, on several batches in turn.

    Attributes:
        variant, mode, dtype, size: see ``benchmarks.variants``.
        batches: files that ``Batch.save`` wrote. They come from the starting process, because a tokenizer would count.
        device: ``cpu`` or ``cuda``.
        threads: of PyTorch on the CPU.
    """

    variant: str
    mode: str
    dtype: str
    size: str
    batches: list[str]
    device: str
    threads: int


@dataclass(frozen=True)
class PeakMemory:
    """MiB for each batch; before: what the process held before it had a model. None where it cannot be known."""

    peaks: list[float | None]
    before: float | None


def measure_in_new_process(task: MemoryTask) -> PeakMemory:
    """Runs this module as a program.

    Raises:
        RuntimeError: it failed; the message is the last line of what it said.
    """
    # Every larger block gets pages of its own, which go back when it is freed: what was used while the model was built
    # and converted is gone, and the peak is that of the blocks that are alive together.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(asdict(task))]
    result = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"the process ended with status {result.returncode}"]
        raise RuntimeError(lines[-1])
    return PeakMemory(**json.loads(result.stdout.splitlines()[-1]))


def measure(task: MemoryTask) -> PeakMemory:
    """Builds the model and takes steps on each batch."""
    torch.set_num_threads(task.threads)
    device, config = torch.device(task.device), make_config(task.size)
    before = _resident(device, "VmRSS")
    step = make_step(task.variant, task.mode, task.dtype, config, device)
    # The optimizer makes its state at the end of the first step: only the second one holds everything at once.
    steps = 2 if task.mode == TRAINING else 1
    peaks = []
    for path in task.batches:
        batch = Batch.load(Path(path)).to(device)
        known = _forget_peak(device)
        for _ in range(steps):
            step(batch)
        peaks.append(_resident(device, "VmHWM") if known else None)
    return PeakMemory(peaks, before)


def _forget_peak(device: torch.device) -> bool:
    """Makes the peak begin again from what is in use now; False where the system does not allow it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5)
    except OSError:
        return False
    return True


def _resident(device: torch.device, field: str) -> float | None:
    """MiB on the device: ``VmHWM`` is the peak, ``VmRSS`` what is held now.

    ``getrusage`` would not do: its peak of a new process includes that of the process which started it.
    """
    if device.type == "cuda":
        read = torch.cuda.max_memory_allocated if field == "VmHWM" else torch.cuda.memory_allocated
        return read(device) / MIB
    try:
        found = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


if __name__ == "__main__":
    print(json.dumps(asdict(measure(MemoryTask(**json.loads(sys.argv[1]))))))
