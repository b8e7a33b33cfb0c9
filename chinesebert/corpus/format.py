"""The prepared-corpus format on disk: a manifest, Arrow shards, and the tokenizer that made them.

::

    DIR/manifest.json            counts, versions, SHA-256 of every shard, how often each token occurs
    DIR/shard-00000.arrow …      Arrow IPC streams, one row a document; `datasets.Dataset.from_file` opens them
    DIR/tokenizer/               `ChineseBertTokenizer.from_pretrained` opens it

A row has two columns of equal length. ``input_ids`` holds token ids. ``pinyin_and_starts`` holds the syllable id in its
low 14 bits, "starts a sentence" in bit 14 and "starts a word" in bit 15: one record, so nothing can drift apart, and
4 bytes a token with 8 bytes a document on top, also for corpora of one-line documents.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chinesebert.errors import InputError

FORMAT_NAME = "chinesebert-prepared-corpus"
FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
TOKENIZER_DIRECTORY = "tokenizer"
SCHEMA = pa.schema([("input_ids", pa.list_(pa.uint16())), ("pinyin_and_starts", pa.list_(pa.uint16()))])

MAX_VOCABULARY = 1 << 16
MAX_SYLLABLE_ID = (1 << 14) - 1
_SENTENCE_START = 1 << 14
_WORD_START = 1 << 15


@dataclass(frozen=True)
class Block:
    """Documents as one run of tokens: a record batch of a shard, or what is to become one.

    Attributes:
        input_ids: uint16 ``[tokens]``.
        pinyin_and_starts: uint16 ``[tokens]``.
        document_starts: int32 ``[documents + 1]``: where each document begins, and the end of the last.
    """

    input_ids: NDArray[np.uint16]
    pinyin_and_starts: NDArray[np.uint16]
    document_starts: NDArray[np.int32]

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> "Block":
        """The arrays of a record batch of ``SCHEMA``, as views."""
        input_ids, annotations = batch.columns
        return cls(
            input_ids.values.to_numpy(zero_copy_only=True),
            annotations.values.to_numpy(zero_copy_only=True),
            input_ids.offsets.to_numpy(zero_copy_only=True),
        )

    def batch(self) -> pa.RecordBatch:
        """As a record batch of ``SCHEMA``."""
        offsets = pa.array(self.document_starts)
        columns = [
            pa.ListArray.from_arrays(offsets, pa.array(values)) for values in (self.input_ids, self.pinyin_and_starts)
        ]
        return pa.record_batch(columns, schema=SCHEMA)

    def documents(self, first: int, last: int) -> "Block":
        """Documents ``first`` to ``last - 1`` alone."""
        bounds = self.document_starts[first : last + 1]
        tokens = slice(bounds[0], bounds[-1])
        return Block(self.input_ids[tokens], self.pinyin_and_starts[tokens], bounds - bounds[0])


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Several blocks as one, in their order."""
    lengths = np.cumsum([0, *(len(block.input_ids) for block in blocks)])
    starts = [block.document_starts[:-1] + length for block, length in zip(blocks, lengths, strict=False)]
    return Block(
        np.concatenate([block.input_ids for block in blocks]),
        np.concatenate([block.pinyin_and_starts for block in blocks]),
        np.concatenate([*starts, lengths[-1:]]).astype(np.int32),
    )


def pack_annotations(
    pinyin_ids: NDArray[np.uint16], word_starts: NDArray[np.bool_], sentence_starts: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Joins syllable ids and both flags into the ``pinyin_and_starts`` column: uint16 ``[tokens]``."""
    packed = pinyin_ids.astype(np.uint16)
    packed |= np.where(word_starts, np.uint16(_WORD_START), np.uint16(0))
    packed |= np.where(sentence_starts, np.uint16(_SENTENCE_START), np.uint16(0))
    return packed


def unpack_pinyin_ids(packed: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The syllable ids in a ``pinyin_and_starts`` column: uint16, same shape."""
    return packed & np.uint16(MAX_SYLLABLE_ID)


def unpack_word_starts(packed: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The word-start flags in a ``pinyin_and_starts`` column: bool, same shape."""
    return packed & np.uint16(_WORD_START) != 0


def unpack_sentence_starts(packed: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The sentence-start flags in a ``pinyin_and_starts`` column: bool, same shape."""
    return packed & np.uint16(_SENTENCE_START) != 0


@dataclass(frozen=True)
class Shard:
    """One Arrow file of a corpus.

    Attributes:
        file: its name.
        documents, tokens: how many it holds.
        bytes, sha256: of the whole file.
        crc32: of its pieces, see ``chinesebert.checksums``; may be missing from a manifest, ``""`` then.
    """

    file: str
    documents: int
    tokens: int
    bytes: int
    sha256: str
    crc32: str = ""


@dataclass
class Manifest:
    """What a prepared corpus is and how it was made; ``token_counts`` maps token ids (as strings) to occurrences."""

    tokenizer_fingerprint: str
    vocabulary_sha256: str
    vocabulary_size: int
    syllables: int
    readings: str
    segmenter: str
    documents: int = 0
    tokens: int = 0
    words: int = 0
    sentences: int = 0
    unknown_tokens: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    token_counts: dict[str, int] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Writes ``manifest.json``; it comes last, a directory without one is not a corpus."""
        content = {"format": FORMAT_NAME, "format_version": FORMAT_VERSION, **asdict(self)}
        (directory / MANIFEST_FILE).write_text(
            json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "Manifest":
        """Reads ``manifest.json``.

        Raises:
            InputError: the directory is no prepared corpus (raw text, most often), or one of another format version.
        """
        path = Path(directory) / MANIFEST_FILE
        if not path.is_file():
            raise InputError(f"{directory}: {_what_is_there(Path(directory))}")
        content = _read_json(path)
        if content.pop("format", None) != FORMAT_NAME:
            raise InputError(f"{path}: is not the manifest of a prepared corpus; {_how_to_prepare(directory)}")
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}; prepare the text again"
            )
        try:
            return cls(**content | {"shards": [Shard(**shard) for shard in content["shards"]]})
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: the manifest is damaged ({error}); prepare the text again") from error

    def unigram_entropy(self) -> float:
        """The entropy of the token distribution, in nats: the loss of a model that knows frequencies but no context."""
        return entropy(self.token_counts.values())


def entropy(counts: Iterable[int]) -> float:
    """The entropy of a distribution given by how often each thing occurs, in nats."""
    occurrences = np.array(list(counts), dtype=np.float64)
    shares = occurrences / occurrences.sum()
    return float(-(shares * np.log(shares)).sum())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); prepare the text again") from error
    return content if isinstance(content, dict) else {}


def _what_is_there(path: Path) -> str:
    if path.is_file():
        return f"is a file, not a prepared corpus; {_how_to_prepare(path)}"
    if not path.is_dir():
        return "no such prepared corpus; see that the path is right"
    if any(path.glob("*.arrow")):
        return f"has shards but no {MANIFEST_FILE}; copy the whole folder again, or prepare the text again"
    return f"is not a prepared corpus (it has no {MANIFEST_FILE}); {_how_to_prepare(path)}"


def _how_to_prepare(path: str | os.PathLike[str]) -> str:
    return f"if it is raw text, prepare it first: python -m data_prep corpus --input {path} --output PREPARED"
