"""Reads prepared corpora: memory-mapped Arrow shards as blocks, flat arrays of tokens."""

import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from chinesebert.checksums import PIECE_BYTES
from chinesebert.corpus.format import MANIFEST_FILE, SCHEMA, TOKENIZER_DIRECTORY, Block, Manifest, Shard
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer


class PreparedCorpus:
    """A prepared corpus on disk.

    Raises:
        InputError: the directory is raw text or something else, a shard is missing, cut short or damaged.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.manifest = Manifest.load(self.directory)
        self.blocks = [block for shard in self.manifest.shards for block in self._blocks(shard)]
        tokens = sum(len(block.input_ids) for block in self.blocks)
        if tokens != self.manifest.tokens:
            raise InputError(
                f"{self.directory}: the shards hold {tokens} tokens, the manifest says {self.manifest.tokens}; "
                "prepare the text again"
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that it holds: of the checksums of its shards."""
        return hashlib.sha256(" ".join(shard.sha256 for shard in self.manifest.shards).encode()).hexdigest()

    def files(self) -> list[Path]:
        """The manifest and the shards."""
        return [self.directory / name for name in (MANIFEST_FILE, *(shard.file for shard in self.manifest.shards))]

    def load_tokenizer(self) -> ChineseBertTokenizer:
        """The tokenizer that made this corpus.

        Raises:
            InputError: the tokenizer in the corpus is not the one that the manifest names.
        """
        path = self.directory / TOKENIZER_DIRECTORY
        tokenizer = ChineseBertTokenizer.from_directory(path)
        if tokenizer.fingerprint != self.manifest.tokenizer_fingerprint:
            raise InputError(
                f"{path}: is not the tokenizer that prepared this corpus; restore it or prepare the text again"
            )
        return tokenizer

    def _blocks(self, shard: Shard) -> list[Block]:
        path = self.directory / shard.file
        if not path.is_file():
            raise InputError(f"{path}: this shard of the corpus is missing; copy it again or prepare the text again")
        if path.stat().st_size != shard.bytes:
            raise InputError(
                f"{path}: has {path.stat().st_size:,} bytes, the manifest says {shard.bytes:,}; copy the shard again"
            )
        try:
            _check_ends(path, shard)
            batches = pa.ipc.open_stream(pa.memory_map(str(path))).read_all().to_batches()
            for batch in batches:
                batch.validate(full=True)  # offsets that point outside, or back, would be followed
        except (
            pa.ArrowException,
            OSError,
            MemoryError,
        ) as error:  # MemoryError: for a length that damage made enormous
            if isinstance(error, OSError) and error.errno is not None:
                raise InputError(f"{path}: cannot be read ({error.strerror}); see who may read it") from error
            raise _damaged(path, str(error)) from error
        return [_block(batch, path) for batch in batches]


def _check_ends(path: Path, shard: Shard) -> None:
    """Compares the first and the last piece of a shard with their CRC-32, before pyarrow sees it.

    A corpus may be large and its checksums cost minutes, so this is no search for damage. It is there for the schema:
    pyarrow (26.0) trusts what it holds, and two wrong bytes can end the process. What a copy that was broken off, or
    another program, leaves in a file of the right size mostly shows at its end.

    Raises:
        InputError: one of them is not what was written.
    """
    if not shard.crc32:  # other writers may leave it out
        return
    last = max(0, shard.bytes - 1) // PIECE_BYTES * PIECE_BYTES
    with open(path, "rb") as file:
        for begin, expected in ((0, shard.crc32[:8]), (last, shard.crc32[-8:])):
            file.seek(begin)
            piece = file.read(PIECE_BYTES)
            if f"{zlib.crc32(piece):08x}" != expected:
                raise _damaged(
                    path, f"its bytes {begin:,} to {begin + len(piece) - 1:,} are not those that were written"
                )


def _damaged(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: is damaged ({what}); see how far with `python -m data_prep verify {path.parent}`, and copy the shard "
        "again or prepare the text again"
    )


def _block(batch: pa.RecordBatch, path: Path) -> Block:
    if not batch.schema.equals(SCHEMA):
        raise InputError(f"{path}: has columns {batch.schema.names}, not {SCHEMA.names}; prepare the text again")
    if not batch.column(0).offsets.equals(batch.column(1).offsets):
        raise _damaged(path, f"documents are not as long in {SCHEMA.names[0]} as in {SCHEMA.names[1]}")
    return Block.from_batch(batch)


def open_corpora(directories: Sequence[str | os.PathLike[str]]) -> list[PreparedCorpus]:
    """Opens several corpora that are to be used together.

    Raises:
        InputError: one of them cannot be opened, or they were made with different tokenizers.
    """
    corpora = [PreparedCorpus(directory) for directory in directories]
    for corpus in corpora[1:]:
        check_same_tokenizer(corpora[0], corpus)
    return corpora


def check_same_tokenizer(first: PreparedCorpus, second: PreparedCorpus) -> None:
    """Raises ``InputError`` where two corpora were made with different vocabularies or readings."""
    one, two = first.manifest, second.manifest
    if one.tokenizer_fingerprint == two.tokenizer_fingerprint:
        return
    if one.vocabulary_sha256 != two.vocabulary_sha256:
        what, flags = "another vocabulary", "--tokenizer"
    elif one.readings != two.readings:
        what, flags = "other readings", "--readings, or with the tokenizer of one as --tokenizer of the other"
    else:
        what, flags = "other readings or normalisation", "--tokenizer and --readings"
    raise InputError(
        f"{second.directory}: was prepared with {what} than {first.directory} ({two.vocabulary_size} tokens "
        f"and {two.readings}, against {one.vocabulary_size} and {one.readings}); prepare both with the same {flags}"
    )
