"""Keeps tokenized examples on disk, so that the next run over the same examples need not tokenize them again.

A cache is one file, an Arrow stream that ``datasets`` maps into memory, followed by the SHA-256 of its content. It
appears under its name when it is complete, so that several processes may read and write at once. What decides the
content is in its name: examples, tokenizer, kind with labels, lengths, and the code that makes inputs of them.

A cache only saves time: where none can be written, or one is damaged, examples are tokenized. Files may be deleted at
any time.
"""

import dataclasses
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
from datasets import Dataset
from transformers.utils import logging

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.tasks.kinds import Encoded, Kind, Lengths

logger = logging.get_logger(__name__)

ENVIRONMENT = "CHINESEBERT_CACHE"
_FORMAT = "1"
_ROWS = 1000  # of a record batch: what is looked through for one row
_DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """``$CHINESEBERT_CACHE/tasks``, or ``~/.cache/chinesebert/tasks``; None for a user without a home."""
    named = os.environ.get(ENVIRONMENT)
    try:
        return (Path(named) if named else Path.home() / ".cache" / "chinesebert") / "tasks"
    except RuntimeError:
        return None


def cached(folder: Path | None, key: str, encode: Callable[[], Encoded]) -> Encoded:
    """The inputs of the cache ``key``; where there is none, or a damaged one, those of ``encode``, kept for next time.

    Args:
        folder: of the caches; None to keep nothing.
        key: everything that decides the inputs, from ``fingerprint``.
        encode: makes them.
    """
    if folder is None:
        return encode()
    path = folder / f"{key}.arrow"
    found = _read(path)
    if found is not None:
        return found
    encoded = encode()
    try:
        _write(path, encoded)
    except (InputError, OSError, pa.ArrowException, TypeError, OverflowError) as error:
        logger.info(f"{path}: tokenized examples are not kept ({error})")
        return encoded
    return _read(path) or encoded


def fingerprint(examples: Sequence[Any], kind: Kind, tokenizer: Any, lengths: Lengths) -> str:
    """SHA-256 (hex) of all that decides the inputs, also of the code; not of where the examples were read from."""
    digest = hashlib.sha256()
    settings = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
    head = [_FORMAT, _code(), tokenizer.fingerprint, type(kind).__qualname__, settings, dataclasses.astuple(lengths)]
    digest.update(json.dumps(head, sort_keys=True, default=repr).encode())
    digest.update(Path(inspect.getfile(type(kind))).read_bytes())  # a kind of the user's own is not among _code
    for example in examples:
        fields = [getattr(example, field.name) for field in dataclasses.fields(example) if field.name != "where"]
        digest.update(f"\n{type(example).__name__} {fields!r}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@cache
def _code() -> str:
    """SHA-256 of the modules that turn examples into inputs: a cache made by other code is none."""
    package = Path(__file__).parent.parent
    files = [*sorted((package / "tasks" / "kinds").glob("*.py")), package / "tokenization_chinesebert.py"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


class CachedInputs(Sequence[dict[str, Any]]):
    """The inputs of a cache, read from disk one by one."""

    def __init__(self, rows: Dataset) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return {name: value for name, value in self._rows[index].items() if value is not None}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(len(self)))


class CachedOffsets(Sequence[list[tuple[int, int]]]):
    """The offsets of a cache, read from disk one by one, as pairs."""

    def __init__(self, rows: Dataset) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return [(start, end) for start, end in self._rows[index][_OFFSETS]]


# Names that no input of a model has.
_OWNER, _OFFSETS = "*owner", "*offsets"


def _write(path: Path, encoded: Encoded) -> None:
    """Raises InputError or OSError where it cannot be written, ArrowException where inputs are no lists of numbers."""
    names = sorted({name for item in encoded.inputs for name in item})
    columns = {name: [item.get(name) for item in encoded.inputs] for name in names}
    columns[_OWNER] = list(encoded.owners)
    if encoded.offsets:
        columns[_OFFSETS] = [[list(span) for span in offsets] for offsets in encoded.offsets]
    table = pa.table(columns)
    table = table.cast(pa.schema([field.with_type(_narrow(field.type)) for field in table.schema]))
    table = table.replace_schema_metadata({"cut": str(encoded.cut)})
    with atomic_file(path) as unfinished:
        with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=_ROWS)
        digest = _digest(unfinished, unfinished.stat().st_size)
        with unfinished.open("ab") as file:
            file.write(digest)


def _narrow(kind: pa.DataType) -> pa.DataType:
    """Whole numbers of 32 bits instead of 64, also in lists."""
    if pa.types.is_list(kind):
        return pa.list_(_narrow(kind.value_type))
    return pa.int32() if pa.types.is_int64(kind) else kind


def _read(path: Path) -> Encoded | None:
    """What a cache holds; None where there is none, or a damaged one."""
    try:
        size = path.stat().st_size - _DIGEST
        with path.open("rb") as file:
            file.seek(max(size, 0))
            sound = size >= 0 and file.read() == _digest(path, size)
        if not sound:
            return None
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            cut = int(stream.schema.metadata[b"cut"])  # datasets puts something else in its place
        rows = Dataset.from_file(str(path))
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    own = [name for name in (_OWNER, _OFFSETS) if name in rows.column_names]
    return Encoded(
        CachedInputs(rows.remove_columns(own)),  # type: ignore[arg-type]  # a sequence like a list
        rows.data.column(_OWNER).to_pylist(),
        CachedOffsets(rows.select_columns([_OFFSETS])) if _OFFSETS in own else [],  # type: ignore[arg-type]
        cut,
    )


def _digest(path: Path, size: int) -> bytes:
    """SHA-256 of the first ``size`` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, 1 << 20))):
            digest.update(piece)
            size -= len(piece)
    return digest.digest()
