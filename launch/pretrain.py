"""Pretrains ChineseBERT: ``deepspeed launch/pretrain.py --config configs/pretrain/base.yaml --train_data DIR --output_dir OUT``."""

import os
import sys

from chinesebert.errors import InputError


def main() -> int:
    """Runs one rank; returns its exit status (2 for bad input)."""
    if "RANK" not in os.environ:
        print("error: start it with the launcher: deepspeed launch/pretrain.py …  (on a machine without GPUs: "
              "deepspeed --num_accelerators 2 launch/pretrain.py …)", file=sys.stderr)  # fmt: skip
        return 2
    try:
        _quiet()
        from chinesebert.training.arguments import parse_arguments

        args = parse_arguments(sys.argv[1:])
        _share_cores()
        from chinesebert.training.pretraining import pretrain

        pretrain(args)
    except InputError as error:
        if os.environ["RANK"] == "0":
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        _leave_process_group()
    return 0


def _quiet() -> None:
    """DeepSpeed tells each of its settings at level INFO, on every rank."""
    import logging

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)


def _share_cores() -> None:
    """Without GPUs the ranks of a machine share its cores; each would take them all."""
    import torch

    if not torch.cuda.is_available():
        ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // ranks))


def _leave_process_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
