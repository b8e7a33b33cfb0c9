"""Outputs that appear under their final name only when they are complete.

Everything is written beside its destination under a hidden name and renamed at the end, so a crash, a full disk or
Ctrl-C leaves the destination as it was: absent, or the old version.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError


def _unfinished_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def create_parent(path: Path) -> None:
    """Creates the folder above ``path``; raises ``InputError`` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = _unfinished_path(path)  # what may be written is known for certain only by writing
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{path}: cannot write to the folder {path.parent} ({error.strerror}); choose an output you can write to"
        ) from error


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a path to write to; it becomes ``path`` when the block ends without an exception.

    Raises:
        InputError: the folder of ``path`` cannot be created or written, or ``path`` is a folder.
    """
    final = Path(path).resolve()  # through links: what they point to is replaced, not they
    if final.is_dir():
        raise InputError(f"{final}: is a folder; give the name of a file")
    create_parent(final)
    unfinished = _unfinished_path(final)
    try:
        yield unfinished
        os.replace(unfinished, final)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder to fill; it becomes ``path`` when the block ends without an exception.

    Args:
        path: where the folder is to appear.
        overwrite: replace a non-empty folder that is already there (it stays until the new one is complete).

    Raises:
        InputError: ``path`` is a file, or a non-empty folder and ``overwrite`` is false, or cannot be written.
    """
    final = Path(path).resolve()
    if final.is_file():
        raise InputError(f"{final}: is a file; give the name of a folder")
    if final.is_dir() and any(final.iterdir()) and not overwrite:
        raise InputError(f"{final}: exists already; give another output, or --overwrite to replace it")
    create_parent(final)
    unfinished = _unfinished_path(final)
    unfinished.mkdir()
    try:
        yield unfinished
        replace_directory(unfinished, final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def replace_directory(new: Path, final: Path) -> None:
    """Renames ``new`` to ``final``; an old ``final`` is moved away first: folders cannot be replaced in one step."""
    old = None
    if final.exists():
        old = _unfinished_path(final)
        os.rename(final, old)
    try:
        os.rename(new, final)
    except BaseException:
        if old is not None:
            os.rename(old, final)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
