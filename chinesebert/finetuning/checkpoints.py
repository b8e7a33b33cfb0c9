"""The checkpoints of a run, its finished model, and what is left of an earlier run in its folder."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.record import METRICS_FILE, SETTINGS_FILE, WHAT, differences, read_settings
from chinesebert.finetuning.transfer.settings import can_be_resumed

_UNFINISHED = ".model.unfinished"
_STATE = "trainer_state.json"  # what transformers writes last


def checkpoint_to_resume(args: FinetuningArguments, output_dir: Path, settings: dict[str, Any]) -> str | None:
    """Where the training goes on from, as ``resume_from_checkpoint`` says; None for its beginning.

    Raises:
        InputError: there is no such checkpoint, or the one in ``output_dir`` is of a run with other settings.
    """
    wanted = str(args.resume_from_checkpoint or "true")
    if wanted.lower() == "false" or args.overwrite_output_dir or not can_be_resumed(args):
        return None
    if wanted.lower() != "true":
        if not _is_complete(Path(wanted)):
            raise InputError(f"--resume_from_checkpoint {wanted}: there is no complete checkpoint")
        return wanted
    found = [path for path in list_checkpoints(output_dir) if _is_complete(path)]
    if not found:
        return None
    before = read_settings(output_dir)
    changed = differences(_trained(before), _trained(settings)) if before else f"settings unknown (no {SETTINGS_FILE})"
    if changed:
        raise InputError(
            f"{output_dir}: holds the checkpoint of an interrupted run with {changed}; give another --output_dir, or "
            "begin afresh here with --overwrite_output_dir"
        )
    return str(found[-1])


def _trained(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in WHAT}


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints in a folder, in the order of their steps."""
    if not output_dir.is_dir():
        return []
    found = [path for path in output_dir.iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _is_complete(path: Path) -> bool:
    try:
        json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def clear(output_dir: Path) -> None:
    """Takes away what would make a new run look finished, or be gone on from; its other files get replaced."""
    for name in (METRICS_FILE, SETTINGS_FILE):
        (output_dir / name).unlink(missing_ok=True)
    remove_checkpoints(output_dir)
    shutil.rmtree(output_dir / _UNFINISHED, ignore_errors=True)


def remove_checkpoints(output_dir: Path) -> None:
    """Removes the checkpoints of a folder: three times the size of the model each."""
    for path in list_checkpoints(output_dir):
        shutil.rmtree(path, ignore_errors=True)


def save_finished_model(trainer: Any, output_dir: Path) -> None:
    """Saves model and tokenizer; ``config.json`` appears last, so what looks like a model is a whole one."""
    trainer.save_model(str(output_dir / _UNFINISHED))
    if trainer.is_world_process_zero():
        files = sorted((output_dir / _UNFINISHED).iterdir(), key=lambda path: path.name == "config.json")
        for path in files:
            os.replace(path, output_dir / path.name)
        (output_dir / _UNFINISHED).rmdir()
