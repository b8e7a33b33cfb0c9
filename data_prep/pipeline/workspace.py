"""The folder in which a corpus is made: ``DIR.unfinished``, beside the ``DIR`` that it becomes.

::

    settings.json            what the output depends on; a rerun must agree
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
"""

import contextlib
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


@dataclass(frozen=True)
class Workspace:
    """Names of everything in the folder ``directory``; on a cluster all machines must see it."""

    directory: Path

    @classmethod
    def beside(cls, output: str | os.PathLike[str]) -> "Workspace":
        """The workspace in which the corpus ``output`` is made."""
        final = Path(output).resolve()
        return cls(final.with_name(final.name + SUFFIX))

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

    def empty(self) -> None:
        """Deletes what is in the folder. What says that tasks are complete goes first, and at once."""
        logs = self.directory / "logs"
        if logs.exists():
            os.rename(logs, self.directory / f"logs.{uuid.uuid4().hex}")
        for entry in self.directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()

    def remove(self) -> None:
        """Deletes the folder. It loses its name at once: deleting a hundred thousand files takes a while."""
        gone = self.directory.with_name(f".{self.directory.name}.removed-{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.directory, gone)
            shutil.rmtree(gone, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run out of the folder, as long as this process lives.

        Raises:
            InputError: another run is at work in it, or it cannot be made or locked.
        """
        created = not self.directory.exists()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            # Held until the run ends.
            file = open(self.directory / _LOCK, "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{self.directory}: cannot write here ({error.strerror})") from error
        with file:
            self._wait_for_lock(file)
            try:
                yield
            finally:
                if created and not any(entry.name != _LOCK for entry in self._entries()):
                    self.remove()  # nothing was begun

    def _entries(self) -> list[Path]:
        return list(self.directory.iterdir()) if self.directory.exists() else []

    def _wait_for_lock(self, file: IO[str]) -> None:
        for attempt in range(_LOCK_ATTEMPTS):  # the workers of a run that was killed live half a second longer
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if attempt == _LOCK_ATTEMPTS - 1:
                    raise InputError(
                        f"{self.directory}: another run is preparing this corpus; wait for it, or give another --output"
                    ) from error
                time.sleep(0.5)
            except OSError as error:
                raise InputError(
                    f"{self.directory}: the file system cannot lock files ({error.strerror}); write to another one"
                ) from error


def chunks_of(directory: Path) -> list[Path]:
    """The chunks of a stage that is complete, in the order of the input; task *n* of later stages works on the n-th."""
    return _listed(directory, directory.stat().st_mtime_ns) if directory.exists() else []


@functools.lru_cache(maxsize=4)
def _listed(directory: Path, changed: int) -> list[Path]:
    """Every task asks for this; in a folder of 100,000 chunks it takes a second."""
    return sorted(directory.glob("*.arrow"))
