"""Checkpoints on disk: which one a run goes on from, and how old ones leave.

A checkpoint is written under a hidden name and renamed when everything is in it, so any ``checkpoint-N`` is complete.
"""

import json
import re
import shutil
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.training.arguments import PretrainingArguments

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


def find_checkpoint(args: PretrainingArguments) -> Path | None:
    """The checkpoint that ``args.resume`` means; None to start afresh.

    Raises:
        InputError: the named checkpoint does not exist; ``never`` would mix two runs; or the checkpoint does not fit
            this run (other ranks, another global batch, length or seed).
    """
    output_dir = Path(args.output_dir or "")
    existing = list_checkpoints(output_dir)
    if args.resume == "never":
        if existing:
            raise InputError(
                f"{output_dir}: holds {existing[-1].name} of an earlier run; give another --output_dir or --resume auto"
            )
        return None
    if args.resume == "auto":
        checkpoint = existing[-1] if existing else None
    else:
        checkpoint = Path(args.resume)
        if not (checkpoint / RUN_FILE).is_file():
            raise InputError(
                f"{checkpoint}: is not a checkpoint of this program (no {RUN_FILE}); give a checkpoint-N folder"
            )
    if checkpoint is not None:
        _check_fits(checkpoint, args)
    return checkpoint


def run_facts(args: PretrainingArguments) -> dict[str, int]:
    """What must be equal for a run to go on from a checkpoint: the sample order hangs on all of it."""
    return {
        "world_size": args.world_size,
        "global_batch_size": args.global_batch_size,
        "max_length": args.max_length,
        "seed": args.seed,
    }


def _check_fits(checkpoint: Path, args: PretrainingArguments) -> None:
    try:
        saved = json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint / RUN_FILE}: cannot be read ({error}); remove this checkpoint to use the one before"
        ) from error
    for name, now in run_facts(args).items():
        if saved.get(name) != now:
            raise InputError(
                f"{checkpoint}: was written with {name} {saved.get(name)}, this run has {now}; run with the same, or "
                "start afresh in another --output_dir"
            )


def prune_checkpoints(output_dir: Path, keep: int | None) -> None:
    """Removes all but the newest ``keep`` checkpoints; None keeps all."""
    if keep:
        for path in list_checkpoints(output_dir)[:-keep]:
            shutil.rmtree(path)
