"""How many floating-point operations a second a device can do at most: as its maker lists it, or as measured."""

import re
import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from chinesebert.errors import InputError

# Dense matrix products in bfloat16 (float16 is the same on all of them) with float32 sums, in 10^12 operations a
# second, from NVIDIA's data sheets and, for GeForce and workstation cards, architecture white papers. Where a sheet
# gives only the number "with sparsity", half of it. A line has what it calls its devices, a pattern for the names that
# torch gives them, and the number; the first that fits a name counts.
_LISTED: tuple[tuple[str, str, float], ...] = (
    ("B200", r"\bB200\b", 2250.0),  # HGX B200 data sheet
    ("H200 NVL", r"\bH200 NVL\b", 835.5),  # H200 data sheet
    ("H200", r"\bH200\b", 989.4),  # H200 data sheet: SXM
    ("H20", r"\bH20\b", 148.0),  # H20 data sheet
    ("H100 NVL", r"\bH[18]00 NVL\b", 835.5),  # H100 NVL product brief
    ("H100 PCIe", r"\bH[18]00 PCIe\b", 756.0),  # H100 data sheet
    ("H100", r"\bH[18]00\b", 989.4),  # H100 data sheet: SXM
    ("A100", r"\bA[18]00\b", 312.0),  # A100 data sheet
    ("A40", r"\bA40\b", 149.7),  # A40 data sheet
    ("A30", r"\bA30\b", 165.0),  # A30 data sheet
    ("A10", r"\bA10\b", 125.0),  # A10 data sheet
    ("L40S", r"\bL40S\b", 362.0),  # L40S data sheet
    ("L40", r"\bL40\b", 181.0),  # L40 data sheet
    ("L4", r"\bL4\b", 121.0),  # L4 data sheet
    ("RTX A6000", r"\bRTX A6000\b", 154.8),  # GA102 white paper
    ("RTX 5090", r"\bRTX 5090\b", 209.5),  # RTX Blackwell white paper
    ("RTX 4090", r"\bRTX 4090\b(?! D| Laptop)", 165.2),  # Ada white paper
    ("RTX 3090", r"\bRTX 3090\b(?! Ti)", 71.0),  # GA102 white paper
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
        name = torch.cuda.get_device_name(device)
        if listed_peak(name) is not None:
            return peak_of(name)
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
    for _, pattern, tera in _LISTED:
        if re.search(pattern, name, re.IGNORECASE):
            return tera * 1e12
    return None


def peak_of(name: str) -> DevicePeak:
    """The listed peak in bfloat16 of a device that is not at hand, by its name, e.g. ``H100`` or ``A100 40GB``.

    Raises:
        InputError: it is not listed; the message has all that are.
    """
    listed = listed_peak(name)
    if listed is None:
        raise InputError(
            f"{name}: no peak is listed for a device of this name; there are {', '.join(item[0] for item in _LISTED)}"
        )
    return DevicePeak(listed, "listed by its maker")


def memory_in_name(name: str) -> float | None:
    """The bytes of memory that the name of a device speaks of (``NVIDIA A100-SXM4-80GB``: 80e9); None of most."""
    found = re.search(r"\b(\d+) ?GB\b", name, re.IGNORECASE)
    return float(found[1]) * 1e9 if found else None


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
