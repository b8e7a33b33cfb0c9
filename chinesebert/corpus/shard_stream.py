"""Reads one shard record batch by record batch, with flat memory, and knows where in the file everything lies.

Training maps shards into memory and jumps about in them. What walks over a corpus from end to end, to count or to
check, reads it instead: no more than one record batch is held, a file that cannot be read is an error and not a signal
from the kernel, and a length that damage made enormous is noticed.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chinesebert.corpus.format import SCHEMA
from chinesebert.errors import InputError

# What ends an Arrow stream: a continuation marker, and a message of length 0.
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
# The first message of the shards that this program writes.
_SCHEMA_MESSAGE = SCHEMA.serialize().to_pybytes()
# A continuation marker and the length of what follows.
_PREFIX_BYTES = 8


class ShardStreamError(InputError):
    """A shard is no Arrow stream of this format, or one only as far as it was read."""


@dataclass(frozen=True)
class StoredBatch:
    """A record batch and its place in the file.

    Attributes:
        number: of the record batch in its shard, from 0.
        first_document: how many documents of the shard come before it.
        begin, end: the bytes of the file that it takes, header included.
        batch: its documents.
        spans: begin and end, in the file, of the offsets and the values of ``input_ids``, and then of
            ``pinyin_and_starts``.
    """

    number: int
    first_document: int
    begin: int
    end: int
    batch: pa.RecordBatch
    spans: tuple[tuple[int, int], ...]


def read_shard(path: str | os.PathLike[str], schema_is_damaged: bool = False) -> Iterator[StoredBatch]:
    """Yields the record batches of a shard in order.

    Args:
        path: the shard.
        schema_is_damaged: whether the checksums say that its schema may have changed. Then only the one that this
            program writes is accepted: pyarrow (26.0) trusts what a schema holds, and two wrong bytes of it can end the
            process. Other writers may write the same schema in other bytes.

    Raises:
        ShardStreamError: at the first place that is not as the format wants it, after the batches before it.
        OSError: the file cannot be read.
    """
    with pa.OSFile(str(path)) as file:
        if schema_is_damaged:
            _refuse_other_schema(file, path)
        documents = 0
        for number, (begin, message) in enumerate(_messages(file, Path(path))):
            if message.type != "record batch":
                raise ShardStreamError(f"{path}: holds a message of the kind '{message.type}' at byte {begin:,}")
            where = f"{path}: record batch {number}"
            batch = _decode(message, where)
            yield StoredBatch(number, documents, begin, file.tell(), batch, _spans(message, batch, file.tell(), where))
            documents += batch.num_rows


def schema_end(path: str | os.PathLike[str]) -> int:
    """Where the schema ends, by what its first bytes say: before this byte nothing else may stand.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        prefix = file.read(_PREFIX_BYTES)
    return _PREFIX_BYTES + max(0, int.from_bytes(prefix[4:], "little", signed=True))


def _refuse_other_schema(file: pa.OSFile, path: str | os.PathLike[str]) -> None:
    if file.read(len(_SCHEMA_MESSAGE)) != _SCHEMA_MESSAGE:
        raise ShardStreamError(f"{path}: its schema, the Arrow message at byte 0, differs from ours and may be damaged")
    file.seek(0)


def _messages(file: pa.OSFile, path: Path) -> Iterator[tuple[int, pa.Message]]:
    """The messages after the schema, each with the byte at which it begins."""
    begin = 0
    try:
        messages = pa.ipc.MessageReader.open_stream(file)
        schema = pa.ipc.read_schema(messages.read_next_message())
        if not schema.equals(SCHEMA):
            raise ShardStreamError(f"{path}: its columns are {_columns(schema)}, not {_columns(SCHEMA)}")
        while True:
            begin = file.tell()
            yield begin, messages.read_next_message()
    except StopIteration:
        _check_end(file, path)
    except (pa.ArrowException, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ShardStreamError(f"{path}: the Arrow message at byte {begin:,} is damaged ({error})") from error


def _columns(schema: pa.Schema) -> str:
    try:
        return ", ".join(f"{field.name}: {field.type}" for field in schema)
    except UnicodeDecodeError:
        return "names that are not UTF-8"


def _check_end(file: pa.OSFile, path: Path) -> None:
    end = file.tell()
    file.seek(max(0, end - len(_END_OF_STREAM)))
    if file.read(len(_END_OF_STREAM)) != _END_OF_STREAM:
        raise ShardStreamError(f"{path}: breaks off at byte {end:,}, without the marker that ends an Arrow stream")
    if end != file.size():
        raise ShardStreamError(f"{path}: goes on after the end of the Arrow stream at byte {end:,}")


def _decode(message: pa.Message, where: str) -> pa.RecordBatch:
    try:
        batch = pa.ipc.read_record_batch(message, SCHEMA)
        batch.validate()  # that no buffer is shorter than its length says
    except (pa.ArrowException, OSError) as error:
        raise ShardStreamError(f"{where}: is damaged ({error})") from error
    return batch


def _spans(message: pa.Message, batch: pa.RecordBatch, end: int, where: str) -> tuple[tuple[int, int], ...]:
    """Where the buffers with data lie. Arrow puts them into the body of the message, at the end of it."""
    body, spans = message.body, []
    for column in batch.columns:
        _, offsets, _, values = column.buffers()
        for buffer, size in ((offsets, 4 * (len(column) + 1)), (values, 2 * len(column.values))):
            place = buffer.address - body.address if buffer is not None and size else 0
            if not 0 <= place <= place + size <= body.size:
                raise ShardStreamError(f"{where}: is compressed; write it without compression")
            spans.append((end - body.size + place, end - body.size + place + size))
    return tuple(spans)


def offsets_are_sound(offsets: NDArray[np.int32], values: int) -> bool:
    """Whether the offsets of a list column cut its values into documents: from first to last, and never back."""
    return bool(offsets[0] == 0 and offsets[-1] == values and (offsets[1:] >= offsets[:-1]).all())
