"""Finds the tasks: every module in ``chinesebert/tasks/definitions/`` has one or several in ``TASKS``."""

import difflib
import importlib
import pkgutil
from functools import cache

from chinesebert.errors import InputError
from chinesebert.tasks import definitions
from chinesebert.tasks.task import Task


@cache
def all_tasks() -> dict[str, Task]:
    """All tasks by name, in the order of their names."""
    found: dict[str, Task] = {}
    for module in pkgutil.iter_modules(definitions.__path__):
        for task in importlib.import_module(f"{definitions.__name__}.{module.name}").TASKS:
            if task.name in found:
                raise ValueError(f"two definitions of the task {task.name}")
            found[task.name] = task
    return dict(sorted(found.items()))


def task_names(suite: str | None = None) -> list[str]:
    """Names of the tasks, or of those of one suite (``clue``, ``ccks``, ``paper``)."""
    return [name for name, task in all_tasks().items() if suite in (None, task.suite)]


def get_task(name: str) -> Task:
    """The task of a name, in upper or lower case.

    Raises:
        InputError: there is none; the message suggests the nearest.
    """
    tasks = all_tasks()
    wanted = name.lower().replace("-", "_")
    if wanted in tasks:
        return tasks[wanted]
    near = difflib.get_close_matches(wanted, tasks, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no task {name}; {hint}There are: {', '.join(tasks)}, and custom for files of your own")
