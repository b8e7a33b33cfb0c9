"""Opens a source, local or remote, and reads its content in blocks of one size."""

import io
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from chinesebert.errors import InputError
from data_prep.readers.bad_records import UnreadableFile
from data_prep.readers.decompression import BLOCK, DAMAGE, decompressed
from data_prep.readers.sources import Source


def read_blocks(source: Source) -> Iterator[bytes]:
    """The content, decompressed, in blocks of exactly ``BLOCK`` bytes; the last one is shorter.

    Where a block ends depends on the content alone, so that lines too long for memory are cut at the same places
    however the file is stored.

    Raises:
        UnreadableFile: it cannot be opened or is damaged; what stands before the damage has been handed out, but
            for the last few kilobytes of a damaged archive.
    """
    waiting = bytearray()
    with open_source(source) as file:
        try:
            for piece in decompressed(file, source.compression):
                if not waiting and len(piece) == BLOCK:
                    yield piece
                    continue
                waiting += piece
                whole = len(waiting) - len(waiting) % BLOCK
                for start in range(0, whole, BLOCK):
                    yield bytes(waiting[start : start + BLOCK])
                del waiting[:whole]
        except UnreadableFile:
            if waiting:
                yield bytes(waiting)
            raise
    if waiting:
        yield bytes(waiting)


def read_content(source: Source) -> Iterator[bytes]:
    """``read_blocks`` of a file that has to hold something.

    Raises:
        UnreadableFile: as ``read_blocks``, and where there is nothing in it: most often what wrote it was stopped.
    """
    is_empty = True
    for block in read_blocks(source):
        is_empty = False
        yield block
    if is_empty:
        raise UnreadableFile("empty file", remedy="write or fetch it again, or take it away")


class BlockFile:
    """``read_content`` for libraries that want to read so many bytes at a time."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = b""
        self._position = 0

    def read(self, size: int = BLOCK) -> bytes:
        """At most ``size`` bytes, and none only at the end."""
        while self._position == len(self._block):
            self._position = 0
            self._block = next(self._blocks, b"")
            if not self._block:
                return b""
        start = self._position
        self._position = min(start + size, len(self._block))
        return self._block[start : self._position]


def open_blocks(source: Source) -> BlockFile:
    """The decompressed content as a file."""
    return BlockFile(read_content(source))


def open_source(source: Source) -> BinaryIO:
    """The file as it is stored.

    Raises:
        UnreadableFile: there is no such file, or no permission to read it.
        InputError: a remote file cannot be reached; reading it may work at the next try.
    """
    try:
        return open(source.url, "rb") if source.is_local else _open_remote(source.url)
    except OSError as error:
        raise UnreadableFile("cannot be opened", error.strerror or str(error), "see that it can be read") from error


def _open_remote(url: str) -> BinaryIO:
    import fsspec

    try:
        file_system, path = fsspec.url_to_fs(url)
        return io.BufferedReader(_RemoteFile(file_system, path, url), BLOCK)
    except (FileNotFoundError, PermissionError) as error:
        if reason := why_unreachable(url, error):
            raise _interrupted(url, reason) from error
        raise
    except Exception as error:  # every file system has its own
        raise _interrupted(url, error) from error


def why_unreachable(url: str, error: Exception) -> BaseException | None:
    """What kept a web server from answering: fsspec says of one that is down that it has no such file."""
    cause = error.__cause__
    if not url.startswith(("http://", "https://")) or isinstance(cause, FileNotFoundError):
        return None
    has_no_file = 400 <= getattr(cause, "status", 0) < 500  # HTTP: the request is at fault, not the server
    return None if has_no_file else cause


def _interrupted(url: str, error: BaseException) -> InputError:
    """A lost connection says nothing about the file: to skip the rest of it would lose text without need."""
    return InputError(
        f"{url}: reading it was interrupted ({type(error).__name__}: {error}); run the same command again to go on"
    )


class _RemoteFile(io.RawIOBase):
    """A remote file whose errors say that the connection, not the file, is at fault."""

    def __init__(self, file_system: Any, path: str, url: str) -> None:
        self._file_system = file_system  # an archive is closed when nobody holds it any more
        self._file = file_system.open(path, "rb")
        self._url = url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: Any) -> int:
        data = self._call(self._file.read, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._call(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except DAMAGE:
            raise
        except Exception as error:
            raise _interrupted(self._url, error) from error
