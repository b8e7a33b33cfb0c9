"""Hugging Face data sets, streamed from the Hub or from a folder: ``hf-dataset:NAME[[:CONFIG]:SPLIT]``.

``NAME`` is a name on the Hub (``wikimedia/wikipedia``), a folder of data files, or one that ``save_to_disk`` wrote. A
data set of one split needs no ``SPLIT``, one that was saved without splits has none. A data set is read in as many
parts as it has files, each a source of its own (``…#3/8`` is the fourth of eight), so that several workers can share
it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chinesebert.errors import InputError
from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.columns import check_column, column_documents
from data_prep.readers.documents import Document
from data_prep.readers.sources import Source

PREFIX = "hf-dataset:"
_SYNTAX = f"write {PREFIX}NAME:SPLIT or {PREFIX}NAME:CONFIG:SPLIT, or {PREFIX}NAME where there is but one split"
# Rows are taken so many at a time: enough that Arrow's work for a batch does not count.
_BATCH_ROWS = 256
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class _Part:
    """What the URL of such a source says."""

    name: str
    config: str | None
    split: str | None
    index: int = 0
    parts: int = 1

    @property
    def url(self) -> str:
        names = ":".join(name for name in (self.name, self.config, self.split) if name)
        return f"{PREFIX}{names}#{self.index}/{self.parts}"


def is_saved(folder: str) -> bool:
    """Whether ``save_to_disk`` of ``datasets`` wrote this folder."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("state.json", "dataset_dict.json"))


def how_to_name(folder: str) -> str:
    """The inputs that read a folder of ``save_to_disk``."""
    return " or ".join(f"{PREFIX}{folder}:{split}" for split in _saved_splits(folder)) or f"{PREFIX}{folder}"


def find_dataset(given: str) -> list[Source]:
    """The parts of a data set, each a source.

    Raises:
        InputError: there is no such data set, configuration or split.
    """
    part = _parse(given)
    try:
        return _find_parts(part)
    except InputError:
        raise
    except Exception as error:  # the Hub, the file formats and the network each have their own
        raise InputError(f"{given}: cannot load this data set ({type(error).__name__}: {error}); {_SYNTAX}") from error


def read_dataset(source: Source, bad: BadRecords, text_field: str) -> Iterator[Document]:
    """The documents of one part: every row is one, and one column holds its text.

    Raises:
        UnreadableFile: a local data set is damaged, or has no such column.
        InputError: the Hub cannot be reached; reading may work at the next try.
    """
    part = _parse(source.url)
    row = 0
    try:
        rows = _load(part, source.version)
        for batch in rows.with_format("arrow").iter(batch_size=_BATCH_ROWS):
            if row == 0:
                check_column(batch.schema, text_field)
            yield from column_documents(batch.column(text_field), row, source.url, text_field, bad)
            row += batch.num_rows
    except (InputError, UnreadableFile, GeneratorExit):
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}; all before row {row:,} was read"
        if os.path.isdir(part.name):
            raise UnreadableFile("damaged data set", problem) from error
        raise InputError(
            f"{source}: reading it was interrupted ({problem}); run the same command again to go on"
        ) from error


def _parse(given: str) -> _Part:
    names, _, part = given.removeprefix(PREFIX).partition("#")
    fields = names.split(":")
    index, _, parts = part.partition("/")
    if not (1 <= len(fields) <= 3 and all(fields)) or (part and not (index.isdigit() and parts.isdigit())):
        raise InputError(f"{given}: not the name of a data set; {_SYNTAX}")
    name = os.path.abspath(fields[0]) if os.path.isdir(fields[0]) else fields[0]
    config = fields[1] if len(fields) == 3 else None
    split = fields[-1] if len(fields) > 1 else None
    return _Part(name, config, split, int(index or 0), int(parts or 1))


def _find_parts(part: _Part) -> list[Source]:
    if is_saved(part.name):
        part = _with_saved_split(part)
        count, size, version = _describe_saved(_saved_folder(part))
    else:
        import datasets

        builder = datasets.load_dataset_builder(part.name, part.config)
        available = builder.as_streaming_dataset()
        part = _with_split(part, list(available))
        count = available[part.split].num_shards
        size = 0
        version = _version_of_files(builder, part.name)
    return [
        Source(replace(part, index=index, parts=count).url, "huggingface", size // count, version)
        for index in range(count)
    ]


def _with_split(part: _Part, available: list[str]) -> _Part:
    """The split that was asked for; the only one if none was."""
    if part.split in available:
        return part
    if not part.split and len(available) == 1:
        return replace(part, split=available[0])
    problem = f"no split {part.split!r}" if part.split else "several splits"
    raise InputError(f"{PREFIX}{part.name}: {problem}; it has {', '.join(available) or 'none'}; {_SYNTAX}")


def _with_saved_split(part: _Part) -> _Part:
    splits = _saved_splits(part.name)
    if part.config or (part.split and not splits):
        what = "configuration" if part.config else "splits"
        raise InputError(f"{PREFIX}{part.name}: was saved without {what}; write {how_to_name(part.name)}")
    return _with_split(part, splits) if splits else part


def _load(part: _Part, version: str) -> Any:
    import datasets

    if is_saved(part.name):
        rows = datasets.load_from_disk(_saved_folder(part))
    else:
        # A new commit to the Hub between two tasks must not mix two versions of the data.
        revision = version if _COMMIT.fullmatch(version) else None
        rows = datasets.load_dataset(part.name, part.config, split=part.split, streaming=True, revision=revision)
    return rows.shard(num_shards=part.parts, index=part.index, contiguous=True)


def _saved_splits(folder: str) -> list[str]:
    path = os.path.join(folder, "dataset_dict.json")
    if not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8") as file:
        return list(json.load(file)["splits"])


def _saved_folder(part: _Part) -> str:
    return os.path.join(part.name, part.split) if part.split else part.name


def _describe_saved(folder: str) -> tuple[int, int, str]:
    """Number of files, bytes, fingerprint."""
    with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
        state = json.load(file)
    names = [data_file["filename"] for data_file in state["_data_files"]]
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    return max(1, len(names)), size, f"{size}-{state['_fingerprint']}"


def _version_of_files(builder: Any, name: str) -> str:
    """The commit on the Hub; of local files, their names and times of change."""
    if not os.path.isdir(name):
        return str(builder.hash)
    files = {str(split): (list(files), files.origin_metadata) for split, files in builder.config.data_files.items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
