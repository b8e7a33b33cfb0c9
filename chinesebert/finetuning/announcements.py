"""What a run tells: what it reads, its figures, and where everything is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.data import Splits
from chinesebert.finetuning.process import is_first_process, say
from chinesebert.finetuning.results import PREDICTIONS
from chinesebert.finetuning.tables import terminal_table
from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.task import Task

SPLITS = ("dev", "test")
_KEPT = {"head": "their beginning is kept", "tail": "their end is kept", "head+tail": "beginning and end are kept"}


def announce(task: Task, args: FinetuningArguments, splits: Splits, datasets: Mapping[str, BertDataset]) -> None:
    """Says what is read: how many examples of which files, and how many of them are cut."""
    parts = []
    for split, dataset in datasets.items():
        names = ", ".join(path.name for path in splits.files.get(split, ())) or "held out of train"
        parts.append(f"{split} {len(dataset.examples):,} ({names})")
    say(f"{task.name}, {task.title}: {', '.join(parts)}")
    cut = sum(dataset.encoded.cut for dataset in datasets.values())
    if cut:
        what = _KEPT[args.truncation]
        say(f"  {cut:,} texts are longer than {args.max_seq_length} tokens; {what} (see --truncation)")
    if args.do_predict and not splits.test:
        say("  no test file: nothing is predicted")
    if splits.test_is_cut:
        say("  no submission file: --max_eval_samples leaves out a part of the test split")


def figures_of(summary: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The figures of a split: a number each, or, over several seeds, ``mean``, ``sd``, ``max`` and ``values``."""
    found = summary.get(split) or {}
    return {name: value for name, value in found.items() if isinstance(value, float | Mapping)}


def shown(figure: Any) -> str:
    """A figure in per cent; several seeds' as mean ± standard deviation."""
    if not isinstance(figure, Mapping):
        return f"{100 * figure:.2f}"
    return f"{100 * figure['mean']:.2f}" + ("" if figure["sd"] is None else f" ± {100 * figure['sd']:.2f}")


def tell_figures(summary: Mapping[str, Any], output_dir: Path) -> None:
    """Prints a small table of the figures, and where results lie; to be called once a run, in all its processes."""
    if not is_first_process():
        return
    by_split = {split: figures_of(summary, split) for split in SPLITS if split in summary}
    seeds = summary.get("seeds")
    about = f", {len(seeds)} seeds: mean ± standard deviation" if seeds else ""
    names = list(dict.fromkeys(name for figures in by_split.values() for name in figures))
    if names:
        print(f"{summary['task']}, %{about}")
        print(terminal_table(["", *by_split], _rows(names, by_split)))
    for split, figures in by_split.items():
        if not figures:
            print(f"{summary['task']} {split}: no labels, so predicted only")
    for path in _written(summary, output_dir):
        print(f"  {path}")


def _rows(names: Sequence[str], by_split: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    rows = []
    for name in names:
        rows.append([name, *(shown(found[name]) if name in found else "" for found in by_split.values())])
        if any(isinstance(found.get(name), Mapping) for found in by_split.values()):
            best = [f"{100 * found[name]['max']:.2f}" if name in found else "" for found in by_split.values()]
            rows.append([f"{name}, maximum", *best])
    return rows


def _written(summary: Mapping[str, Any], output_dir: Path) -> list[Path]:
    names = ["metrics.json", *(PREDICTIONS[split] for split in SPLITS if split in summary)]
    names += (summary.get("test") or {}).get("submissions", [])
    model = [output_dir / "best" if "seeds" in summary else output_dir] if "train_steps" in summary else []
    return [*model, *(output_dir / name for name in names)]
