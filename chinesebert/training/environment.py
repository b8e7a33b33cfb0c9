"""What a run runs on: the versions of what decides its numbers, and the hardware. Kept with its log and its model."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("torch", "transformers", "deepspeed", "numpy", "pypinyin", "rjieba", "jieba")


def version_facts() -> dict[str, str]:
    """The versions of this program, Python and the packages that are installed; of CUDA where torch has it."""
    versions = {"chinesebert-pretraining": _version("chinesebert-pretraining"), "python": platform.python_version()}
    versions |= {name: _version(name) for name in _PACKAGES}
    return {name: version for name, version in versions.items() if version} | (
        {"cuda": torch.version.cuda} if torch.version.cuda else {}
    )


def hardware_facts(device: torch.device, ranks: int) -> dict[str, Any]:
    """What a run trains on: how many devices of which name; cores and processor of this machine."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cpu_name()} (CPU)"
    return {"device": name, "ranks": ranks, "cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()}


def cpu_name() -> str:
    """The processor as it calls itself."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
