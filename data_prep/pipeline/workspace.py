"""The folder in which a corpus is made: ``DIR.unfinished``, beside the ``DIR`` that it becomes.

::

    lock                         held by the run that is at work
    run-1a2b3c4d/                the workspace of the run
        settings.json            what the output depends on; a rerun must agree. Without it, nothing beside it counts
        inputs/                  the input files, in groups: a group is a task of the first stage
        tokenizer/               the tokenizer of the run, reading overrides included
        read/ clean/             chunks of documents, as they were read and after cleaning
        duplicates/              signatures and matches of documents
        evaluation/              the index of evaluation texts, and where they occur
        pieces/                  annotated documents
        corpus/                  the corpus while it is put together
        rejected/                dropped documents
        counts/ progress/ failures/ logs/    a file a task each

Chunks, pieces, counts and rejected documents appear under their names only when they are complete, and a task that runs
again writes the same files again.

A run that begins afresh has a workspace of a new name. When a run is killed, its jobs on a cluster may go on, and write
for hours: what they write is in a workspace that nobody reads any more.
"""

import contextlib
import errno
import fcntl
import functools
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError

SUFFIX = ".unfinished"
_LOCK = "lock"
_LOCK_ATTEMPTS = 5
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Workspace:
    """Names of everything in the folder ``directory`` of one run; on a cluster all machines must see it."""

    directory: Path

    @property
    def name(self) -> str:
        """What no other run is called."""
        return self.directory.name

    @property
    def unfinished(self) -> "UnfinishedFolder":
        """The folder that this one is in."""
        return UnfinishedFolder(self.directory.parent)

    @property
    def settings(self) -> Path:
        """What the output depends on."""
        return self.directory / "settings.json"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer that annotates."""
        return self.directory / "tokenizer"

    @property
    def words(self) -> Path:
        """The user's words, as JSON; there is no such file where they gave none."""
        return self.directory / "words.json"

    @property
    def duplicates(self) -> Path:
        """Signatures, matches and clusters of duplicates."""
        return self.directory / "duplicates"

    @property
    def evaluation_index(self) -> Path:
        """The index of evaluation texts."""
        return self.directory / "evaluation" / "index"

    @property
    def evaluation_matches(self) -> Path:
        """Which documents hold evaluation texts."""
        return self.directory / "evaluation"

    @property
    def corpus(self) -> Path:
        """The corpus, complete when the last stage is."""
        return self.directory / "corpus"

    @property
    def rejected(self) -> Path:
        """The dropped documents, ``STAGE-CHUNK.jsonl.gz``."""
        return self.directory / "rejected"

    def chunk(self, stage: str, number: int, part: int | None = None) -> Path:
        """Chunk ``number`` of a stage; while reading, chunk ``part`` of the group ``number``."""
        name = f"{number:08d}.arrow" if part is None else f"{number:08d}-{part:08d}.arrow"
        return self.directory / stage / name

    def logs(self, stage: str) -> Path:
        """datatrove's folder of a stage: logs, statistics, and which tasks are complete."""
        return self.directory / "logs" / stage

    def task_file(self, kind: str, stage: str, task: int) -> Path:
        """A task's file among the ``counts``, ``progress`` or ``failures``."""
        return self.directory / kind / stage / f"{task:08d}.json"

    def save_json(self, path: Path, content: Any) -> None:
        """Writes a JSON file, complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as unfinished:
            unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def load_task_files(self, kind: str, stage: str) -> list[Any]:
        """The content of all files of one kind of a stage, in the order of the tasks."""
        files = sorted((self.directory / kind / stage).glob("*.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def describe(self, error: OSError) -> str:
        """What went wrong, and where; writing to a file that is open, a full disk does not say which it is."""
        where = error.filename or (self.directory.parent if error.errno in _DISK_FULL else None)
        return f"{where}: {error.strerror or error}" if where else str(error.strerror or error)


@dataclass(frozen=True)
class UnfinishedFolder:
    """``DIR.unfinished``: what a run locks, and the workspace in it."""

    directory: Path

    @classmethod
    def beside(cls, output: str | os.PathLike[str]) -> "UnfinishedFolder":
        """The folder in which the corpus ``output`` is made."""
        final = Path(output).resolve()
        return cls(final.with_name(final.name + SUFFIX))

    def workspaces(self) -> list[Workspace]:
        """That of an earlier run, and what is left of others."""
        return [Workspace(path) for path in sorted(self.directory.glob("run-*"))]

    def workspace(self) -> Workspace | None:
        """The one that an earlier run has begun; None where there is nothing to go on with."""
        return next((workspace for workspace in self.workspaces() if workspace.settings.exists()), None)

    def begin(self) -> Workspace:
        """A new workspace in place of any other. It counts as soon as its settings are written."""
        self.clear()
        workspace = Workspace(self.directory / f"run-{uuid.uuid4().hex[:8]}")
        workspace.directory.mkdir()
        return workspace

    def clear(self) -> None:
        """Deletes all workspaces. Their settings go first, and at once: without them the rest does not count."""
        for workspace in self.workspaces():
            workspace.settings.unlink(missing_ok=True)
        for workspace in self.workspaces():
            shutil.rmtree(workspace.directory, ignore_errors=True)  # a task that goes on may be writing there

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run out of the folder, as long as this process lives. An empty folder is deleted at the end.

        Raises:
            InputError: another run is at work in it, or it cannot be made or locked.
        """
        with self._wait_for_lock():
            try:
                yield
            finally:
                if not self.workspaces():
                    with contextlib.suppress(OSError):  # something else lies there
                        (self.directory / _LOCK).unlink()
                        self.directory.rmdir()

    def _wait_for_lock(self) -> IO[str]:
        for _ in range(_LOCK_ATTEMPTS):  # the workers of a run that was killed may live half a second longer
            file = self._try_to_lock()
            if file:
                return file
            time.sleep(0.5)
        raise InputError(
            f"{self.directory}: another run is preparing this corpus; wait for it, or give another --output"
        )

    def _try_to_lock(self) -> IO[str] | None:
        path = self.directory / _LOCK
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            file = open(path, "w", encoding="utf-8")  # noqa: SIM115, held until the run ends
        except OSError as error:
            raise InputError(f"{self.directory}: cannot write here ({error.strerror})") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that ends deletes the folder: then this is the lock of a folder that is no more.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            file.close()
            raise InputError(
                f"{self.directory}: the file system cannot lock files ({error.strerror}); write to another one"
            ) from error
        file.close()
        return None


def chunks_of(directory: Path) -> list[Path]:
    """The chunks of a stage that is complete, in the order of the input; task *n* of later stages works on the n-th."""
    return _listed(directory, directory.stat().st_mtime_ns) if directory.exists() else []


@functools.lru_cache(maxsize=4)
def _listed(directory: Path, changed: int) -> list[Path]:
    """Every task asks for this; in a folder of 100,000 chunks it takes a second."""
    return sorted(directory.glob("*.arrow"))
