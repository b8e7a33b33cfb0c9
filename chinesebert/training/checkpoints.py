"""Checkpoints on disk: written whole or not at all, by any number of ranks, for any number of ranks.

::

    checkpoint-N/
        hf/                        what from_pretrained opens: config, float32 weights, tokenizer
        optimizer-KEY.safetensors  the optimizer's state, by parameter: exp_avg, exp_avg_sq
        run.json                   the position of the run, what it was, and size and CRC-32 of every other file

Everything is written aside, made to reach the disk, and renamed, so a run that is killed at any moment leaves the
checkpoints that it had. ``run.json`` finds out what a copy or a failing disk has spoiled later. Random states need no
file: each step seeds its own (``loop.py``).
"""

import dataclasses
import functools
import itertools
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_model, save_file
from torch import nn

from chinesebert.atomic import replace_directory
from chinesebert.errors import InputError
from chinesebert.training.partitions import Partitions

HF_DIRECTORY = "hf"
RUN_FILE = "run.json"
RECIPE_FILE = "recipe.yaml"
UNFINISHED = ".unfinished"
SET_ASIDE = "set-aside"
_NAME = re.compile(r"checkpoint-(\d+)")
_CHUNK = 1 << 20
# Facts that are digests, which tell nobody anything.
_UNREADABLE = {
    "tokenizer": "another tokenizer (vocabulary, readings or normalisation)",
    "text": "other corpora than those in train_data now",
}
Facts = dict[str, int | float | str | None]


class SaveError(Exception):
    """A checkpoint could not be written; the older ones are as they were. All ranks raise it."""


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        consumed_samples: samples that they read.
        updates: steps that changed the weights; fewer than ``step`` where gradients were not finite.
        skipped_in_a_row: the steps just before that did not.
        tokens_seen: tokens of text read.
    """

    step: int = 0
    consumed_samples: int = 0
    updates: int = 0
    skipped_in_a_row: int = 0
    tokens_seen: int = 0

    @property
    def skipped_steps(self) -> int:
        """Steps that did not change the weights."""
        return self.step - self.updates


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    if not output_dir.is_dir():
        return []
    found = [path for path in output_dir.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_step_of)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def find_checkpoint(output_dir: Path, resume: str, facts: Facts, warn: Callable[[str], None] = print) -> Path | None:
    """The checkpoint that a run goes on from; None to start afresh.

    Args:
        output_dir: of the run.
        resume: ``auto`` (the newest in ``output_dir`` that is whole, if there is one), ``never``, or the path of a
            checkpoint.
        facts: what this run is; a checkpoint of a run with other facts does not fit.
        warn: is told of checkpoints that are passed over.

    Raises:
        InputError: the named checkpoint does not exist or is damaged; all checkpoints are; ``never`` would mix two
            runs; or the checkpoint does not fit.
    """
    existing = list_checkpoints(output_dir)
    if resume == "never":
        if existing:
            raise InputError(
                f"{output_dir}: holds {existing[-1].name} of an earlier run; give another --output_dir or --resume auto"
            )
        return None
    if resume == "auto":
        checkpoint = _newest_whole(existing, warn)
    else:
        checkpoint = Path(resume)
        if not (checkpoint / RUN_FILE).is_file():
            raise InputError(
                f"{checkpoint}: is not a checkpoint of this program (no {RUN_FILE}); give a checkpoint-N folder"
            )
        if problem := damage(checkpoint):
            raise InputError(f"{checkpoint}: {problem}; copy it again, or go on from another checkpoint")
    if checkpoint is not None:
        _check_fits(checkpoint, facts)
    return checkpoint


def _newest_whole(checkpoints: list[Path], warn: Callable[[str], None]) -> Path | None:
    problems = []
    for checkpoint in reversed(checkpoints):
        problem = damage(checkpoint)
        if problem is None:
            return checkpoint
        problems.append(f"{checkpoint}: {problem}")
        warn(f"warning: {problems[-1]}; passing over it")
    if problems:
        raise InputError("; ".join(problems) + "; no checkpoint is whole: restore one, or remove them to start afresh")
    return None


def damage(checkpoint: Path) -> str | None:
    """What is wrong with the files of a checkpoint: missing, cut short, changed; None where they are whole."""
    try:
        run = _read_run(checkpoint)
        for name, (size, checksum) in run["files"].items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if _crc32(path) != checksum:
                return f"{name} is not what was written (its checksum differs)"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{RUN_FILE} cannot be read ({error})"
    return None


def _crc32(path: Path) -> str:
    checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return f"{checksum:08x}"


def _read_run(checkpoint: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))
    return run


def _check_fits(checkpoint: Path, facts: Facts) -> None:
    saved = _read_run(checkpoint)["facts"]
    for name, now in facts.items():
        # A checkpoint of an earlier version does not tell of all.
        if name not in saved or saved[name] == now:
            continue
        difference = _UNREADABLE.get(name) or f"{name} {saved[name]}, this run has {now}"
        raise InputError(
            f"{checkpoint}: was written with {difference}; run with the same, or start afresh in another --output_dir"
        )


def read_progress(checkpoint: Path) -> Progress:
    """Where the run stood that wrote a checkpoint."""
    return Progress(**_read_run(checkpoint)["progress"])


def read_settings(checkpoint: Path) -> dict[str, Any]:
    """The settings that a checkpoint was written with; none of one that an earlier version has written."""
    settings: dict[str, Any] = _read_run(checkpoint).get("settings") or {}
    return settings


def load_weights(checkpoint: Path, model: nn.Module) -> None:
    """Puts the weights of a checkpoint into a model of its sizes, before it is spread over ranks."""
    load_model(model, checkpoint / HF_DIRECTORY / "model.safetensors")


def load_optimizer(checkpoint: Path, partitions: Partitions, updates: int) -> None:
    """Gives each rank its part of the optimizer's state."""
    partitions.set_updates(updates)
    for path in sorted(checkpoint.glob("optimizer-*.safetensors")):
        key = path.stem.removeprefix("optimizer-")
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (no mapping)
                partitions.restore(name, key, file.get_tensor(name))


def save_checkpoint(
    output_dir: Path,
    partitions: Partitions,
    progress: Progress,
    about: dict[str, Any],
    save_hf: Callable[[Path, dict[str, torch.Tensor]], None],
) -> Path:
    """Writes ``checkpoint-STEP``; all ranks must call it, the first one writes.

    Args:
        output_dir: of the run.
        partitions: weights and optimizer state.
        progress: where the run stands.
        about: what ``run.json`` is to say besides: the ``facts`` of the run (``find_checkpoint``), its ``settings``
            (``read_settings``), and the ``versions`` of the libraries, for whoever reads the file.
        save_hf: writes model and tokenizer to a folder; is given the trained weights by name.

    Returns:
        The checkpoint.

    Raises:
        SaveError: it could not be written, on all ranks.
    """
    unfinished, final = output_dir / UNFINISHED, output_dir / f"checkpoint-{progress.step}"
    on_first_rank(lambda: _begin(unfinished))
    for key in (None, *_agreed(partitions.keys())):
        tensors = {name: tensor.contiguous() for name, tensor in partitions.gather(key)}
        if key is None:
            write: Callable[[], None] = functools.partial(save_hf, unfinished / HF_DIRECTORY, tensors)
        else:
            write = functools.partial(save_file, tensors, unfinished / f"optimizer-{key}.safetensors")
        on_first_rank(write)
    run = {"progress": dataclasses.asdict(progress), **about}
    on_first_rank(lambda: _finish(unfinished, final, run))
    return final


def on_first_rank(write: Callable[[], None]) -> None:
    """Writes something on the first rank while the others wait.

    Raises:
        SaveError: it failed, on all ranks.
    """
    problem: list[str | None] = [None]
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            write()
        except Exception as error:  # safetensors has its own for a full disk
            problem = [" ".join(str(error).split()) or type(error).__name__]
    if dist.is_initialized():
        dist.broadcast_object_list(problem)
    if problem[0] is not None:
        raise SaveError(problem[0])


def _begin(unfinished: Path) -> None:
    shutil.rmtree(unfinished, ignore_errors=True)  # what a kill in the middle of a save has left
    unfinished.mkdir(parents=True)


def _finish(unfinished: Path, final: Path, run: dict[str, Any]) -> None:
    """Makes sure that everything is on the disk, then gives it its name."""
    files = sorted(path for path in unfinished.rglob("*") if path.is_file())
    run["files"] = {path.relative_to(unfinished).as_posix(): [path.stat().st_size, _crc32(path)] for path in files}
    (unfinished / RUN_FILE).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    for path in [*unfinished.rglob("*"), unfinished]:
        _sync(path)
    replace_directory(unfinished, final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _agreed(keys: list[str]) -> list[str]:
    """The first rank's: all must gather the same."""
    box = [keys]
    if dist.is_initialized():
        dist.broadcast_object_list(box)
    return box[0]


def remove_unfinished(output_dir: Path) -> None:
    """Frees the space of what is no checkpoint: one that could not be written, or was being removed."""
    for path in [output_dir / UNFINISHED, *output_dir.glob(".checkpoint-*")]:
        shutil.rmtree(path, ignore_errors=True)


def later_checkpoints(output_dir: Path, checkpoint: Path | None) -> list[Path]:
    """The checkpoints in a folder that a run which goes on from ``checkpoint`` does not come from.

    Those are the ones after it: a user went back, or they are damaged. Of a checkpoint that lies elsewhere, it is all.
    """
    if checkpoint is None:
        return []
    existing = list_checkpoints(output_dir)
    places = [path.resolve() for path in existing]
    here = checkpoint.resolve()
    return existing[places.index(here) + 1 :] if here in places else existing


def set_aside(output_dir: Path, checkpoint: Path | None, log: Path) -> Path | None:
    """Moves what ``later_checkpoints`` names to a folder of its own, with a copy of the log, where neither pruning nor
    ``auto`` takes them for this run's own.

    Args:
        output_dir: of the run.
        checkpoint: that it goes on from.
        log: of the run, whose later lines are about to go.

    Returns:
        The folder, ``set-aside-1`` or the next number that is free; None where there is nothing to move.

    Raises:
        OSError: it cannot be written.
    """
    later = later_checkpoints(output_dir, checkpoint)
    if not later:
        return None
    names = (output_dir / f"{SET_ASIDE}-{number}" for number in itertools.count(1))
    folder = next(path for path in names if not path.exists())
    folder.mkdir()
    if log.is_file():
        shutil.copy2(log, folder / log.name)
    for path in reversed(later):  # after a kill in between, those that are left still follow one another
        os.rename(path, folder / path.name)
    return folder


def prune_checkpoints(output_dir: Path, keep: int | None, newest: Path, warn: Callable[[str], None] = print) -> None:
    """Removes old checkpoints until ``keep`` are left, the newest of them ``newest``; None keeps all.

    What cannot be removed stays, with a warning: the checkpoint that was just saved is worth more than the space.

    Args:
        output_dir: of the run.
        keep: how many to keep.
        newest: the one that was just saved; whatever has a higher number is not looked at.
        warn: is told of what cannot be removed.
    """
    if not keep:
        return
    older = [path for path in list_checkpoints(output_dir) if _step_of(path) <= _step_of(newest)]
    for path in older[:-keep]:
        gone = path.with_name(f".{path.name}.removed")  # at once: half a checkpoint is not to be seen
        try:
            os.rename(path, gone)
        except OSError as error:
            warn(f"\nwarning: {path}: could not be removed ({error.strerror}); training goes on")
        else:
            shutil.rmtree(gone, ignore_errors=True)
