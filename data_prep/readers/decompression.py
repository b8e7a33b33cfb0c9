"""Unpacks gzip, zstandard and xz in pieces that memory has room for, and notices every archive that is not whole."""

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, Protocol

from data_prep.readers.bad_records import UnreadableFile

# Large enough that work done once a block does not count, small enough to stay in the processor's cache.
BLOCK = 1 << 20
# A decompressor that comes upon damage hands out nothing of the piece it was given, so this is what is lost at most of
# what stands before the damage.
_PIECE = 1 << 14
# zstandard hands out all that a piece of input holds. At most 128 kB come out of 4 bytes (a repeated byte), so a piece
# of 1 kB is at most 32 MB; smaller pieces are no safer in practice and larger ones no faster.
_ZSTD_PIECE = 1 << 10
# Dumps are made with `zstd --long=31`; the library refuses windows above 128 MB unless it is told otherwise.
_ZSTD_MAX_WINDOW = 1 << 31
# What decompressors raise, of ours and of the archives that fsspec opens.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def decompressed(file: BinaryIO, compression: str) -> Iterator[bytes]:
    """The content of an open file in pieces of any size up to about ``BLOCK``; ``compression`` is the end of its name.

    Raises:
        UnreadableFile: it is damaged or cannot be read.
    """
    import zstandard

    name, pieces = _COMPRESSIONS[compression]
    try:
        yield from pieces(file)
    except (*DAMAGE, zstandard.ZstdError) as error:
        raise UnreadableFile(f"damaged {name} file", str(error), "fetch or compress it again") from error
    except OSError as error:
        raise UnreadableFile("cannot be read", error.strerror or str(error), "see that it can be read") from error


def _plain_pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, BLOCK), b"")


class _Member(Protocol):
    """A gzip member, zstandard frame or xz stream; a file may hold several, one after another."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipMember:
    """What ``lzma.LZMADecompressor`` is for xz; zlib's own lacks ``needs_input``."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(wbits=31)
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._decompressor.decompress(self._decompressor.unconsumed_tail or data, max_length)
        self.needs_input = not self._decompressor.unconsumed_tail and len(piece) < max_length
        return piece

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data


class _ZstdFrame:
    """The readers of ``zstandard`` take a file that ends inside a frame for a whole one; its frames do not."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW).decompressobj()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._decompressor.decompress(data)

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data


def _member_pieces(file: BinaryIO, start_member: Callable[[], _Member], size: int) -> Iterator[bytes]:
    data = _more(file, size, "it is empty")
    while data:
        member = start_member()
        while True:
            if piece := member.decompress(data, BLOCK):
                yield piece
            if member.eof:
                break
            data = _more(file, size, "it ends too early") if member.needs_input else b""
        data = member.unused_data.lstrip(b"\0")
        while not data and (more := file.read(size)):  # files may be padded with zeros
            data = more.lstrip(b"\0")


def _more(file: BinaryIO, size: int, otherwise: str) -> bytes:
    data = file.read(size)
    if not data:
        raise EOFError(otherwise)
    return data


# End of the name -> how messages call it, the content in pieces.
_COMPRESSIONS: dict[str, tuple[str, Callable[[BinaryIO], Iterator[bytes]]]] = {
    "": ("archive", _plain_pieces),  # nothing else can be wrong with a file that is not compressed
    ".gz": ("gzip", partial(_member_pieces, start_member=_GzipMember, size=_PIECE)),
    ".zst": ("zstandard", partial(_member_pieces, start_member=_ZstdFrame, size=_ZSTD_PIECE)),
    ".xz": ("xz", partial(_member_pieces, start_member=partial(lzma.LZMADecompressor, lzma.FORMAT_XZ), size=_PIECE)),
}
