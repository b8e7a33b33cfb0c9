"""Several tasks of a benchmark, one after another: each in a folder of its own, a table, and ``submit.zip``."""

import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.finetuning.announcements import SPLITS, figures_of, shown, tell_figures
from chinesebert.finetuning.arguments import parse_arguments, setting
from chinesebert.finetuning.process import is_first_process, say
from chinesebert.finetuning.results import write_json
from chinesebert.finetuning.seeds import finished_run, free_memory, run_task
from chinesebert.finetuning.submit import SUBMIT_FILE, check_submission, write_submit_zip
from chinesebert.finetuning.tables import markdown_table, terminal_table
from chinesebert.tasks.registry import get_task, task_names
from chinesebert.tasks.task import Task

ALL = "all"
#: The benchmark whose server counts records from 0, whatever ids they have.
_NUMBERED = ("clue",)


@dataclass
class Outcome:
    """What has become of the tasks: figures, why a task was left out or failed, and what is in ``submit.zip``."""

    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    not_submitted: dict[str, str] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)


def several_tasks(name: str) -> bool:
    """Whether ``--task`` names more than one: ``all``, or names with commas between them."""
    return name.lower() == ALL or "," in name


def run_suite(suite: str, name: str, argv: Sequence[str], check: Callable[[Task], None]) -> Outcome:
    """Runs tasks from the folders below ``data_dir`` into folders below ``output_dir``.

    A task that is finished is not run again. One with bad input is told of at the end; the others are run.

    Args:
        suite: whose tasks ``all`` means.
        name: ``all``, or names with commas between them.
        argv: the command line.
        check: refuses tasks of another suite.

    Raises:
        InputError: the command line is wrong; nothing has been run then.
        Interrupted: a signal has ended the run.
    """
    data_dir, output_dir = _folders(argv)
    tasks = [get_task(part.strip()) for part in (task_names(suite) if name.lower() == ALL else name.split(","))]
    outcome = Outcome()
    for task in tasks:
        check(task)
    for task in tasks:
        folder = task_folder(data_dir, task)
        if folder is None and name.lower() == ALL:
            outcome.left_out[task.name] = f"{data_dir} has no folder of it"
            continue
        flags = ["--data_dir", str(folder or data_dir / task.name), "--output_dir", str(output_dir / task.name)]
        _run_one(task, [*argv, "--task", task.name, "--skip_missing_test", "true", *flags], outcome)
        free_memory()
    if not outcome.finished and not outcome.failed:
        raise InputError(f"{data_dir}: has no folder of any of these tasks: {', '.join(task.name for task in tasks)}")
    if is_first_process():
        _finish(output_dir, suite, outcome)
    return outcome


def _folders(argv: Sequence[str]) -> tuple[Path, Path]:
    for name in ("train_file", "dev_file", "test_file"):
        if any(flag.split("=")[0] == f"--{name}" for flag in argv):
            raise InputError(f"--{name} is for one task; for several give --data_dir DIR with a folder for each")
    found = {name: setting(name, argv) for name in ("data_dir", "output_dir")}
    if not found["data_dir"]:
        raise InputError("data_dir is not set. Give --data_dir DIR with a folder for each task, DIR/tnews and so on")
    if not found["output_dir"]:
        raise InputError("output_dir is not set. Give --output_dir DIR: each task gets a folder in it")
    if not Path(found["data_dir"]).is_dir():
        raise InputError(
            f"{found['data_dir']}: there is no such folder; give --data_dir DIR with a folder for each task"
        )
    return Path(found["data_dir"]), Path(found["output_dir"])


def task_folder(data_dir: Path, task: Task) -> Path | None:
    """The folder of a task's files: its name, also as archives unpack (``TNEWS``, ``tnews_public``), or ``folders``."""
    folders = {path.name: path for path in sorted(data_dir.iterdir()) if path.is_dir()}
    if task.name in folders:
        return folders[task.name]
    plain = {_plain(folder): path for folder, path in folders.items()}
    return next((plain[name] for name in (task.name, *task.folders) if name in plain), None)


def _plain(folder: str) -> str:
    """Without what archives add to the name: ``CLUE_…_public``."""
    return re.sub(r"^clue_|(?:_public)?(?:_data)?$", "", folder.lower().replace("-", "_"))


def _run_one(task: Task, argv: Sequence[str], outcome: Outcome) -> None:
    try:
        args = parse_arguments(argv, task)
        if args.do_train and "train" not in task.files:
            outcome.left_out[task.name] = "nothing is published to train it on; predict it with a model of another task"
            return
        found = finished_run(args)
        if found is not None:
            say(f"{task.name} is finished: {args.output_dir}")
        else:
            found = run_task(task, argv, args)
            tell_figures(found, Path(str(args.output_dir)))
        outcome.finished[task.name] = found
    except InputError as error:
        say(f"{task.name}: {error}")
        outcome.failed[task.name] = str(error)
    except Exception as error:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise  # the other ranks may be in the middle of the task
        traceback.print_exc()
        outcome.failed[task.name] = f"{type(error).__name__}: {error}"


def _finish(output_dir: Path, suite: str, outcome: Outcome) -> None:
    """Writes archive, table and record, and prints what has become of the tasks."""
    _submit(output_dir, suite, outcome)
    header, rows = suite_table(outcome.finished)
    with atomic_file(output_dir / "table.md") as unfinished:
        unfinished.write_text(markdown_table(header, rows, left=2) + "\n", encoding="utf-8")
    write_json(
        output_dir / "suite.json",
        {
            "finished": list(outcome.finished),
            "left_out": outcome.left_out,
            "failed": outcome.failed,
            "submitted": outcome.submitted,
            "not_submitted": outcome.not_submitted,
        },
    )
    print(f"\n{terminal_table(header, rows, left=2, indent='')}")
    for what, reasons in (("left out", outcome.left_out), ("not in submit.zip", outcome.not_submitted)):
        for task, reason in reasons.items():
            print(f"{what}: {task}: {reason}")
    print(f"  {output_dir / 'table.md'}")
    if outcome.submitted:
        print(f"  {output_dir / SUBMIT_FILE} ({', '.join(outcome.submitted)})")
    for task, reason in outcome.failed.items():
        say(f"failed: {task}: {reason}")


def suite_table(summaries: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table: for each task the figure that counts, in per cent, on dev and on test."""
    rows = []
    for name, summary in summaries.items():
        figures = [figures_of(summary, split).get(summary["metric"]) for split in SPLITS]
        rows.append([name, str(summary["metric"]), *("–" if found is None else shown(found) for found in figures)])
    return ["task", "figure (%)", *SPLITS], rows


def _submit(output_dir: Path, suite: str, outcome: Outcome) -> None:
    files = []
    for name, summary in outcome.finished.items():
        if summary["settings"]["do_predict"] and "test" not in summary and get_task(name).submissions:
            outcome.not_submitted[name] = "it has no test file"
        for submission in (summary.get("test") or {}).get("submissions", []):
            path = output_dir / name / submission
            try:
                check_submission(path, summary.get("labels") or [], numbered=suite in _NUMBERED)
            except InputError as error:
                outcome.not_submitted[name] = str(error)
                continue
            files.append(path)
    outcome.submitted = sorted(path.name for path in files)
    if files:
        write_submit_zip(output_dir / SUBMIT_FILE, files)
    else:
        (output_dir / SUBMIT_FILE).unlink(missing_ok=True)
