"""Runs side by side: tasks down, models across."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.announcements import SPLITS, figures_of, shown
from chinesebert.finetuning.record import METRICS_FILE, read_metrics
from chinesebert.pictures import png

#: Last parts of paths that say nothing about which model it is.
_BARE = ("hf", "best", "model", "out", "output")
_COLOURS = ("#9aa5b1", "#2f6fb0", "#d9822b", "#3d8b5f", "#8b5fa8", "#b04a4a")


@dataclass(frozen=True)
class Run:
    """A finished run: where it lies, what it has come to, and what its model is called."""

    directory: Path
    summary: Mapping[str, Any]
    model: str


def read_runs(directories: Sequence[Path], names: Sequence[str] = ()) -> list[Run]:
    """The finished runs in some folders: each that of one run, or of several tasks with a folder for each.

    Args:
        directories: of runs.
        names: of their models, one a folder; by default what the runs themselves say.

    Raises:
        InputError: a folder holds no finished run, or there are not as many names as folders.
    """
    if names and len(names) != len(directories):
        raise InputError(f"--names: {len(names)} for {len(directories)} folders; give one a folder, in the same order")
    runs = []
    for number, directory in enumerate(directories):
        found = [(path, read_metrics(path)) for path in _run_folders(directory)]
        for path, summary in found:
            if summary is None or "task" not in summary:
                raise InputError(f"{path / METRICS_FILE}: is not what a fine-tuning run writes")
            runs.append(Run(path, summary, names[number] if names else model_label(summary)))
    _refuse_doubles(runs)
    return runs


def _run_folders(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no such folder")
    if (directory / METRICS_FILE).is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob(f"*/{METRICS_FILE}"))
    if not found:
        raise InputError(f"{directory}: holds no finished run: there is no {METRICS_FILE}, and none in its folders")
    if all(path.name.startswith("seed-") for path in found):
        raise InputError(f"{directory}: not all seeds of this run are finished; start it again, or give {found[0]}")
    return found


def model_label(summary: Mapping[str, Any]) -> str:
    """What a model is called: the last part of its path that says something; whether its weights were drawn."""
    parts = [part for part in Path(str(summary["model"])).parts if part not in _BARE]
    parts = [part for part in parts if not part.startswith("checkpoint-")]
    label = parts[-1] if parts else str(summary["model"])
    return f"{label}, random weights" if summary.get("random_weights") else label


def _refuse_doubles(runs: Sequence[Run]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for run in runs:
        key = (run.summary["task"], run.model)
        if key in seen:
            raise InputError(
                f"{run.directory} and {seen[key]} are both {key[0]} with {key[1]}; tell them apart with --names, or "
                "leave one out"
            )
        seen[key] = run.directory


def comparison_table(runs: Sequence[Run], split: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows for one split: for each task the figure that counts, in per cent, of each model.

    Runs without labels in that split have no figure; tasks without any are left out.
    """
    models = list(dict.fromkeys(run.model for run in runs))
    rows = []
    for task in dict.fromkeys(run.summary["task"] for run in runs):
        figures = {run.model: _figure(run, split) for run in runs if run.summary["task"] == task}
        if any(figure is not None for figure in figures.values()):
            metric = next(run.summary["metric"] for run in runs if run.summary["task"] == task)
            cells = ["–" if figures.get(model) is None else shown(figures[model]) for model in models]
            rows.append([str(task), str(metric), *cells])
    return ["task", "figure (%)", *models], rows


def _figure(run: Run, split: str) -> Any:
    return figures_of(run.summary, split).get(run.summary["metric"])


def examples_table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of how much each task's runs have read: training, dev and test examples, and seeds."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        counts = [
            run.summary.get("train_examples"),
            *((run.summary.get(split) or {}).get("examples") for split in SPLITS),
        ]
        shown_counts = [f"{count:,}" if count else "–" for count in counts]
        row = [str(run.summary["task"]), *shown_counts, str(len(run.summary.get("seeds", [0])))]
        rows[tuple(row)] = row
    return ["task", "trained on", *SPLITS, "seeds"], list(rows.values())


def bar_chart(runs: Sequence[Run], split: str) -> bytes:
    """A PNG: a group of bars for each task, a bar for each model, with a mark of one standard deviation.

    Raises:
        InputError: no run has figures for this split, or matplotlib is not installed.
    """
    models = list(dict.fromkeys(run.model for run in runs))
    found = {(run.summary["task"], run.model): _figure(run, split) for run in runs}
    tasks = [
        task
        for task in dict.fromkeys(task for task, _ in found)
        if any(found.get((task, model)) is not None for model in models)
    ]
    if not tasks:
        raise InputError(f"--plot: none of these runs has figures for the {split} split")

    def draw(axes: Any) -> None:
        width = 0.8 / len(models)
        for number, model in enumerate(models):
            places, heights, spreads = [], [], []
            for place, task in enumerate(tasks):
                figure = found.get((task, model))
                if figure is not None:
                    places.append(place - 0.4 + width * (number + 0.5))
                    heights.append(100 * (figure["mean"] if isinstance(figure, Mapping) else figure))
                    spreads.append(100 * ((figure["sd"] or 0.0) if isinstance(figure, Mapping) else 0.0))
            colour = _COLOURS[number % len(_COLOURS)]
            errors = spreads if any(spreads) else None
            bars = axes.bar(places, heights, width * 0.94, label=model, color=colour, yerr=errors, capsize=2)
            axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
        axes.set_xticks(
            range(len(tasks)), tasks, rotation=30 if len(tasks) > 5 else 0, ha="right" if len(tasks) > 5 else "center"
        )
        axes.set_ylabel(f"{split}, % (the figure that counts for the task)")
        axes.set_ylim(0, 105)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

    try:
        return png(draw, (2.5 + max(4.0, 0.32 * len(models) * len(tasks) + len(tasks) * 0.4), 4.0), 150)
    except ImportError as error:
        raise InputError("--plot needs matplotlib: pip install 'chinesebert-pretraining[plots]'") from error
