"""What a process settles before torch, transformers and DeepSpeed start up, so that they print what matters only."""

import logging
import os
import sys
import warnings


def prepare_process(uses_deepspeed: bool = False) -> None:
    """Silences what is no news to a user, and sets up processors as accelerators where there is no other.

    Args:
        uses_deepspeed: the run does, so that DeepSpeed has to be prepared for processors, too.
    """
    warnings.filterwarnings("ignore", message=".*pin_memory.*")  # said at every evaluation where there is no GPU
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)  # it tells each of its settings, on every rank
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()  # a bar for every file it reads or writes; ours of the run stay
    if not torch.accelerator.is_available():
        # accelerate imports DeepSpeed wherever it is installed, and DeepSpeed warns where it finds no GPU.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        _share_cores()
        if uses_deepspeed:
            _go_without_compiler()


def _share_cores() -> None:
    """The ranks of a machine share its cores; each would take them all."""
    import torch

    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_SIZE") or "1")
    if ranks == 1:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // ranks)))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def _go_without_compiler() -> None:
    """DeepSpeed would compile a shared-memory all-reduce at the first start; gloo has one that does."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def is_first_process() -> bool:
    """Whether this is the process that prints, going by what launchers say."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def say(line: str = "") -> None:
    """Prints a line for the user, in one process of the run."""
    if is_first_process():
        print(line, file=sys.stderr, flush=True)
