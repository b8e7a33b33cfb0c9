"""The files through which the steps of ``duplicates`` speak to one another."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.atomic import atomic_directory, atomic_file
from chinesebert.errors import InputError

Numbers = NDArray[np.int64]

DOCUMENT_TYPE = np.dtype([("digest", "<u8", 2), ("id_end", "<u8")])
DROP_TYPE = np.dtype([("document", "<u4"), ("kept_chunk", "<u4"), ("kept_document", "<u4"), ("similarity", "<f4")])
# In place of a similarity.
SAME_TEXT = np.float32(2)


class SignatureFiles:
    """The files between the steps. Documents are numbered through all chunks: ``offsets[chunk]`` is a chunk's first.

    ::

        documents/00003.npy    digest of each document of chunk 3, and where its id ends in
        documents/00003.ids    the ids, one after the other
        signatures/00003.npy   uint32 [buckets, documents, hashes_per_bucket]: a bucket's numbers lie together
        pairs/exact.npy        int64 [pairs, 2]: document, earlier one; pairs/near-000.npy … of each bucket
        drops/00003.npy        the documents of chunk 3 that are dropped, with what is kept for each

    Every file is written aside and renamed when it is complete; a task that runs again replaces its files.
    """

    def __init__(self, folder: str | Path, count: int):
        self.folder = Path(folder)
        self.count = count

    @cached_property
    def offsets(self) -> Numbers:
        """The number of each chunk's first document, and at the end the number of documents."""
        return np.cumsum([0, *map(self.size, range(self.count))])

    def size(self, chunk: int) -> int:
        """How many documents a chunk has."""
        return len(self.documents(chunk))

    def documents(self, chunk: int) -> NDArray[np.void]:
        """Digests and ends of ids."""
        return self._load(f"documents/{chunk:05d}.npy")

    def signatures(self, chunk: int) -> NDArray[np.uint32]:
        """``[buckets, documents, hashes_per_bucket]``."""
        return self._load(f"signatures/{chunk:05d}.npy")

    def document_id(self, chunk: int, document: int) -> str:
        """The id of one document."""
        ends = self.documents(chunk)["id_end"]
        start = int(ends[document - 1]) if document else 0
        with open(self.folder / f"documents/{chunk:05d}.ids", "rb") as file:
            file.seek(start)
            return file.read(int(ends[document]) - start).decode("utf-8", "surrogatepass")

    def locate(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Chunk of each document, and its number there."""
        chunks = np.searchsorted(self.offsets, numbers, side="right") - 1
        return chunks, numbers - self.offsets[chunks]

    def digests(self, numbers: Numbers) -> NDArray[np.uint64]:
        """Digests of some documents, ``[documents, 2]``."""
        return self._gather(numbers, lambda chunk, rows: self.documents(chunk)["digest"][rows])

    def rows(self, numbers: Numbers) -> NDArray[np.uint32]:
        """Signatures of some documents, ``[documents, buckets × hashes_per_bucket]``."""
        return self._gather(numbers, lambda chunk, rows: _by_document(self.signatures(chunk)[:, rows]))

    def _gather(self, numbers: Numbers, rows_of: Callable[[int, Numbers], Any]) -> Any:
        chunks, rows = self.locate(numbers)
        order = np.argsort(chunks, kind="stable")
        bounds = np.flatnonzero(np.diff(chunks[order])) + 1
        found = [rows_of(int(chunks[part[0]]), rows[part]) for part in np.split(order, bounds) if len(part)]
        if not found:
            return rows_of(0, rows)
        gathered = np.empty((len(numbers), *found[0].shape[1:]), found[0].dtype)
        gathered[order] = np.concatenate(found)
        return gathered

    def write(
        self, chunk: int, ids: list[bytes], digests: NDArray[np.uint64], signatures: NDArray[np.uint32] | None
    ) -> None:
        """Writes what ``Signatures`` found in a chunk; signatures as ``[buckets, documents, hashes_per_bucket]``."""
        documents = np.empty(len(ids), DOCUMENT_TYPE)
        documents["digest"] = digests
        documents["id_end"] = np.cumsum([len(name) for name in ids])
        with atomic_file(self.folder / f"documents/{chunk:05d}.ids") as path:
            path.write_bytes(b"".join(ids))
        self._save(f"documents/{chunk:05d}.npy", documents)
        if signatures is not None:
            self._save(f"signatures/{chunk:05d}.npy", signatures)

    def write_pairs(self, name: str, pairs: list[Numbers]) -> None:
        """Writes (document, earlier document) pairs."""
        self._save(f"pairs/{name}.npy", np.concatenate([np.empty((0, 2), np.int64), *pairs]))

    def read_pairs(self, name: str) -> Numbers:
        """What ``write_pairs`` wrote, ``[pairs, 2]``."""
        return self._load(f"pairs/{name}.npy")

    def write_drops(self, chunks: Numbers, drops: NDArray[np.void]) -> None:
        """Writes the drops of every chunk, also of those without any; both are sorted by chunk."""
        bounds = np.searchsorted(chunks, np.arange(self.count + 1))
        with atomic_directory(self.folder / "drops", overwrite=True) as folder:
            for chunk in range(self.count):
                np.save(folder / f"{chunk:05d}.npy", drops[bounds[chunk] : bounds[chunk + 1]])

    def read_drops(self, chunk: int) -> NDArray[np.void]:
        """The drops of a chunk."""
        return self._load(f"drops/{chunk:05d}.npy")

    def _save(self, name: str, array: NDArray[Any]) -> None:
        with atomic_file(self.folder / name) as path, open(path, "wb") as file:
            np.save(file, array)

    def _load(self, name: str) -> NDArray[Any]:
        path = self.folder / name
        try:
            return np.load(path, mmap_mode="r")
        except FileNotFoundError as error:
            raise InputError(f"{path}: missing; the stage that writes it must be run to its end first") from error
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: cannot read it ({error}); remove it and run again") from error


def _by_document(signatures: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """``[buckets, documents, hashes]`` -> ``[documents, buckets × hashes]``."""
    buckets, documents, hashes = signatures.shape
    return signatures.transpose(1, 0, 2).reshape(documents, buckets * hashes)
