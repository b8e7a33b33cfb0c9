"""Finding what to read: files, folders, globs and remote places, and what is said where there is nothing."""

import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from chinesebert.errors import InputError
from data_prep.readers import SUFFIXES, BadRecords, Source, find_inputs
from tests.reader_inputs import documents, source_of, write_file


def names(root: Path | str, *inputs: Path | str) -> list[str]:
    """What the inputs name, relative to ``root``."""
    return [source.url.removeprefix(f"{root}/") for source in find_inputs(inputs)]


# --------------------------------------------------------------------------------------------------------------- local


def test_files_keep_their_order_and_folders_are_opened_by_name(tmp_path: Path) -> None:
    inside = ["folder/b.txt", "folder/a.jsonl.gz", "folder/deep/c.txt.zst", "folder/a.jsonl", "folder/d.parquet"]
    for name in [*inside, "folder/readme.md", "z.txt"]:
        write_file(tmp_path / name, "")
    assert names(tmp_path, tmp_path / "z.txt", str(tmp_path / "folder")) == ["z.txt", *sorted(inside)]


def test_every_kind_of_file_is_known_by_the_end_of_its_name() -> None:
    kinds = {suffix.split(".")[1] for suffix in SUFFIXES}
    assert kinds == {"txt", "jsonl", "ndjson", "json", "parquet", "warc", "wet"}
    assert {".txt.gz", ".jsonl.zst", ".wet.xz", ".parquet"} <= set(SUFFIXES)
    assert ".parquet.gz" not in SUFFIXES


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt.xz", "text"),
        ("a.json", "json_lines"),
        ("a.parquet", "parquet"),
        ("CC-MAIN-2024.warc.wet.gz", "warc"),
        ("B.WARC.GZ", "warc"),
    ],
)
def test_a_source_says_what_it_is(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"12345")
    source = source_of(path)
    assert (source.url, source.kind, source.size, source.name) == (str(path), kind, 5, name)
    assert source.is_local
    assert pickle.loads(pickle.dumps(source)) == source


def test_names_that_begin_with_a_dot_are_passed_over_in_folders(tmp_path: Path) -> None:
    for name in ("a.txt", ".hidden.txt", ".cache/b.txt"):
        write_file(tmp_path / name, "")
    assert names(tmp_path, tmp_path) == ["a.txt"]
    assert names(tmp_path, tmp_path / ".hidden.txt") == [".hidden.txt"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    write_file(tmp_path / "elsewhere/a.txt", "")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "corpus")
    assert names(tmp_path, tmp_path / "corpus") == ["corpus/linked/a.txt"]


def test_a_link_that_leads_to_itself_is_named_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("a.txt")
    bad = BadRecords()
    assert documents(tmp_path, bad) == []
    assert bad.files == {"cannot be opened": 1}


def test_pipes_in_a_folder_are_not_opened(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", "")
    os.mkfifo(tmp_path / "pipe.txt")
    assert names(tmp_path, tmp_path) == ["a.txt"]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "folder/a.txt", "")
    monkeypatch.chdir(tmp_path)
    for given in ("folder", "folder/../folder/a.txt", "folder/*"):
        assert [source.url for source in find_inputs([given])] == [str(tmp_path / "folder/a.txt")]


def test_a_file_that_is_named_several_times_is_read_once_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("folder/a.txt", "folder/b.txt", "c.txt"):
        write_file(tmp_path / name, "")
    (tmp_path / "link.txt").symlink_to(tmp_path / "folder/b.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "folder")
    given = [
        tmp_path / "c.txt",
        tmp_path / "folder",
        tmp_path / "link.txt",
        tmp_path / "linked/*.txt",
        tmp_path / "c.txt",
    ]
    assert names(tmp_path, *given) == ["c.txt", "folder/a.txt", "folder/b.txt"]
    told = capsys.readouterr().err
    assert told.startswith("4 files named more than once, read once: ")
    assert all(f"{tmp_path}/{name}" in told for name in ("link.txt", "linked/a.txt", "linked/b.txt", "c.txt"))


def test_equal_files_that_are_not_the_same_are_all_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.txt", "b.txt"):
        write_file(tmp_path / name, "一样")
    assert names(tmp_path, tmp_path) == ["a.txt", "b.txt"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("given", ["", "/*"], ids=["folder", "glob"])
def test_files_of_other_kinds_beside_text_are_counted_and_the_first_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    for name in ("a.txt", ".hidden", *(f"{number}.docx" for number in range(7))):
        write_file(tmp_path / name, "")
    assert names(tmp_path, f"{tmp_path}{given}") == ["a.txt"]
    named = ", ".join(f"{tmp_path}/{number}.docx" for number in range(5))
    assert capsys.readouterr().err == f"7 files of another kind passed over: {named}, …\n"


def test_a_version_changes_with_the_content(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.txt", "一")
    before = source_of(path)
    assert source_of(path) == before
    os.utime(path, ns=(0, 0))  # the same size at another time
    assert source_of(path).version != before.version


def test_a_glob_names_files_and_folders_sorted(tmp_path: Path) -> None:
    for name in ("b/1.txt", "b/2.txt", "a.txt", "c.md"):
        write_file(tmp_path / name, "")
    assert names(tmp_path, f"{tmp_path}/*") == ["a.txt", "b/1.txt", "b/2.txt"]
    assert names(tmp_path, f"{tmp_path}/**/[13].txt") == ["b/1.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a[1].txt", "")
    assert names(tmp_path, tmp_path / "a[1].txt") == ["a[1].txt"]


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.docx", "")
    with pytest.raises(InputError, match=rf"{path}: .*\.txt, \.jsonl .*\.zst.*\.parquet"):
        find_inputs([path])


def test_a_folder_without_text_is_refused_by_name(tmp_path: Path) -> None:
    write_file(tmp_path / "readme.md", "")
    with pytest.raises(InputError, match=rf"{tmp_path}: no files to read.*\.txt"):
        find_inputs([tmp_path])


@pytest.mark.parametrize("pattern", ["*.none", "*.md"])
def test_a_glob_that_matches_nothing_to_read_is_refused(tmp_path: Path, pattern: str) -> None:
    write_file(tmp_path / "readme.md", "")
    with pytest.raises(InputError, match="match"):
        find_inputs([f"{tmp_path}/{pattern}"])


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none'}: no such file or folder$"):
        find_inputs([tmp_path / "none"])


def test_a_mistyped_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    for name in ("corpus.txt", "other.txt"):
        write_file(tmp_path / name, "")
    with pytest.raises(InputError, match=rf"did you mean {tmp_path / 'corpus.txt'}\?"):
        find_inputs([tmp_path / "copus.txt"])


def test_a_path_whose_folder_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"there is no folder {tmp_path / 'none'} either"):
        find_inputs([tmp_path / "none" / "a.txt"])


def test_a_file_taken_for_a_folder_is_named(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.txt", "")
    with pytest.raises(InputError, match=f"{path}/b.txt: no such file"):
        find_inputs([f"{path}/b.txt"])


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Path]:
    """A folder that the one who runs the test may not look into."""
    folder = tmp_path / "private"
    write_file(folder / "a.txt", "一")
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:  # whom no permission stops
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_a_folder_without_permission_is_named(as_nobody: Path) -> None:
    with pytest.raises(InputError, match=f"{as_nobody}: cannot .* this folder|{as_nobody}: cannot be opened"):
        find_inputs([as_nobody])


# -------------------------------------------------------------------------------------------------------------- remote


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """fsspec's file system in memory, with a few files."""
    file_system = MemoryFileSystem()
    file_system.store.clear()
    for name in ("corpus/b.txt", "corpus/deep/a.jsonl", "corpus/readme.md", "corpus/.hidden/c.txt"):
        file_system.pipe(f"memory://{name}", '{"text": "文"}\n'.encode())
    yield file_system
    file_system.store.clear()


def test_remote_folders_globs_and_files_are_found(memory: MemoryFileSystem) -> None:
    assert names("memory:/", "memory://corpus") == ["/corpus/b.txt", "/corpus/deep/a.jsonl"]
    assert names("memory:/", "memory://corpus", "memory://corpus/b.txt") == ["/corpus/b.txt", "/corpus/deep/a.jsonl"]
    assert names("memory:/", "memory://corpus/*.txt") == ["/corpus/b.txt"]
    assert names("memory:/", "memory://corpus/**/*.jsonl") == ["/corpus/deep/a.jsonl"]
    assert names("memory:/", "memory://corpus/b.txt") == ["/corpus/b.txt"]


def test_remote_files_are_read(memory: MemoryFileSystem) -> None:
    assert documents("memory://corpus/deep") == [["文"]]


def test_a_remote_source_knows_its_size_and_version(memory: MemoryFileSystem) -> None:
    before = source_of("memory://corpus/b.txt")
    assert before.size == memory.info("/corpus/b.txt")["size"]
    assert not before.is_local
    memory.pipe("memory://corpus/b.txt", '{"text": "字"}\n'.encode())
    after = source_of("memory://corpus/b.txt")
    assert after.size == before.size
    assert after.version not in ("", before.version)


@pytest.mark.parametrize("given", ["memory://none", "memory://corpus/none.txt"])
def test_a_missing_remote_input_is_named(memory: MemoryFileSystem, given: str) -> None:
    with pytest.raises(InputError, match=f"{given}: no such file or folder"):
        find_inputs([given])


@pytest.mark.parametrize("given", ["memory://corpus/readme.md", "memory://corpus/*.md"])
def test_a_remote_input_of_another_kind_is_refused(memory: MemoryFileSystem, given: str) -> None:
    with pytest.raises(InputError, match=r"no files to read there; give \.txt"):
        find_inputs([given])


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"nowhere://bucket/a.txt: .*nowhere"):
        find_inputs(["nowhere://bucket/a.txt"])


def test_files_within_a_zip_archive_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("b/two.txt", "二")
        archive.writestr("one.txt", "一")
    assert documents(f"zip://**/*.txt::{tmp_path}/text.zip") == [["二"], ["一"]]
    assert documents(f"zip://one.txt::{tmp_path}/text.zip") == [["一"]]


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.txt", "一")
    assert find_inputs([f"file://{path}"]) == find_inputs([path])


def test_parameters_of_an_address_are_not_part_of_the_name() -> None:
    source = Source("https://example.org/a.txt.gz?download=true", "text")
    assert (source.name, source.compression) == ("a.txt.gz", ".gz")
