"""The two ends of a run: what an earlier run left, and how the finished corpus gets its name.

The order of what is done here matters: a run may be killed between any two lines, and the next must neither trust what
is half there nor throw away what is complete.
"""

import contextlib
import dataclasses
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_directory, create_parent, replace_directory
from chinesebert.corpus.format import MANIFEST_FILE, Manifest
from chinesebert.errors import InputError
from data_prep.pipeline.outcome import Outcome
from data_prep.pipeline.recipe import Recipe
from data_prep.pipeline.settings import load_settings, refuse_changes
from data_prep.pipeline.workspace import UnfinishedFolder, Workspace

# In the corpus: how it was made, and what became of the documents.
PREPARATION_FILE = "preparation.json"
_REJECTED_FILE = re.compile(r"\w+-\d+\.jsonl\.gz")


def is_complete(output: Path, recipe: Recipe, strict: bool) -> bool:
    """Whether the corpus is there already, made in the same way.

    Raises:
        InputError: something else is there, or it was made in another way.
    """
    if not _is_there(output):
        return False
    remedy = "give another --output, or --overwrite to replace it"
    before = load_settings(output / PREPARATION_FILE)
    if before is None:
        raise InputError(f"{output}: exists already; {remedy}")
    refuse_changes(before, recipe.published_settings, output, remedy)
    if strict and Manifest.load(output).skipped:
        raise InputError(f"{output}: was made without --strict, and bad records were skipped; {remedy}")
    return True


def check_replaceable(output: Path) -> None:
    """Raises ``InputError`` where ``--overwrite`` would delete anything but a prepared corpus."""
    if _is_there(output) and not (output / MANIFEST_FILE).is_file():
        raise InputError(f"{output}: is no prepared corpus; --overwrite replaces nothing else, give another --output")


def _is_there(output: Path) -> bool:
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give the name of a folder")
    return output.is_dir() and any(output.iterdir())


def is_published(workspace: Workspace | None) -> bool:
    """Whether a run was killed when it had given the corpus its name, but not yet removed the workspace."""
    if workspace is None:
        return False
    assembled = (workspace.logs("assemble") / "completions").is_dir()
    return assembled and not (workspace.corpus / MANIFEST_FILE).exists()


def find_unfinished(folder: UnfinishedFolder, recipe: Recipe, restart: bool) -> Workspace | None:
    """The workspace of an earlier run that was after the same corpus; None where there is nothing to go on with.

    Raises:
        InputError: it was after another one.
    """
    workspace = folder.workspace()
    if workspace is None or restart or is_published(workspace):
        return None
    before = load_settings(workspace.settings)
    begun = any((workspace.directory / "logs").glob("*/completions/*"))
    if not begun or before is None:
        return None
    remedy = "run the command as before to go on, or with --restart to throw that work away"
    refuse_changes(before, recipe.settings, folder.directory, remedy)
    return workspace


def begin(folder: UnfinishedFolder, recipe: Recipe) -> Workspace:
    """A new workspace, in place of any other.

    Raises:
        InputError: it cannot be written.
    """
    workspace = folder.begin()
    try:
        _fill(workspace, recipe)
    except OSError as error:
        raise InputError(workspace.describe(error)) from error
    return workspace


def _fill(workspace: Workspace, recipe: Recipe) -> None:
    try:
        recipe.tokenizer.save_pretrained(workspace.tokenizer)
    except Exception as error:  # tokenizers raises bare Exception, for a full disk say
        raise InputError(f"{workspace.tokenizer}: cannot be written ({error})") from error
    if recipe.words:
        workspace.save_json(workspace.words, dataclasses.asdict(recipe.words))
    workspace.rejected.mkdir()
    workspace.save_json(workspace.settings, recipe.settings)  # last: without it, nothing here counts


def check_rejected(workspace: Workspace, rejected: str | None, overwrite: bool) -> None:
    """Raises ``InputError`` where dropped documents cannot go to the folder that the user named."""
    if not rejected or not workspace.rejected.exists():  # has been moved there, by a run that was killed just then
        return
    folder = Path(rejected)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--rejected {folder}: is a file; give the name of a folder")
    entries = list(folder.iterdir()) if folder.exists() else []
    if entries and not (overwrite and all(_REJECTED_FILE.fullmatch(entry.name) for entry in entries)):
        remedy = "give another folder" if overwrite else "give another folder, or --overwrite to replace one of ours"
        raise InputError(f"--rejected {folder}: exists already; {remedy}")
    create_parent(folder.resolve())


def publish(workspace: Workspace, output: Path, rejected: str | None, recipe: Recipe, outcome: Outcome) -> None:
    """Gives everything its final name, the corpus last: where it stands, all is done."""
    publish_rejected(workspace, rejected)
    preparation: dict[str, Any] = {"settings": recipe.published_settings, "outcome": outcome.to_dict()}
    workspace.save_json(workspace.corpus / PREPARATION_FILE, preparation)
    _move(workspace.corpus, output.resolve())
    workspace.unfinished.clear()


def publish_rejected(workspace: Workspace, rejected: str | None) -> None:
    """Moves the dropped documents to where the user wants them, unless that has been done."""
    if rejected and workspace.rejected.exists():
        for leftover in workspace.rejected.glob(".*"):  # of tasks that were killed
            leftover.unlink()
        _move(workspace.rejected, Path(rejected).resolve())


def _move(folder: Path, final: Path) -> None:
    try:
        replace_directory(folder, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_directory(final, overwrite=True) as copy:  # on another file system
            shutil.copytree(folder, copy, dirs_exist_ok=True)
        with contextlib.suppress(OSError):
            os.rename(folder, folder.with_name(folder.name + ".published"))
