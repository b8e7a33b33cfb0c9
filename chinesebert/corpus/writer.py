"""Writes a prepared corpus: blocks of annotated documents in, Arrow shards and a manifest out."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from chinesebert.atomic import atomic_directory
from chinesebert.checksums import file_checksums
from chinesebert.corpus.format import (
    MAX_SYLLABLE_ID,
    MAX_VOCABULARY,
    SCHEMA,
    TOKENIZER_DIRECTORY,
    Block,
    Manifest,
    Shard,
    join_blocks,
    unpack_sentence_starts,
    unpack_word_starts,
)
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import UNK, vocabulary_sha256

# A record batch is what readers map at once and what rows of training are cut from: large enough that its last,
# shorter row does not matter (1 in 2,000 rows of 512), small enough to hold in memory while writing (4 MB).
BATCH_TOKENS = 1_000_000
# 256 batches, about 1 GB: few files for a large corpus, and none too large to copy.
SHARD_TOKENS = 256 * BATCH_TOKENS


class EmptyCorpusError(InputError):
    """The documents hold no token at all."""


class CorpusWriter:
    """Collects documents into record batches and shards inside a directory that is not yet under its final name.

    What is written depends on the documents and their order alone, not on the blocks they come in.
    """

    def __init__(self, directory: Path, tokenizer: ChineseBertTokenizer, segmenter: str) -> None:
        self._directory = directory
        self._pending: list[Block] = []
        self._pending_tokens = self._shard_tokens = self._shard_documents = 0
        self._stream: pa.RecordBatchStreamWriter | None = None
        tokens = tokenizer.tokens()
        self._unknown_id = tokens.index(UNK)
        self._token_counts = np.zeros(len(tokens), dtype=np.int64)
        self.manifest = Manifest(
            tokenizer_fingerprint=tokenizer.fingerprint,
            vocabulary_sha256=vocabulary_sha256(tokens),
            vocabulary_size=len(tokens),
            syllables=len(tokenizer.readings.syllables),
            readings=tokenizer.readings.source,
            segmenter=segmenter,
        )

    def add(self, block: Block) -> None:
        """Appends documents, none of them empty. A record batch ends with the document that fills it."""
        first, documents = 0, len(block.document_starts) - 1
        while first < documents:
            missing = BATCH_TOKENS - self._pending_tokens
            end = int(block.document_starts[first]) + missing
            last = min(int(np.searchsorted(block.document_starts, end)), documents)
            self._pending.append(block.documents(first, last))
            self._pending_tokens += int(block.document_starts[last] - block.document_starts[first])
            first = last
            if self._pending_tokens >= BATCH_TOKENS:
                self._write_batch()
            if self._shard_tokens >= SHARD_TOKENS:
                self._close_shard()

    def finish(self, skipped: dict[str, int]) -> Manifest:
        """Writes what is left and the manifest."""
        self._write_batch()
        self._close_shard()
        self.manifest.skipped = dict(sorted(skipped.items()))
        self.manifest.unknown_tokens = int(self._token_counts[self._unknown_id])
        seen = np.flatnonzero(self._token_counts)
        self.manifest.token_counts = {str(token): int(self._token_counts[token]) for token in seen}
        self.manifest.save(self._directory)
        return self.manifest

    @property
    def _shard_file(self) -> Path:
        return self._directory / f"shard-{len(self.manifest.shards):05d}.arrow"

    def _write_batch(self) -> None:
        if not self._pending:
            return
        if self._stream is None:
            self._stream = pa.ipc.new_stream(str(self._shard_file), SCHEMA)
        block = join_blocks(self._pending)
        self._stream.write_batch(block.batch())
        self._count(block)
        self._pending, self._pending_tokens = [], 0

    def _count(self, block: Block) -> None:
        documents, tokens = len(block.document_starts) - 1, len(block.input_ids)
        self._token_counts += np.bincount(block.input_ids, minlength=len(self._token_counts))
        self._shard_tokens += tokens
        self._shard_documents += documents
        self.manifest.tokens += tokens
        self.manifest.documents += documents
        self.manifest.words += int(unpack_word_starts(block.pinyin_and_starts).sum())
        self.manifest.sentences += int(unpack_sentence_starts(block.pinyin_and_starts).sum())

    def _close_shard(self) -> None:
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        file = self._shard_file
        size, sums = file.stat().st_size, file_checksums(file)
        self.manifest.shards.append(
            Shard(file.name, self._shard_documents, self._shard_tokens, size, sums.sha256, sums.crc32)
        )
        self._shard_tokens = self._shard_documents = 0


def check_fits(tokenizer: ChineseBertTokenizer) -> None:
    """Raises ``InputError`` where a prepared corpus cannot hold the ids of a tokenizer."""
    if len(tokenizer.tokens()) > MAX_VOCABULARY:
        raise InputError(
            f"the vocabulary has {len(tokenizer.tokens())} tokens; a prepared corpus holds at most {MAX_VOCABULARY}"
        )
    if len(tokenizer.readings.syllables) > MAX_SYLLABLE_ID:
        raise InputError(f"{tokenizer.readings.source}: more than {MAX_SYLLABLE_ID} syllables")


def write_corpus(
    directory: str | os.PathLike[str],
    blocks: Iterable[Block],
    tokenizer: ChineseBertTokenizer,
    segmenter: str,
    skipped: dict[str, int],
    overwrite: bool = False,
) -> Manifest:
    """Writes a whole corpus; ``directory`` appears only when it is complete.

    Args:
        directory: the corpus to make.
        blocks: documents in the order they are to be stored; the bytes written depend on nothing else.
        tokenizer: the one that annotated them; a copy goes into the corpus.
        segmenter: what found the words.
        skipped: reason -> count of bad records.
        overwrite: replace a corpus that is already there.

    Raises:
        InputError: the output cannot be written or exists, or the vocabulary does not fit 16 bits.
        EmptyCorpusError: there is no text.
    """
    check_fits(tokenizer)
    with atomic_directory(directory, overwrite) as unfinished:
        writer = CorpusWriter(unfinished, tokenizer, segmenter)
        for block in blocks:
            writer.add(block)
        manifest = writer.finish(skipped)
        if not manifest.tokens:
            raise EmptyCorpusError("there is no text (no record that could be read holds a token); give other files")
        tokenizer.save_pretrained(unfinished / TOKENIZER_DIRECTORY)
    return manifest
