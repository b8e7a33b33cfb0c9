"""Writes a prepared corpus: annotated documents in, Arrow shards and a manifest out."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from chinesebert.atomic import atomic_directory
from chinesebert.checksums import file_sha256
from chinesebert.corpus.annotate import AnnotatedDocument
from chinesebert.corpus.format import (
    MAX_SYLLABLE_ID,
    MAX_VOCABULARY,
    SCHEMA,
    TOKENIZER_DIRECTORY,
    Manifest,
    Shard,
    pack_annotations,
)
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import vocabulary_sha256
from chinesebert.words import segmenter_version

# A record batch is what readers map at once and what rows of training are cut from: large enough that its last,
# shorter row does not matter (1 in 2,000 rows of 512), small enough to hold in memory while writing (4 MB).
BATCH_TOKENS = 1_000_000
# 256 batches, about 1 GB: few files for a large corpus, and none too large to copy.
SHARD_TOKENS = 256 * BATCH_TOKENS


class EmptyCorpusError(InputError):
    """The documents hold no token at all."""


class CorpusWriter:
    """Collects documents into record batches and shards inside a directory that is not yet under its final name."""

    def __init__(self, directory: Path, tokenizer: ChineseBertTokenizer) -> None:
        self._directory = directory
        self._documents: list[AnnotatedDocument] = []
        self._batch_tokens = self._shard_tokens = self._shard_documents = 0
        self._stream: pa.RecordBatchStreamWriter | None = None
        tokens = tokenizer.tokens()
        self._token_counts = np.zeros(len(tokens), dtype=np.int64)
        self.manifest = Manifest(
            tokenizer_fingerprint=tokenizer.fingerprint,
            vocabulary_sha256=vocabulary_sha256(tokens),
            vocabulary_size=len(tokens),
            syllables=len(tokenizer.readings.syllables),
            readings=tokenizer.readings.source,
            segmenter=segmenter_version(),
        )

    def add(self, document: AnnotatedDocument) -> None:
        """Appends one document; empty ones are passed over."""
        if len(document.input_ids) == 0:
            return
        self._documents.append(document)
        self._batch_tokens += len(document.input_ids)
        if self._batch_tokens >= BATCH_TOKENS:
            self._write_batch()
        if self._shard_tokens >= SHARD_TOKENS:
            self._close_shard()

    def finish(self, skipped: dict[str, int]) -> Manifest:
        """Writes what is left and the manifest."""
        self._write_batch()
        self._close_shard()
        self.manifest.skipped = dict(sorted(skipped.items()))
        seen = np.flatnonzero(self._token_counts)
        self.manifest.token_counts = {str(token): int(self._token_counts[token]) for token in seen}
        self.manifest.save(self._directory)
        return self.manifest

    @property
    def _shard_file(self) -> Path:
        return self._directory / f"shard-{len(self.manifest.shards):05d}.arrow"

    def _write_batch(self) -> None:
        if not self._documents:
            return
        if self._stream is None:
            self._stream = pa.ipc.new_stream(str(self._shard_file), SCHEMA)
        input_ids = [document.input_ids for document in self._documents]
        annotations = [
            pack_annotations(document.pinyin_ids, document.word_starts, document.sentence_starts)
            for document in self._documents
        ]
        self._stream.write_batch(pa.record_batch([_list_array(input_ids), _list_array(annotations)], schema=SCHEMA))
        self._count(np.concatenate(input_ids))
        self._documents, self._batch_tokens = [], 0

    def _count(self, input_ids: np.ndarray) -> None:
        self._token_counts += np.bincount(input_ids, minlength=len(self._token_counts))
        self._shard_tokens += len(input_ids)
        self._shard_documents += len(self._documents)
        self.manifest.tokens += len(input_ids)
        self.manifest.documents += len(self._documents)
        self.manifest.words += sum(int(document.word_starts.sum()) for document in self._documents)
        self.manifest.sentences += sum(int(document.sentence_starts.sum()) for document in self._documents)
        self.manifest.unknown_tokens += sum(document.unknown for document in self._documents)

    def _close_shard(self) -> None:
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        file = self._shard_file
        self.manifest.shards.append(
            Shard(file.name, self._shard_documents, self._shard_tokens, file.stat().st_size, file_sha256(file))
        )
        self._shard_tokens = self._shard_documents = 0


def _list_array(arrays: list[np.ndarray]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(arrays)))


def write_corpus(
    directory: str | os.PathLike[str],
    documents: Iterable[AnnotatedDocument],
    tokenizer: ChineseBertTokenizer,
    skipped: dict[str, int],
    overwrite: bool = False,
) -> Manifest:
    """Writes a whole corpus; ``directory`` appears only when it is complete.

    Args:
        directory: the corpus to make.
        documents: in the order they are to be stored; the bytes written depend on nothing else.
        tokenizer: the one that annotated them; a copy goes into the corpus.
        skipped: reason -> count of bad lines; read when all documents have been taken, so a reader may still add to it.
        overwrite: replace a corpus that is already there.

    Raises:
        InputError: the output cannot be written or exists, or the vocabulary does not fit 16 bits.
        EmptyCorpusError: there is no text.
    """
    if len(tokenizer.tokens()) > MAX_VOCABULARY:
        raise InputError(
            f"the vocabulary has {len(tokenizer.tokens())} tokens; a prepared corpus holds at most {MAX_VOCABULARY}"
        )
    if len(tokenizer.readings.syllables) > MAX_SYLLABLE_ID:
        raise InputError(f"{tokenizer.readings.source}: more than {MAX_SYLLABLE_ID} syllables")
    with atomic_directory(directory, overwrite) as unfinished:
        writer = CorpusWriter(unfinished, tokenizer)
        for document in documents:
            writer.add(document)
        manifest = writer.finish(skipped)
        if not manifest.tokens:
            raise EmptyCorpusError("there is no text (no line that could be read holds a token); give other files")
        tokenizer.save_pretrained(unfinished / TOKENIZER_DIRECTORY)
    return manifest
