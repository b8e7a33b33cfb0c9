"""The command line of the fine-tuning scripts."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from chinesebert.errors import InputError


def main(suite: str, argv: Sequence[str] | None = None) -> int:
    """Runs ``launch/finetune*.py``; returns the exit status (2 for bad input, 130 when interrupted).

    Args:
        suite: whose tasks the script offers: ``clue``, ``ccks`` or ``paper``.
        argv: the command line without the program.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")  # said at every evaluation where there is no GPU
    try:
        run(suite, argv)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing but checkpoints was written", file=sys.stderr, flush=True)
        return 130
    return 0


def run(suite: str, argv: Sequence[str]) -> dict[str, Any]:
    """Reads the settings, does the run, and prints its figures.

    Raises:
        InputError: the input is wrong; the message says where and what to do.
    """
    from chinesebert.finetuning.arguments import task_and_arguments
    from chinesebert.finetuning.run import finetune

    task, args = task_and_arguments(argv)
    if task.suite != suite:
        raise InputError(f"{task.name} is run by {SCRIPTS[task.suite]}")
    summary = finetune(task, args)
    for split in ("dev", "test"):
        if split in summary and args.process_index == 0:
            figures = [f"{name} {value:.4f}" for name, value in summary[split].items() if isinstance(value, float)]
            print(f"{task.name} {split:<5} {', '.join(figures) or 'no labels: predicted only'}")
    return summary


SCRIPTS = {
    "clue": "launch/finetune_clue.py",
    "ccks": "launch/finetune_ccks.py",
    "paper": "launch/finetune.py",
}
