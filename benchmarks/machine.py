"""What a measurement was made on: hardware and versions."""

import os
import platform
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import transformers

# What decides whether bfloat16 is quick on a CPU.
_BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Processor, cores, GPU, and how busy the machine was when this was called."""
    cpuinfo = _cpuinfo()
    name = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    facts = {
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_bfloat16_instructions": [word for word in _BFLOAT16_INSTRUCTIONS if re.search(rf"\b{word}\b", cpuinfo)],
        "threads": torch.get_num_threads(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "device": device.type,
    }
    return facts | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def version_facts() -> dict[str, Any]:
    """The date and the versions of what was used."""
    return {
        "date": datetime.now().isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
