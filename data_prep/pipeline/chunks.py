"""Documents on disk between two stages: Arrow streams, compressed with zstd, complete or not there at all."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from datatrove.data import Document

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
_COMPRESSION = pa.ipc.IpcWriteOptions(compression="zstd")
_BATCH_CHARACTERS = 250_000


class UnfinishedStream:
    """An Arrow stream written aside, under its own name once it is complete; use it as a context manager."""

    def __init__(self, path: Path, schema: pa.Schema, options: pa.ipc.IpcWriteOptions | None = None) -> None:
        self._path = path
        # With the process in its name: a task that was given up on may still be running somewhere.
        self._unfinished = path.with_name(f"{path.name}.{os.uname().nodename}-{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = pa.ipc.new_stream(str(self._unfinished), schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a record batch."""
        self._stream.write_batch(batch)

    def __enter__(self) -> "UnfinishedStream":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._stream.close()
            if error is None:
                os.replace(self._unfinished, self._path)
        finally:
            self._unfinished.unlink(missing_ok=True)


class ChunkWriter:
    """Writes documents to a chunk; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._stream = UnfinishedStream(path, SCHEMA, _COMPRESSION)
        self._documents: list[Document] = []
        self._pending = self.characters = 0

    def add(self, document: Document) -> None:
        """Appends a document."""
        self._documents.append(document)
        self._pending += len(document.text)
        self.characters += len(document.text)
        if self._pending >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        columns = [[document.id for document in self._documents], [document.text for document in self._documents]]
        self._stream.write(pa.record_batch(list(map(pa.array, columns)), schema=SCHEMA))
        self._documents, self._pending = [], 0

    def __enter__(self) -> "ChunkWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None and self._documents:
            self._flush()
        self._stream.__exit__(kind, error, at)


def read_chunk(path: Path) -> Iterator[Document]:
    """The documents of a chunk in order."""
    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
        for batch in stream:
            ids, texts = (column.to_pylist() for column in batch.columns)
            for identifier, text in zip(ids, texts, strict=True):
                yield Document(text=text, id=identifier)
