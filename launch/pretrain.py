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
import signal
import sys
import warnings
from types import FrameType
from typing import TYPE_CHECKING, Any

# The imports of the program take seconds: they come when signals are listened to.
if TYPE_CHECKING:
    from chinesebert.training.stopping import StopRequest

_signals: list[int] = []


def main() -> int:
    """Runs one rank; returns its exit status (2 for bad input)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _note)
    from chinesebert.errors import InputError
    from chinesebert.training.stopping import StopRequest

    stop = StopRequest()
    for noted in _signals:
        stop.heed(noted)
    try:
        alone = _plans_alone() or _asks_for_help()
        if not alone:
            _find_place()
        _prepare_process()
        from chinesebert.training.arguments import parse_arguments

        args = parse_arguments(sys.argv[1:])
        if not (alone and args.dry_run):
            _find_place()  # again, for `--dry_run false`
            _join_ranks(args)
        if _is_stopped(stop, args):
            return 0
        from chinesebert.training.pretraining import pretrain

        pretrain(args)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0":  # once a machine
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        _leave_process_group()
    return 0


def _note(number: int, frame: FrameType | None) -> None:
    """What a signal does until the program can do better."""
    _signals.append(number)


def _is_stopped(stop: "StopRequest", args: Any) -> bool:
    """Whether a rank was asked to stop while they started up: then all end before there is anything to lose."""
    import torch
    import torch.distributed as dist

    asked = bool(stop)
    if dist.is_initialized():
        requests = torch.tensor(float(asked), device=args.device)
        dist.all_reduce(requests)
        asked = requests.item() > 0
    if not asked:
        return False
    if args.process_index == 0:
        print(f"stopped by {stop.reason or 'a signal to another rank'} before it began; nothing is lost", flush=True)
    return True


def _asks_for_help() -> bool:
    return any(flag in ("--help", "-h") for flag in sys.argv[1:])


def _plans_alone() -> bool:
    """Whether this is a plan that no launcher has started, as may be."""
    from chinesebert.training.slurm import is_slurm_task

    return "--dry_run" in sys.argv and "RANK" not in os.environ and not is_slurm_task(os.environ)


def _find_place() -> None:
    """Makes sure that the environment says which rank of how many this is: a launcher has said so, or Slurm has."""
    from chinesebert.errors import InputError
    from chinesebert.training.slurm import is_slurm_task, ranks_from_slurm

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
