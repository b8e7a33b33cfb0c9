"""Pretrains ChineseBERT on prepared corpora.

::

    deepspeed launch/pretrain.py --config configs/pretrain/base.yaml --train_data DIR --output_dir OUT

Or in a job of Slurm, a task for each GPU (``launch/pretrain.sbatch``)::

    srun python launch/pretrain.py --config configs/pretrain/base.yaml --train_data DIR --output_dir OUT

A plan (``--dry_run``) needs no launcher::

    python launch/pretrain.py --config configs/pretrain/base.yaml --train_data DIR --output_dir OUT \\
        --dry_run --dry_run_ranks 64 --dry_run_device H100
"""

import os
import sys
import warnings
from typing import Any

from chinesebert.errors import InputError
from chinesebert.training.slurm import is_slurm_task, ranks_from_slurm


def main() -> int:
    """Runs one rank; returns its exit status (2 for bad input)."""
    try:
        alone = _plans_alone()
        if not alone:
            _find_place()
        _prepare_process()
        from chinesebert.training.arguments import parse_arguments

        args = parse_arguments(sys.argv[1:])
        if not (alone and args.dry_run):
            _find_place()  # again, for `--dry_run false`
            _join_ranks(args)
        from chinesebert.training.pretraining import pretrain

        pretrain(args)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0":  # once a machine
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        _leave_process_group()
    return 0


def _plans_alone() -> bool:
    """Whether this is a plan that no launcher has started, as may be."""
    return "--dry_run" in sys.argv and "RANK" not in os.environ and not is_slurm_task(os.environ)


def _find_place() -> None:
    """Makes sure that the environment says which rank of how many this is: a launcher has said so, or Slurm has."""
    if "RANK" in os.environ:
        return
    if not is_slurm_task(os.environ):
        raise InputError(
            "start it with the launcher: deepspeed launch/pretrain.py …  (on a machine without GPUs: "
            "deepspeed --num_accelerators 2 launch/pretrain.py …)"
        )
    os.environ.update(ranks_from_slurm(os.environ))


def _prepare_process() -> None:
    """Settles what must be settled before DeepSpeed and transformers start up."""
    import logging

    import torch
    import transformers

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)  # it tells each of its settings, on every rank
    transformers.utils.logging.disable_progress_bar()  # a bar for every file it writes; the bar of the run stays
    if os.environ.get("RANK", "0") != "0":  # all ranks read the same, and would warn of the same
        transformers.utils.logging.set_verbosity_error()
        for library in ("chinesebert", "huggingface_hub"):
            logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    if not torch.cuda.is_available():
        _prepare_cpu_rank()


def _prepare_cpu_rank() -> None:
    import torch

    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # The ranks of a machine share its cores; each would take them all.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // int(os.environ.get("LOCAL_SIZE", "1")))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # DeepSpeed would compile a shared-memory all-reduce in C++ at the first start, which takes a minute and a compiler;
    # gloo has one that does.
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _join_ranks(args: Any) -> None:
    """Starts communication between the ranks; gloo between CPUs, what DeepSpeed chooses between GPUs."""
    from datetime import timedelta

    import deepspeed

    backend = "gloo" if args.device.type == "cpu" else None
    deepspeed.init_distributed(dist_backend=backend, verbose=False, timeout=timedelta(seconds=args.ddp_timeout))


def _leave_process_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
