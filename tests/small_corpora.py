"""Small prepared corpora for tests, and ways to damage them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chinesebert.checksums import file_checksums
from chinesebert.corpus import writer
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.format import SCHEMA, Block, Manifest
from chinesebert.corpus.shard_stream import read_shard
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

# Two shards: documents 0 to 3 in two record batches of two, and 4 and 5 in one. Numbers are those in a shard.
DOCUMENTS = [
    "重庆的银行。长大！一个不是",  # 13 tokens
    "银行行长不是一个。",  # 9
    "他在重庆长大。reading 2026",
    "我们的银行，我们的重庆！",
    "龘😀。一个不是",
    "重庆。",
]
BATCH_TOKENS, SHARD_TOKENS = 20, 35


def prepare(directory: Path, documents: Sequence[str], tokenizer: ChineseBertTokenizer) -> Path:
    """A corpus of these documents in record batches and shards of a few tokens."""
    block = Annotator(tokenizer).annotate(documents).block()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "BATCH_TOKENS", BATCH_TOKENS)
        patch.setattr(writer, "SHARD_TOKENS", SHARD_TOKENS)
        writer.write_corpus(directory, [block], tokenizer, "jieba 0.42.1", {})
    return directory


def shard_blocks(shard: Path) -> list[Block]:
    """The record batches of a shard, as copies that may be changed."""
    blocks = [Block.from_batch(stored.batch) for stored in read_shard(shard)]
    return [Block(*(getattr(block, field.name).copy() for field in dataclasses.fields(Block))) for block in blocks]


def rewrite_shard(shard: Path, batches: Sequence[pa.RecordBatch], **options: Any) -> None:
    """Writes other record batches, with checksums and counts in the manifest that fit them."""
    schema = batches[0].schema if batches else SCHEMA
    with pa.ipc.new_stream(str(shard), schema, **options) as stream:
        for batch in batches:
            stream.write_batch(batch)
    refresh_manifest(shard.parent)


def refresh_manifest(directory: Path) -> None:
    """Makes sizes, checksums and counts those of the shards, as far as these can be read."""
    manifest = Manifest.load(directory)
    manifest.shards = [_counted(directory / shard.file, shard) for shard in manifest.shards]
    blocks = [block for shard in manifest.shards for block in _readable_blocks(directory / shard.file)]
    if blocks:
        input_ids = np.concatenate([block.input_ids for block in blocks])
        annotations = np.concatenate([block.pinyin_and_starts for block in blocks])
        tokens, counts = np.unique(input_ids, return_counts=True)
        manifest.token_counts = {str(token): int(count) for token, count in zip(tokens, counts, strict=True)}
        manifest.documents = sum(shard.documents for shard in manifest.shards)
        manifest.tokens = sum(shard.tokens for shard in manifest.shards)
        manifest.words = int((annotations & 0x8000 != 0).sum())
        manifest.sentences = int((annotations & 0x4000 != 0).sum())
        manifest.unknown_tokens = int((input_ids == 100).sum())
    manifest.save(directory)


def _readable_blocks(shard: Path) -> list[Block]:
    try:
        return shard_blocks(shard)
    except (ValueError, OSError):
        return []


def _counted(path: Path, shard: Any) -> Any:
    blocks, checksums = _readable_blocks(path), file_checksums(path)
    return dataclasses.replace(
        shard,
        documents=sum(len(block.document_starts) - 1 for block in blocks),
        tokens=sum(len(block.input_ids) for block in blocks),
        bytes=path.stat().st_size,
        sha256=checksums.sha256,
        crc32=checksums.crc32,
    )


def change_block(shard: Path, number: int, change: Callable[[Block], Block | None]) -> None:
    """Changes the arrays of one record batch, in place or for others; all checksums and counts will fit."""
    blocks = shard_blocks(shard)
    blocks[number] = change(blocks[number]) or blocks[number]
    rewrite_shard(shard, [block.batch() for block in blocks])


def change_manifest(directory: Path, **changes: Any) -> None:
    """Sets keys of the manifest."""
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def flip_bit(path: Path, byte: int, bit: int) -> None:
    """Changes one bit of a file."""
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)
