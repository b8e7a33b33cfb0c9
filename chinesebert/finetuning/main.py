"""The command line of the fine-tuning scripts."""

import sys
from collections.abc import Sequence
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.finetuning.process import is_first_process, prepare_process, say
from chinesebert.tasks.task import Task


def main(suite: str, argv: Sequence[str] | None = None) -> int:
    """Runs ``launch/finetune*.py``.

    Args:
        suite: whose tasks the script offers: ``clue``, ``ccks`` or ``paper``.
        argv: the command line without the program.

    Returns:
        The exit status: 2 for bad input, 1 where some of several tasks failed, 130 and 143 after SIGINT and SIGTERM.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    prepare_process(uses_deepspeed=any(flag.startswith("--deepspeed") for flag in argv))
    from chinesebert.finetuning.interrupts import Interrupted, signals_as_exceptions

    try:
        with signals_as_exceptions():
            return run(suite, argv)
    except InputError as error:
        if is_first_process():
            print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except Interrupted as interrupted:
        saved = (
            f"{interrupted.saved} is saved" if interrupted.saved else "what is finished stays, nothing else was written"
        )
        say(f"\nstopped by {interrupted.signal.name}: {saved}; the same command goes on from there")
        return 128 + interrupted.signal.value
    finally:
        _leave_process_group()


def run(suite: str, argv: Sequence[str]) -> int:
    """Reads the settings, does the run or the runs, and prints their figures.

    Raises:
        InputError: the input is wrong; the message says where and what to do.
    """
    from chinesebert.finetuning.announcements import tell_figures
    from chinesebert.finetuning.arguments import parse_arguments, task_named
    from chinesebert.finetuning.seeds import run_task
    from chinesebert.finetuning.suite import run_suite, several_tasks
    from chinesebert.tasks.registry import get_task

    def check(task: Task) -> None:
        if task.suite != suite:
            raise InputError(f"{task.name} is run by {SCRIPTS[task.suite]}")

    name = task_named(argv)
    if several_tasks(name):
        return 1 if run_suite(suite, name, argv, check).failed else 0
    task = get_task(name)
    check(task)
    args = parse_arguments(argv, task)
    tell_figures(run_task(task, argv, args), Path(str(args.output_dir)))
    return 0


def _leave_process_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


SCRIPTS = {
    "clue": "launch/finetune_clue.py",
    "ccks": "launch/finetune_ccks.py",
    "paper": "launch/finetune.py",
}
