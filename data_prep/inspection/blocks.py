"""Reads a prepared corpus from end to end with flat memory, and remembers where its documents and tokens lie."""

import bisect
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chinesebert.checksums import file_crc32, file_sha256
from chinesebert.corpus.format import MANIFEST_FILE, TOKENIZER_DIRECTORY, Block, Manifest, Shard, unpack_pinyin_ids
from chinesebert.corpus.shard_stream import StoredBatch, offsets_are_sound, read_shard
from chinesebert.corpus.verification.manifest import load_manifest
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer


@dataclass(frozen=True)
class _Entry:
    """A record batch: where it lies, and how much of the corpus comes before it."""

    path: Path
    first_document: int
    first_document_in_shard: int
    first_token: int
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StoredDocument:
    """One document and where it comes from.

    Attributes:
        number: in the corpus, from 0.
        shard, row: the file, and the number of the document in it, from 0.
        input_ids, pinyin_and_starts: uint16 ``[tokens]``, as stored.
    """

    number: int
    shard: str
    row: int
    input_ids: NDArray[np.uint16]
    pinyin_and_starts: NDArray[np.uint16]


class CorpusBlocks:
    """The documents of a corpus as blocks, in order; after that, any of them again.

    Raises:
        InputError: the directory is no prepared corpus, its tokenizer is missing or another one, or a shard is damaged.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.manifest = self._load_manifest()
        self.tokenizer = self._load_tokenizer()
        self._entries: list[_Entry] = []
        self._documents = self._tokens = 0

    def _load_manifest(self) -> Manifest:
        manifest, failures = load_manifest(self.directory)
        if manifest is None:
            raise InputError(f"{self.directory / MANIFEST_FILE}: {failures[0].what}; {self._remedy}")
        return manifest

    def _load_tokenizer(self) -> ChineseBertTokenizer:
        path = self.directory / TOKENIZER_DIRECTORY
        tokenizer = ChineseBertTokenizer.from_directory(path)
        if tokenizer.fingerprint != self.manifest.tokenizer_fingerprint:
            raise InputError(f"{path}: is not the tokenizer that prepared this corpus; {self._remedy}")
        return tokenizer

    @property
    def _remedy(self) -> str:
        return f"find out what is wrong: python -m data_prep verify {self.directory}"

    def __iter__(self) -> Iterator[Block]:
        """Yields all blocks; counts of documents and tokens are compared with the manifest at the end."""
        self._entries, self._documents, self._tokens = [], 0, 0
        for shard in self.manifest.shards:
            yield from self._blocks_of(self.directory / shard.file, shard)
        if not self._tokens:
            raise InputError(f"{self.directory}: holds no document; prepare the text again")
        found, expected = (self._documents, self._tokens), (self.manifest.documents, self.manifest.tokens)
        if found != expected:
            raise InputError(
                f"{self.directory}: holds {found[0]:,} documents of {found[1]:,} tokens, its manifest says "
                f"{expected[0]:,} of {expected[1]:,}; {self._remedy}"
            )

    def _blocks_of(self, path: Path, shard: Shard) -> Iterator[Block]:
        try:
            _check_bytes(path, shard)
            for stored in read_shard(path):
                block = self._sound(stored, path)
                self._remember(stored, block, path)
                yield block
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}); {self._remedy}") from error
        except InputError as error:
            raise InputError(f"{error}; {self._remedy}") from error

    def _sound(self, stored: StoredBatch, path: Path) -> Block:
        """The arrays of a record batch, after the checks without which counting would fail or go astray."""
        offsets = [column.offsets.to_numpy() for column in stored.batch.columns]
        nulls = sum(column.null_count + column.values.null_count for column in stored.batch.columns)
        values = [len(column.values) for column in stored.batch.columns]
        if nulls or not offsets_are_sound(offsets[0], values[0]) or not np.array_equal(*offsets):
            raise InputError(f"{path}: the documents of record batch {stored.number} cannot be told apart")
        block = Block.from_batch(stored.batch)
        if not (np.diff(block.document_starts) > 0).all():
            raise InputError(f"{path}: record batch {stored.number} holds a document without a token")
        if (
            block.input_ids.max() >= self.manifest.vocabulary_size
            or unpack_pinyin_ids(block.pinyin_and_starts).max() > self.manifest.syllables
        ):
            raise InputError(f"{path}: record batch {stored.number} holds ids of no token or syllable")
        return block

    def _remember(self, stored: StoredBatch, block: Block, path: Path) -> None:
        documents = len(block.document_starts) - 1
        self._entries.append(_Entry(path, self._documents, stored.first_document, self._tokens, stored.spans))
        self._documents += documents
        self._tokens += len(block.input_ids)

    def document(self, number: int) -> StoredDocument:
        """Reads one document again, by its number in the corpus."""
        place = bisect.bisect_right(self._entries, number, key=lambda entry: entry.first_document) - 1
        entry = self._entries[place]
        row = number - entry.first_document
        begin, end = _read(entry.path, entry.spans[0][0] + 4 * row, 2, np.int32).tolist()
        ids, annotations = (_read(entry.path, entry.spans[span][0] + 2 * begin, end - begin) for span in (1, 3))
        return StoredDocument(number, entry.path.name, entry.first_document_in_shard + row, ids, annotations)

    def tokens(self, first: int, most: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Reads up to ``most`` tokens again, from number ``first`` of the corpus on: ids and annotations."""
        place = bisect.bisect_right(self._entries, first, key=lambda entry: entry.first_token) - 1
        entry = self._entries[place]
        skipped = first - entry.first_token
        begin, end = entry.spans[1]
        count = min(most, (end - begin) // 2 - skipped)
        ids, annotations = (_read(entry.path, entry.spans[span][0] + 2 * skipped, count) for span in (1, 3))
        return ids, annotations


def _check_bytes(path: Path, shard: Shard) -> None:
    """Refuses a damaged shard before pyarrow sees it: a damaged schema may end the process."""
    size = path.stat().st_size
    if size != shard.bytes:
        raise InputError(f"{path}: is damaged, it has {size:,} bytes, the manifest says {shard.bytes:,}")
    same = file_crc32(path) == shard.crc32 if shard.crc32 else file_sha256(path) == shard.sha256
    if not same:
        raise InputError(f"{path}: is damaged, its checksum is not that of the manifest")


def _read(path: Path, begin: int, count: int, dtype: type[np.generic] = np.uint16) -> NDArray:
    return np.fromfile(path, dtype=dtype, count=count, offset=begin)
