"""Finds out whether a corpus still is what it was when it was opened."""

from collections.abc import Sequence
from pathlib import Path

from chinesebert.checksums import file_sha256
from chinesebert.corpus.format import MANIFEST_FILE
from chinesebert.corpus.reader import PreparedCorpus


class CorpusFiles:
    """The files of some corpora, and whether they still hold what they held when they were opened.

    A file that was touched, or copied again, has another stamp but the same bytes. So where the stamp has changed, the
    file is read, once, and its SHA-256 compared: that of a shard with the one in the manifest.

    Args:
        corpora: opened just now.
    """

    def __init__(self, corpora: Sequence[PreparedCorpus]) -> None:
        self._stamps = {path: _stamp(path) for corpus in corpora for path in corpus.files()}
        self._sha256: dict[Path, str | None] = {}
        for corpus in corpora:
            self._sha256[corpus.directory / MANIFEST_FILE] = _sha256(corpus.directory / MANIFEST_FILE)
            self._sha256 |= {corpus.directory / shard.file: shard.sha256 for shard in corpus.manifest.shards}

    def first_changed(self) -> str | None:
        """A file that was changed, cut short or deleted since; None where all hold what they held."""
        return next((str(path) for path in self._stamps if not self._holds(path)), None)

    def _holds(self, path: Path) -> bool:
        stamp, before = _stamp(path), self._stamps[path]
        if stamp == before:
            return True
        if stamp is None or before is None or stamp[0] != before[0] or _sha256(path) != self._sha256[path]:
            return False
        self._stamps[path] = stamp  # as it was before it was read: what came since counts at the next look
        return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Size, time of the last change and inode; None for a file that is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
