"""How many floating-point operations a second a device can do at most: as its maker lists it, or as measured."""

import re
import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

# Dense matrix products in bfloat16 (float16 is the same on all of them) with float32 sums, in 10^12 operations a
# second, from NVIDIA's data sheets and, for GeForce and workstation cards, architecture white papers. Where a sheet
# gives only the number "with sparsity", half of it. The first line that fits a device's name counts.
_LISTED: tuple[tuple[str, float], ...] = (
    (r"\bB200\b", 2250.0),  # HGX B200 data sheet
    (r"\bH200 NVL\b", 835.5),  # H200 data sheet
    (r"\bH200\b", 989.4),  # H200 data sheet: SXM
    (r"\bH20\b", 148.0),  # H20 data sheet
    (r"\bH[18]00 NVL\b", 835.5),  # H100 NVL product brief
    (r"\bH[18]00 PCIe\b", 756.0),  # H100 data sheet
    (r"\bH[18]00\b", 989.4),  # H100 data sheet: SXM
    (r"\bA[18]00\b", 312.0),  # A100 data sheet
    (r"\bA40\b", 149.7),  # A40 data sheet
    (r"\bA30\b", 165.0),  # A30 data sheet
    (r"\bA10\b", 125.0),  # A10 data sheet
    (r"\bL40S\b", 362.0),  # L40S data sheet
    (r"\bL40\b", 181.0),  # L40 data sheet
    (r"\bL4\b", 121.0),  # L4 data sheet
    (r"\bRTX A6000\b", 154.8),  # GA102 white paper
    (r"\bRTX 5090\b", 209.5),  # RTX Blackwell white paper
    (r"\bRTX 4090\b(?! D| Laptop)", 165.2),  # Ada white paper
    (r"\bRTX 3090\b(?! Ti)", 71.0),  # GA102 white paper
)
_LISTED_DTYPES = (torch.bfloat16, torch.float16)
_SECONDS = 0.5
# Large enough to reach the peak, small enough for several in that time.
_SIZE_ON_CPU, _SIZE_ON_DEVICE = 1024, 8192


@dataclass(frozen=True)
class DevicePeak:
    """The peak of one device.

    Attributes:
        flops: floating-point operations a second.
        source: ``listed by its maker`` or ``measured``, for people.
    """

    flops: float
    source: str


def device_peak(device: torch.device, dtype: torch.dtype) -> DevicePeak:
    """The peak of a device in a dtype: listed where known, else measured, which takes about half a second.

    On a CPU it is what the threads of this process reach at this moment.
    """
    if device.type == "cuda" and dtype in _LISTED_DTYPES:
        listed = listed_peak(torch.cuda.get_device_name(device))
        if listed is not None:
            return DevicePeak(listed, "listed by its maker")
    return DevicePeak(measured_peak(device, dtype), "measured by a matrix product")


def mean_over_ranks(peak: DevicePeak, device: torch.device) -> DevicePeak:
    """One peak for all ranks, whose devices may differ or have been measured differently: the mean of theirs.

    So that the share of it that all reach together is their share of what their devices can do together. Every rank
    calls this.
    """
    if not dist.is_initialized():
        return peak
    total = torch.tensor(peak.flops, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return DevicePeak(total.item() / dist.get_world_size(), peak.source)


def listed_peak(name: str) -> float | None:
    """Operations a second in bfloat16 of a device by the name that torch gives it; None where not known for certain."""
    for pattern, tera in _LISTED:
        if re.search(pattern, name):
            return tera * 1e12
    return None


def measured_peak(device: torch.device, dtype: torch.dtype, seconds: float = _SECONDS) -> float:
    """Operations a second of a square matrix product: the best of those that fit in ``seconds``, two at least."""
    size = _SIZE_ON_CPU if device.type == "cpu" else _SIZE_ON_DEVICE
    one = torch.ones(size, size, device=device, dtype=dtype)
    other, product = torch.ones_like(one), torch.empty_like(one)
    best, runs, end = float("inf"), 0, time.perf_counter() + seconds
    while runs < 2 or time.perf_counter() < end:
        _wait(device)
        started = time.perf_counter()
        torch.mm(one, other, out=product)
        _wait(device)
        best = min(best, time.perf_counter() - started)
        runs += 1
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
