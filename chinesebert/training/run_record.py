"""What is known of a run from its folder: its log, and the recipe beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chinesebert.errors import InputError
from chinesebert.training.checkpoints import RECIPE_FILE
from chinesebert.training.run_log import LOG_DIRECTORY, LOG_FILE, Entry, log_path, read_log


@dataclass(frozen=True)
class RunRecord:
    """A run as it was written down, finished or not.

    Attributes:
        directory: the folder that was given.
        entries: the lines of the log.
        recipe: the resolved settings; empty where they are not known.
    """

    directory: Path
    entries: list[Entry]
    recipe: dict[str, Any]

    def of_kind(self, kind: str) -> list[Entry]:
        """The lines of one kind (``run_log.KINDS``), in their order."""
        return [entry for entry in self.entries if entry["kind"] == kind]

    def events(self, *names: str) -> list[Entry]:
        """The events of these names; all without any."""
        return [entry for entry in self.of_kind("event") if not names or entry.get("event") in names]

    def fact(self, name: str) -> Any:
        """What the newest start or resume says of the run (``versions``, ``hardware``, …); None where nothing."""
        return next((entry[name] for entry in reversed(self.events("start", "resume")) if name in entry), None)

    def changes(self) -> list[tuple[int, dict[str, list[Any]]]]:
        """(step, {setting: [before, after]}) wherever the run went on with other settings, in the order of steps."""
        # Of several starts at one step, the last is what the steps after it were made with.
        starts = {entry["step"]: entry.get("changed") for entry in self.events("start", "resume")}
        return [(step, changed) for step, changed in sorted(starts.items()) if changed]

    def points(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of a measure wherever it was logged as a number."""
        return [(entry["step"], entry[name]) for entry in self.entries if isinstance(entry.get(name), int | float)]

    def last(self, name: str) -> float | None:
        """The newest value of a measure."""
        points = self.points(name)
        return points[-1][1] if points else None


def read_run(run: Path) -> RunRecord:
    """Reads a run's folder, or its folder of logs alone.

    Raises:
        InputError: it has no log, or a file cannot be read.
    """
    path = next((path for path in (log_path(run), run / LOG_FILE) if path.is_file()), None)
    if path is None:
        raise InputError(
            f"{run}: holds no {LOG_DIRECTORY}/{LOG_FILE}; give the output_dir of a pretraining run, or its logs"
        )
    entries = read_log(path)
    record = RunRecord(run, entries, {})
    recipe = _read_recipe(path.parent.parent / RECIPE_FILE if path.parent.name == LOG_DIRECTORY else run / RECIPE_FILE)
    return RunRecord(run, entries, recipe or record.fact("recipe") or {})


def _read_recipe(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot read the recipe of the run ({' '.join(str(error).split())})") from error
    return recipe if isinstance(recipe, dict) else {}
