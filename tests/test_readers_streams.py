"""Opening and decompressing: exact blocks, members and frames, damage, and files that cannot be read at all."""

import gzip
import http.server
import io
import lzma
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest
import zstandard
from fsspec import AbstractFileSystem

from chinesebert.errors import InputError
from data_prep.readers import BadRecords, Source, find_inputs, read_documents
from data_prep.readers.streams import BLOCK, open_blocks, read_blocks
from tests.reader_inputs import COMPRESS, as_json_lines, documents, flat, source_of, write_file

COMPRESSED = [".gz", ".zst", ".xz"]
NAMES = {".gz": "gzip", ".zst": "zstandard", ".xz": "xz"}
TEXT = "".join(f"第{number}行，与别的行不同：{number * 7919 % 1000003}\n" for number in range(20_000))


# ------------------------------------------------------------------------------------------------------- decompression


@pytest.mark.parametrize("suffix", ["", *COMPRESSED])
def test_blocks_are_of_one_size_however_the_file_is_stored(tmp_path: Path, suffix: str) -> None:
    data = os.urandom(BLOCK // 2) + bytes(3 * BLOCK) + TEXT.encode()
    path = write_file(tmp_path / f"a.txt{suffix}", data)
    blocks = list(read_blocks(source_of(path)))
    assert b"".join(blocks) == data
    assert {len(block) for block in blocks[:-1]} == {BLOCK}


@pytest.mark.parametrize("suffix", ["", *COMPRESSED])
def test_a_source_can_be_read_as_a_file(tmp_path: Path, suffix: str) -> None:
    data = TEXT.encode() * 3
    stream = open_blocks(source_of(write_file(tmp_path / f"a.txt{suffix}", data)))
    pieces = [stream.read(size) for size in (1, 10, BLOCK, BLOCK, BLOCK, BLOCK)]
    assert b"".join(pieces) == data
    assert stream.read(1) == b""


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_several_archives_one_after_another_are_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESS[suffix]("一\n".encode()) + COMPRESS[suffix](b"") + COMPRESS[suffix]("二\n".encode()))
    assert documents(path) == [["一", "二"]]


@pytest.mark.parametrize("padding", [4, 3 * BLOCK])
@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_zeros_after_an_archive_are_padding(tmp_path: Path, suffix: str, padding: int) -> None:
    path = tmp_path / f"a.txt{suffix}"
    archives = [COMPRESS[suffix](text.encode()) for text in ("一\n", "二\n")]
    path.write_bytes(archives[0] + bytes(padding) + archives[1] + bytes(padding))
    assert documents(path) == [["一", "二"]]


def test_zstandard_with_a_long_window_and_skippable_frames_is_read(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(TEXT.encode()) + compressor.flush()
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    path = tmp_path / "a.txt.zst"
    path.write_bytes(skippable + frame + skippable)
    assert flat(documents(path)) == TEXT.splitlines()


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("cut", [1, 1000])
@pytest.mark.parametrize("suffix", COMPRESSED)
def test_what_stands_before_the_end_of_a_truncated_archive_is_kept(tmp_path: Path, suffix: str, cut: int) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / f"a.txt{suffix}", TEXT)
    path.write_bytes(path.read_bytes()[:-cut])
    found = flat(documents(path, bad))
    assert found == TEXT.splitlines()[: len(found)]  # no half of a line at the end
    assert len(found) > 15_000
    assert bad.files == {f"damaged {NAMES[suffix]} file": 1}
    assert bad.counts == {}
    ((example,),) = bad.examples.values()
    assert example.startswith(f"{path}: damaged {NAMES[suffix]} file (")
    assert f"; all before line {len(found) + 1:,} was read)" in example


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_the_half_of_a_json_line_at_the_end_of_a_truncated_archive_is_no_bad_line(tmp_path: Path, suffix: str) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / f"a.jsonl{suffix}", as_json_lines(*TEXT.splitlines()))
    path.write_bytes(path.read_bytes()[:-500])
    assert len(documents(path, bad)) > 15_000
    assert bad.counts == {}
    assert sum(bad.files.values()) == 1


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_strict_refuses_a_truncated_archive(tmp_path: Path, suffix: str) -> None:
    path = write_file(tmp_path / f"a.txt{suffix}", TEXT)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=rf"{path}: damaged {NAMES[suffix]} file .*again.*--strict"):
        documents(path)


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize(
    "data",
    [b"", b"no archive at all", lambda suffix: COMPRESS[suffix](b"x" * 1000)[:10] + b"\xff" * 50],
    ids=["empty", "another file", "noise"],
)
def test_a_damaged_archive_is_named(tmp_path: Path, suffix: str, data: object) -> None:
    bad = BadRecords()
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(data(suffix) if callable(data) else data)  # type: ignore[arg-type]
    assert documents(path, bad) == []
    assert bad.files == {f"damaged {NAMES[suffix]} file": 1}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_one_changed_bit_in_an_archive_is_noticed(tmp_path: Path, suffix: str) -> None:
    compress = {
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
        ".xz": lzma.compress,
    }[suffix]
    data = bytearray(compress(TEXT.encode()))
    data[len(data) // 2] ^= 4
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(data)
    with pytest.raises(InputError, match=str(path)):
        documents(path)


def test_garbage_after_an_archive_is_named_and_the_archive_is_kept(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / "a.txt.gz", "一\n")
    path.write_bytes(path.read_bytes() + b"garbage")
    assert documents(path, bad) == [["一"]]
    assert bad.files == {"damaged gzip file": 1}


def test_a_damaged_zip_archive_is_named(tmp_path: Path) -> None:
    bad = BadRecords()
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("a.txt", "一\n" * 1000)
    (source,) = find_inputs([f"zip://a.txt::{tmp_path}/text.zip"])
    data = bytearray((tmp_path / "text.zip").read_bytes())
    data[500] ^= 4
    (tmp_path / "text.zip").write_bytes(data)
    read(source, bad)
    assert bad.files == {"damaged archive file": 1}


# -------------------------------------------------------------------------------------------- files that cannot be read


def read(source: Source, bad: BadRecords) -> list[list[str]]:
    return [document.paragraphs for document in read_documents(source, bad)]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz", "a.parquet", "a.warc.gz"])
def test_a_file_that_is_gone_is_named_and_skipped(tmp_path: Path, name: str) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / name, "")
    source = source_of(path)
    path.unlink()
    assert read(source, bad) == []
    told = f"{path}: cannot be opened (No such file or directory); see that it can be read"
    assert bad.examples == {"cannot be opened": [told]}
    with pytest.raises(InputError, match=f"{path}: cannot be opened .*--strict"):
        read(source, BadRecords(strict=True))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz", "a.parquet"])
def test_a_folder_where_a_file_was_is_named_and_skipped(tmp_path: Path, name: str) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / name, "")
    source = source_of(path)
    path.unlink()
    path.mkdir()
    assert read(source, bad) == []
    assert bad.files == {"cannot be opened": 1}


def test_a_link_to_nowhere_in_a_folder_is_named_and_skipped(tmp_path: Path) -> None:
    bad = BadRecords()
    write_file(tmp_path / "b.txt", "文")
    (tmp_path / "a.txt").symlink_to(tmp_path / "none.txt")
    assert documents(tmp_path, bad) == [["文"]]
    assert bad.files == {"cannot be opened": 1}


def test_a_file_without_permission_is_named_and_skipped(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_file(tmp_path / "a.txt", "文")
    source = source_of(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # whom no permission stops
        os.seteuid(65534)
    try:
        assert read(source, bad) == []
    finally:
        os.seteuid(user)
    told = f"{path}: cannot be opened (Permission denied); see that it can be read"
    assert bad.examples == {"cannot be opened": [told]}


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.parquet"])
def test_a_file_whose_reading_fails_is_named_and_skipped(tmp_path: Path, name: str) -> None:
    """/proc/self/mem opens, and reading its start is an error of input and output."""
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("needs Linux")
    bad = BadRecords()
    (tmp_path / name).symlink_to("/proc/self/mem")
    assert documents(tmp_path, bad) == []
    assert sum(bad.files.values()) == 1
    ((example,),) = bad.examples.values()
    assert example.startswith(f"{tmp_path / name}: ")


# -------------------------------------------------------------------------------------------------------------- remote


class _Unreliable(AbstractFileSystem):
    """A file system whose connection breaks when half of a file has been read."""

    protocol = "unreliable"
    content = b"{}\n" * BLOCK

    def info(self, path: str, **options: object) -> dict[str, object]:
        return {"name": path, "size": len(self.content), "type": "file"}

    def _open(self, path: str, **options: object) -> BinaryIO:
        return _BreakingFile(self.content)


class _BreakingFile(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > len(_Unreliable.content) // 2:
            raise RuntimeError("connection reset")
        return super().read(size)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_broken_connection_ends_the_task_and_is_no_bad_file(name: str) -> None:
    """The rest of the file would be lost for good if the task went on, and there next time if it does not."""
    fsspec.register_implementation("unreliable", _Unreliable, clobber=True)
    source = source_of(f"unreliable://{name}")
    with pytest.raises(InputError, match=r"reading it was interrupted .*connection reset.*again"):
        read(source, BadRecords())


@pytest.fixture
def web_folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which a web server on this machine shows it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl.zst"])
def test_files_are_read_from_the_web(web_folder: tuple[Path, str], name: str) -> None:
    folder, address = web_folder
    text = as_json_lines(TEXT) if "json" in name else TEXT
    write_file(folder / name, text)
    assert flat(documents(f"{address}/{name}?download=true")) == TEXT.splitlines()


def test_a_file_missing_from_the_web_is_named(web_folder: tuple[Path, str]) -> None:
    _, address = web_folder
    with pytest.raises(InputError, match=f"{address}/none.txt: no such file"):
        find_inputs([f"{address}/none.txt"])


def test_a_server_that_is_down_is_told_from_a_missing_file() -> None:
    pytest.importorskip("aiohttp")
    with socket.socket() as port:  # bound but not listening: connections are refused
        port.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{port.getsockname()[1]}/a.txt"
        with pytest.raises(InputError, match=f"{address}: cannot be reached .*[Cc]onnect"):
            find_inputs([address])


def test_a_server_that_went_down_before_a_file_is_read_does_not_lose_the_file() -> None:
    pytest.importorskip("aiohttp")
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        source = Source(f"http://127.0.0.1:{port.getsockname()[1]}/a.txt", "text")
        with pytest.raises(InputError, match=r"reading it was interrupted .*run the same command again"):
            read(source, BadRecords())
