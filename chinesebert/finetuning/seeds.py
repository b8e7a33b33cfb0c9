"""A task with one seed, or with several: each seed a run of its own, and what they come to together."""

import gc
import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.finetuning.announcements import SPLITS, figures_of
from chinesebert.finetuning.arguments import FinetuningArguments, parse_arguments
from chinesebert.finetuning.process import say
from chinesebert.finetuning.record import METRICS_FILE, differences, read_metrics, settings_of
from chinesebert.finetuning.results import PREDICTIONS, write_json
from chinesebert.finetuning.run import finetune
from chinesebert.tasks.task import Task

BEST = "best"
_OF_ONE_SEED = ("seed", "train_seconds", "train_steps", "best_step", "best_dev", "seconds", "also_train", *SPLITS)


def run_task(task: Task, argv: Sequence[str], args: FinetuningArguments | None = None) -> dict[str, Any]:
    """Runs a task as the command line says, once for each seed; returns what ``metrics.json`` holds.

    Args:
        task: which.
        argv: the command line.
        args: the same, parsed, where that has been done.

    Raises:
        InputError: the input is wrong; seeds that are finished stay, and are not run again.
    """
    args = args or parse_arguments(argv, task)
    return finetune(task, args) if args.seeds == 1 else _run_seeds(task, argv, args)


def finished_run(args: FinetuningArguments) -> dict[str, Any] | None:
    """What an earlier run with these settings has come to; None if it is not finished, or to be overwritten.

    Raises:
        InputError: the run in ``output_dir`` had other settings.
    """
    output_dir = Path(str(args.output_dir))
    found = None if args.overwrite_output_dir else read_metrics(output_dir)
    if found is None:
        return None
    seeds = {"seeds": _seeds(args)} if args.seeds > 1 else {}
    before = {**found.get("settings", {}), **({"seeds": found["seeds"]} if "seeds" in found else {})}
    changed = differences(before, {**settings_of(args), **seeds})
    if changed:
        raise InputError(
            f"{output_dir}: holds a run with {changed}; give another --output_dir, or run it anew with "
            "--overwrite_output_dir"
        )
    return found


def _seeds(args: FinetuningArguments) -> list[int]:
    return list(range(args.seed, args.seed + args.seeds))


def _run_seeds(task: Task, argv: Sequence[str], args: FinetuningArguments) -> dict[str, Any]:
    output_dir, seeds = Path(str(args.output_dir)), _seeds(args)
    before = read_metrics(output_dir)
    if before is not None and not args.overwrite_output_dir and before.get("seeds") in (None, seeds):
        raise InputError(f"{output_dir}: holds a finished run; give another --output_dir, or --overwrite_output_dir")
    if args.process_index == 0:
        (output_dir / METRICS_FILE).unlink(missing_ok=True)
    summaries = []
    for number, seed in enumerate(seeds, start=1):
        say(f"seed {seed} ({number} of {len(seeds)})")
        directory = output_dir / f"seed-{seed}"
        own = parse_arguments([*argv, "--seed", str(seed), "--seeds", "1", "--output_dir", str(directory)], task)
        found = finished_run(own)
        if found is not None:
            say(f"  is finished: {directory}")
        summaries.append(found or finetune(task, own))
        free_memory()
    together = aggregated(summaries)
    if args.process_index == 0:
        _take_over(output_dir, output_dir / f"seed-{together['best_seed']}", together)
        write_json(output_dir / METRICS_FILE, together)
    return together


def free_memory() -> None:
    """Gives back the memory of a run that is over: model, optimizer and Trainer refer to each other in circles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def aggregated(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs of several seeds come to together.

    Each figure becomes ``mean``, ``sd`` (of the sample, n - 1), ``max`` and ``values``, one for each of ``seeds``.
    ``best_seed`` is the one with the best figure on the dev split, the first of equals, or of all without such a split.
    """
    first = summaries[0]
    together = {name: value for name, value in first.items() if name not in _OF_ONE_SEED}
    together["settings"] = {name: value for name, value in first["settings"].items() if name != "seed"}
    together["seeds"] = [summary["seed"] for summary in summaries]
    together["best_seed"] = max(summaries, key=_dev_figure)["seed"]
    for name in ("train_seconds", "train_steps", "best_dev", "seconds"):
        if name in first:
            together[name] = [summary[name] for summary in summaries]
    for split in SPLITS:
        if split in first:
            values = {name: [summary[split][name] for summary in summaries] for name in figures_of(first, split)}
            together[split] = {**first[split], **{name: _statistics(found) for name, found in values.items()}}
    if "also_train" in first:
        together["also_train"] = _of_other_tasks([summary["also_train"] for summary in summaries])
    return together


def _of_other_tasks(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the tasks that were trained along, as those of the task itself."""
    return {
        task: {
            **found,
            **{name: _statistics([each[task][name] for each in figures]) for name in figures_of(figures[0], task)},
        }
        for task, found in figures[0].items()
    }


def _dev_figure(summary: Mapping[str, Any]) -> float:
    found = (summary.get("dev") or {}).get(summary["metric"], summary.get("best_dev"))
    return 0.0 if found is None else float(found)


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": spread, "max": max(values), "values": list(values)}


def _take_over(output_dir: Path, best: Path, together: Mapping[str, Any]) -> None:
    """Predictions and submissions of the best seed become those of the run; ``best`` leads to its model."""
    submissions = (together.get("test") or {}).get("submissions", [])
    for name in (*(PREDICTIONS[split] for split in SPLITS if split in together), *submissions):
        with atomic_file(output_dir / name) as unfinished:
            shutil.copyfile(best / name, unfinished)
    _link(output_dir / BEST, best)


def _link(link: Path, target: Path) -> None:
    """A relative link, which stays right when the whole folder is moved; a copy where there are no links."""
    unfinished = link.with_name(f".{link.name}.unfinished-{os.getpid()}")
    try:
        unfinished.symlink_to(target.name, target_is_directory=True)
    except OSError:
        shutil.rmtree(link, ignore_errors=True)
        shutil.copytree(target, link)
        return
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    os.replace(unfinished, link)
