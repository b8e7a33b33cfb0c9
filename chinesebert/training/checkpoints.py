"""Checkpoints on disk: which one a run goes on from, and how old ones leave.

A checkpoint is written under a hidden name and renamed when everything is in it, so any ``checkpoint-N`` is complete.
"""

import json
import re
import shutil
from pathlib import Path

from chinesebert.errors import InputError

HF_DIRECTORY = "hf"
RUN_FILE = "run.json"
RECIPE_FILE = "recipe.yaml"
_NAME = re.compile(r"checkpoint-(\d+)")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    if not output_dir.is_dir():
        return []
    found = [
        (int(match[1]), path)
        for path in output_dir.iterdir()
        if (match := _NAME.fullmatch(path.name)) and path.is_dir()
    ]
    return [path for _, path in sorted(found)]


def find_checkpoint(output_dir: Path, resume: str, facts: dict[str, int | str]) -> Path | None:
    """The checkpoint that a run goes on from; None to start afresh.

    Args:
        output_dir: of the run.
        resume: ``auto`` (the newest in ``output_dir``, if there is one), ``never``, or the path of a checkpoint.
        facts: what this run is; a checkpoint of a run with other facts does not fit.

    Raises:
        InputError: the named checkpoint does not exist; ``never`` would mix two runs; or the checkpoint does not fit.
    """
    existing = list_checkpoints(output_dir)
    if resume == "never":
        if existing:
            raise InputError(
                f"{output_dir}: holds {existing[-1].name} of an earlier run; give another --output_dir or --resume auto"
            )
        return None
    if resume == "auto":
        checkpoint = existing[-1] if existing else None
    else:
        checkpoint = Path(resume)
        if not (checkpoint / RUN_FILE).is_file():
            raise InputError(
                f"{checkpoint}: is not a checkpoint of this program (no {RUN_FILE}); give a checkpoint-N folder"
            )
    if checkpoint is not None:
        _check_fits(checkpoint, facts)
    return checkpoint


def _check_fits(checkpoint: Path, facts: dict[str, int | str]) -> None:
    try:
        saved = json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint / RUN_FILE}: cannot be read ({error}); remove this checkpoint to use the one before"
        ) from error
    for name, now in facts.items():
        if saved.get(name) != now:
            raise InputError(
                f"{checkpoint}: was written with {name} {saved.get(name)}, this run has {now}; run with the same, or "
                "start afresh in another --output_dir"
            )


def checkpoint_step(checkpoint: Path) -> int:
    """After how many optimizer steps a checkpoint was written."""
    return int(json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))["step"])


def prune_checkpoints(output_dir: Path, keep: int | None) -> None:
    """Removes all but the newest ``keep`` checkpoints; None keeps all."""
    if keep:
        for path in list_checkpoints(output_dir)[:-keep]:
            shutil.rmtree(path)
