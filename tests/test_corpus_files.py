"""Whether the files of a corpus still hold what they held when it was opened."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chinesebert.corpus import changes
from chinesebert.corpus.changes import CorpusFiles
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.small_corpora import DOCUMENTS, flip_bit, prepare


@pytest.fixture
def corpus(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A corpus of two shards, to be changed."""
    return prepare(tmp_path / "corpus", DOCUMENTS, small_tokenizer)


def touch(path: Path) -> None:
    """Another time of the last change."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def copy_again(path: Path) -> None:
    """The same bytes in another file of the same name."""
    shutil.copyfile(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def write_again(path: Path) -> None:
    """The same bytes in the same file."""
    path.write_bytes(path.read_bytes())
    touch(path)


def change_a_bit(path: Path) -> None:
    """Other bytes, as many."""
    flip_bit(path, path.stat().st_size // 2, 0)
    touch(path)


def cut_off(path: Path) -> None:
    """The first half of it."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("file", ["manifest.json", "shard-00001.arrow"])
@pytest.mark.parametrize("act", [touch, copy_again, write_again])
def test_a_file_with_the_same_bytes_has_not_changed(corpus: Path, file: str, act: Callable[[Path], None]) -> None:
    files = CorpusFiles([PreparedCorpus(corpus)])
    act(corpus / file)
    assert files.first_changed() is None
    change_a_bit(corpus / file)
    assert files.first_changed() == str(corpus / file)


@pytest.mark.parametrize("file", ["manifest.json", "shard-00001.arrow"])
@pytest.mark.parametrize("act", [change_a_bit, cut_off, Path.unlink])
def test_a_file_that_has_changed_is_named_at_every_look(corpus: Path, file: str, act: Callable[[Path], None]) -> None:
    files = CorpusFiles([PreparedCorpus(corpus)])
    assert files.first_changed() is None
    act(corpus / file)
    assert [files.first_changed() for _ in range(2)] == [str(corpus / file)] * 2


def test_a_touched_file_is_read_once(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of a terabyte that was touched is not to be read at every look."""
    files, read = CorpusFiles([PreparedCorpus(corpus)]), []
    sha256 = changes.file_sha256
    monkeypatch.setattr(changes, "file_sha256", lambda path: read.append(path) or sha256(path))
    touch(corpus / "shard-00000.arrow")
    assert [files.first_changed() for _ in range(3)] == [None] * 3
    assert read == [corpus / "shard-00000.arrow"]
