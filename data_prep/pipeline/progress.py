"""How far a stage is: every task writes down what it has done, and whoever started them adds it up on a bar."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from data_prep.pipeline.workspace import Workspace

# A file is written so often; the bar is drawn at the same pace.
_SECONDS = 0.5


class TaskProgress:
    """What one task has done so far, in a file that others may read."""

    def __init__(self, workspace: Workspace, stage: str, task: int) -> None:
        self._file = workspace.task_file("progress", stage, task)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.documents = self.characters = 0
        self._written = time.monotonic()

    def add(self, documents: int, characters: int) -> None:
        """Counts documents that are done."""
        self.documents += documents
        self.characters += characters
        if time.monotonic() - self._written >= _SECONDS:
            self.save()

    def save(self) -> None:
        """Writes the file. A reader may find half of it; that is how far we are half a second later."""
        self._written = time.monotonic()
        self._file.write_text(json.dumps([self.documents, self.characters]), encoding="utf-8")


@contextlib.contextmanager
def progress_bar(workspace: Workspace, stage: str, label: str, total_characters: int | None) -> Iterator[None]:
    """Shows documents, characters a second and the time left while the block runs, where stderr is a terminal."""
    from tqdm import tqdm

    done = threading.Event()
    with tqdm(
        desc=label, total=total_characters, unit=" characters", unit_scale=True, disable=None, dynamic_ncols=True
    ) as bar:
        if bar.disable:
            yield
            return
        progress = _StageProgress(workspace, stage)
        bar.initial = bar.n = progress.read()[1]  # what an earlier try has done is no measure of today's speed
        thread = threading.Thread(target=_draw, args=(bar, progress, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _draw(bar: Any, progress: "_StageProgress", done: threading.Event) -> None:
    pause, last = _SECONDS, False
    while not last:
        last = done.wait(pause)
        started = time.monotonic()
        documents, characters = progress.read()
        pause = max(_SECONDS, 20 * (time.monotonic() - started))  # looking at 100,000 files must not keep a core busy
        bar.set_postfix_str(f"{documents:,} documents", refresh=False)
        bar.update(characters - bar.n)


class _StageProgress:
    def __init__(self, workspace: Workspace, stage: str) -> None:
        self._folder = workspace.task_file("progress", stage, 0).parent
        self._seen: dict[str, tuple[int, tuple[int, int]]] = {}  # file -> time of change, content

    def read(self) -> tuple[int, int]:
        """Documents and characters of all tasks together. Only files that have changed are opened."""
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                changed = file.stat().st_mtime_ns
                if self._seen.get(file.name, (0, (0, 0)))[0] != changed:
                    documents, characters = json.loads(file.read_text(encoding="utf-8"))
                    self._seen[file.name] = changed, (documents, characters)
        counts = [content for _, content in self._seen.values()]
        return sum(documents for documents, _ in counts), sum(characters for _, characters in counts)
