"""The rules that documents and tokens keep, checked a record batch at a time with numpy."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chinesebert.corpus.format import (
    Block,
    Manifest,
    unpack_pinyin_ids,
    unpack_sentence_starts,
    unpack_word_starts,
)
from chinesebert.corpus.shard_stream import StoredBatch, offsets_are_sound
from chinesebert.corpus.verification.places import Places, TokenNames, documents_of
from chinesebert.corpus.verification.readings import KnownReadings
from chinesebert.corpus.verification.rules import Findings, Rule
from chinesebert.corpus.writer import BATCH_TOKENS
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKENS, UNK


class RecordChecker:
    """Checks record batches; what is wrong goes to the findings with the document and the token where it begins.

    Args:
        manifest: of the corpus.
        tokenizer: of the corpus; without it, the rules about what tokens are cannot be checked.
    """

    def __init__(self, manifest: Manifest, tokenizer: ChineseBertTokenizer | None) -> None:
        self._vocabulary_size, self._syllables = manifest.vocabulary_size, manifest.syllables
        self._names = TokenNames(tokenizer)
        self._readings: KnownReadings | None = None
        if tokenizer is not None:
            self._readings = KnownReadings(tokenizer)
            tokens = tokenizer.tokens()
            self._vocabulary_size, self._syllables = len(tokens), len(tokenizer.readings.syllables)
            # Takes the place of a wrong token or of one with a wrong syllable, so that each breaks one rule only.
            self._stand_in = tokens.index(UNK)
            self._is_special = np.isin(tokens, [token for token in SPECIAL_TOKENS if token != UNK])
            self._is_continuation = tokenizer.continuation_tokens()

    def check(self, stored: StoredBatch, file: str, findings: Findings) -> Block | None:
        """Checks one record batch of the shard ``file``; returns its documents, if they can be told apart."""
        place = Places(findings, self._names, file, stored)
        block = _sound_block(stored, place)
        if block is None:
            return None
        _check_batch(stored, block, place)
        empty = np.flatnonzero(block.document_starts[1:] == block.document_starts[:-1])
        place.documents(Rule.EMPTY_DOCUMENTS, empty, "holds no token")
        self._check_tokens(block, place)
        _check_starts(block, place)
        return block

    def _check_tokens(self, block: Block, place: Places) -> None:
        pinyin_ids = unpack_pinyin_ids(block.pinyin_and_starts)
        too_large = block.input_ids >= self._vocabulary_size
        no_syllable = pinyin_ids > self._syllables
        place.tokens(Rule.TOKEN_IDS, np.flatnonzero(too_large), block)
        place.tokens(Rule.SYLLABLE_IDS, np.flatnonzero(no_syllable), block)
        if self._readings is None:
            return
        input_ids = block.input_ids.astype(np.intp)
        input_ids[too_large | no_syllable] = self._stand_in
        pinyin_ids[no_syllable] = 0
        special = np.flatnonzero(self._is_special[input_ids])
        place.tokens(Rule.SPECIAL_TOKENS, special, block)
        input_ids[special] = self._stand_in
        place.tokens(Rule.READINGS, self._readings.unknown_pairs(input_ids, pinyin_ids), block)
        continues = self._is_continuation[input_ids] & unpack_word_starts(block.pinyin_and_starts)
        place.tokens(Rule.CONTINUATIONS, np.flatnonzero(continues), block)


def _sound_block(stored: StoredBatch, place: Places) -> Block | None:
    """The arrays of a record batch, or None where they are not such that documents can be told apart."""
    nulls = _documents_with_nulls(stored.batch)
    place.documents(Rule.NULLS, nulls, "holds a null")
    if len(nulls):
        return None
    offsets = [column.offsets.to_numpy() for column in stored.batch.columns]
    values = [column.values.to_numpy() for column in stored.batch.columns]
    sound = [offsets_are_sound(offset, len(value)) for offset, value in zip(offsets, values, strict=True)]
    if not all(sound) or not np.array_equal(*offsets):
        _report_lengths(offsets, [len(value) for value in values], place)
    if len(values[0]) != len(values[1]) or not any(sound):
        return None
    return Block(values[0], values[1], offsets[sound.index(True)])


def _report_lengths(offsets: list[NDArray[np.int32]], values: list[int], place: Places) -> None:
    lengths = [np.diff(offset) for offset in offsets]
    differ = np.flatnonzero(lengths[0] != lengths[1])
    place.documents(
        Rule.LENGTHS,
        differ,
        lambda document: f"input_ids holds {lengths[0][document]} tokens, pinyin_and_starts {lengths[1][document]}",
    )
    if not len(differ):
        bounds = [f"{offset[0]} to {offset[-1]} of {count}" for offset, count in zip(offsets, values, strict=True)]
        place.all_documents(Rule.LENGTHS, f"their lists do not cut the values in order ({' and '.join(bounds)})")


def _check_batch(stored: StoredBatch, block: Block, place: Places) -> None:
    if len(block.document_starts) == 1:
        place.all_documents(Rule.BATCHES, f"record batch {stored.number} holds no document")
    elif block.document_starts[-2] >= BATCH_TOKENS:
        what = f"record batch {stored.number} has {BATCH_TOKENS:,} tokens before its last document begins"
        place.all_documents(Rule.BATCHES, what)


def _check_starts(block: Block, place: Places) -> None:
    words = unpack_word_starts(block.pinyin_and_starts)
    sentences = unpack_sentence_starts(block.pinyin_and_starts)
    place.tokens(Rule.SENTENCE_STARTS, np.flatnonzero(sentences & ~words), block)
    # Documents without a token have no first one; those of the next would be taken for it.
    firsts = np.unique(block.document_starts[:-1]).astype(np.intp)
    firsts = firsts[firsts < len(words)]
    place.tokens(Rule.DOCUMENT_STARTS, firsts[~(words[firsts] & sentences[firsts])], block)


def _documents_with_nulls(batch: pa.RecordBatch) -> NDArray[np.intp]:
    """The documents of a record batch in which a list or a value in it is null."""
    found = [np.zeros(0, dtype=np.intp)]
    for column in batch.columns:
        if column.null_count:
            found.append(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)))
        if column.values.null_count:
            positions = np.flatnonzero(column.values.is_null().to_numpy(zero_copy_only=False))
            found.append(documents_of(column.offsets.to_numpy(), positions))
    return np.unique(np.concatenate(found))
