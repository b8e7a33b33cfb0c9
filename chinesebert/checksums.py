"""Checksums of files: SHA-256 says whether a file is the same, CRC-32 of its pieces says where it is not."""

import hashlib
import os
import zlib
from dataclasses import dataclass

# 256 KiB: a gigabyte has 4,000 pieces, 32 kB of checksums, and the search for one changed bit takes 0.2 seconds.
PIECE_BYTES = 1 << 18
# The generator polynomial of CRC-32 (ISO 3309, as in gzip and PNG), its bits in reflected order.
_POLYNOMIAL = 0xEDB88320


@dataclass(frozen=True)
class FileChecksums:
    """Checksums of one file.

    Attributes:
        sha256: of the whole file, in hex.
        crc32: of each piece of ``PIECE_BYTES`` (the last may be shorter), 8 hex digits a piece, one after another.
    """

    sha256: str
    crc32: str


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) of a file's bytes."""
    return file_checksums(path).sha256


def file_checksums(path: str | os.PathLike[str]) -> FileChecksums:
    """Reads a file once for all its checksums, a piece at a time."""
    digest = hashlib.sha256()
    pieces = []
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            pieces.append(f"{zlib.crc32(piece):08x}")
    return FileChecksums(digest.hexdigest(), "".join(pieces))


def file_crc32(path: str | os.PathLike[str]) -> str:
    """The CRC-32 of ``FileChecksums`` alone, at several times the speed."""
    with open(path, "rb") as file:
        return "".join(f"{zlib.crc32(piece):08x}" for piece in iter(lambda: file.read(PIECE_BYTES), b""))


def changed_bit(expected: int, found: int, length: int) -> int | None:
    """Which single bit of a piece has changed, going by its CRC-32; None where it takes more than one.

    A CRC is linear: the difference of two depends on the changed bits alone, and no two bits of a piece give the same.
    So the bits are tried one by one from the last, each a shift away from the one before.

    Args:
        expected: CRC-32 of the piece as it was.
        found: CRC-32 of the piece as it is.
        length: of the piece, in bytes.

    Returns:
        The number of the bit: ``8 * byte + bit``, bit 0 being a byte's least significant.
    """
    difference = expected ^ found
    state = _POLYNOMIAL
    for bit in reversed(range(8 * length)):
        if state == difference:
            return bit
        state = (state >> 1) ^ (_POLYNOMIAL if state & 1 else 0)
    return None
