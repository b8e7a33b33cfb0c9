"""What the models of ``benchmarks.pretrain`` are trained on: one prepared text, fed in three ways.

``padded``  a sentence a row, as most do; a batch is padded to its longest, masked by transformers' collator
``packed``  full rows of the text run together, as transformers' ``run_mlm.py`` makes them, masked by the same collator
``ours``    our masked, packed rows, as in pretraining

A batch has the same number of places in all three: rows x length.
"""

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import BertTokenizer, DataCollatorForLanguageModeling

from benchmarks.data_prep import batches as groups_of
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.dataset import MaskedRows, collate, model_inputs
from chinesebert.corpus.format import unpack_sentence_starts
from chinesebert.corpus.packing import SPECIAL_TOKENS_PER_SEGMENT, RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.corpus.writer import write_corpus
from chinesebert.masking import IGNORE_INDEX, Masking
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY, ChineseBertTokenizer
from chinesebert.training.batches import build_loader, read_batches
from chinesebert.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKEN_IDS
from chinesebert.words import Segmenter

Feed = Iterator[dict[str, torch.Tensor]]
# A row as transformers' collator takes it: input_ids and special_tokens_mask, lists of integers.
TokenizedRow = dict[str, list[int]]

_CLS, _SEP, _PAD = (SPECIAL_TOKEN_IDS[name] for name in (CLS, SEP, PAD))
# No order of rows is better than another here, but all runs are to have the same.
_SEED = 0


@dataclass(frozen=True)
class FeedSettings:
    """The form of the batches.

    Attributes:
        length: tokens a row, at most.
        places: rows x length of a batch, which a padded batch stays within.
        workers: processes that make batches.
        pin_memory: whether batches are put where a GPU can fetch them by itself.
    """

    length: int
    places: int
    workers: int
    pin_memory: bool = False

    @property
    def rows(self) -> int:
        """Full rows of a batch."""
        return max(1, self.places // self.length)


class PreparedText:
    """A text as a prepared corpus on disk, from which all feeds are made.

    Args:
        directory: where to put the corpus.
        texts: the documents.
    """

    def __init__(self, directory: Path, texts: Sequence[str]) -> None:
        self.tokenizer = ChineseBertTokenizer.from_vocabulary()
        segmenter = Segmenter()
        annotator = Annotator(self.tokenizer, segmenter)
        blocks = (annotator.annotate(group).block() for group in groups_of(texts))
        write_corpus(directory, blocks, self.tokenizer, segmenter.version, {})
        self.corpus = PreparedCorpus(directory)

    @cached_property
    def sentences(self) -> list[list[int]]:
        """The token ids of every sentence."""
        found: list[list[int]] = []
        for block in self.corpus.blocks:
            starts = np.flatnonzero(unpack_sentence_starts(block.pinyin_and_starts))
            found += _split(block.input_ids, [*starts.tolist(), len(block.input_ids)])
        return found

    @cached_property
    def documents(self) -> list[list[int]]:
        """The token ids of every document."""
        return [ids for block in self.corpus.blocks for ids in _split(block.input_ids, block.document_starts.tolist())]

    def facts(self) -> dict[str, Any]:
        """How much text it is, for the report."""
        return {
            "tokens": self.corpus.manifest.tokens,
            "documents": len(self.documents),
            "sentences": len(self.sentences),
            "median_tokens_of_a_sentence": statistics.median(map(len, self.sentences)),
        }


def _split(ids: NDArray[np.uint16], bounds: list[int]) -> list[list[int]]:
    return [ids[start:end].tolist() for start, end in itertools.pairwise(bounds)]


# ------------------------------------------------------------------------------------------------- transformers' feeds


def padded_feed(text: PreparedText, settings: FeedSettings) -> Feed:
    """Sentences, cut where they are longer than a row; as many a batch as fit its places when padded to the longest."""
    rows = [tokenized([ids[: settings.length - SPECIAL_TOKENS_PER_SEGMENT]]) for ids in text.sentences]
    lengths = [len(row["input_ids"]) for row in rows]
    return _transformers_feed(rows, padded_batches(lengths, settings.rows * settings.length), settings)


def packed_feed(text: PreparedText, settings: FeedSettings) -> Feed:
    """Documents run together, with [CLS] and [SEP] around each, and cut into full rows; the rest is left out."""
    whole = tokenized(text.documents)
    rows = [
        {name: values[start : start + settings.length] for name, values in whole.items()}
        for start in range(0, len(whole["input_ids"]) - settings.length + 1, settings.length)
    ]
    return _transformers_feed(rows, _row_batches(len(rows), settings.rows), settings)


def tokenized(segments: Sequence[Sequence[int]]) -> TokenizedRow:
    """Segments of text as one row, with [CLS] and [SEP] around each."""
    ids = [number for segment in segments for number in (_CLS, *segment, _SEP)]
    special = [mark for segment in segments for mark in (1, *[0] * len(segment), 1)]
    return {"input_ids": ids, "special_tokens_mask": special}


def _transformers_feed(rows: Sequence[TokenizedRow], numbers: Iterator[list[int]], settings: FeedSettings) -> Feed:
    # The plain tokenizer: ours would have pinyin padded too.
    tokenizer = BertTokenizer(vocab=str(DEFAULT_VOCABULARY))
    return _feed(rows, numbers, DataCollatorForLanguageModeling(tokenizer), settings)


def padded_batches(lengths: Sequence[int], places: int) -> Iterator[list[int]]:
    """Numbers of rows in random order; a batch has as many as fit its places when padded to the longest of them."""
    batch: list[int] = []
    longest = 0
    for number in _shuffled(len(lengths)):
        longest = max(longest, lengths[number])
        if batch and longest * (len(batch) + 1) > places:
            yield batch
            batch, longest = [], lengths[number]
        batch.append(number)


def _row_batches(rows: int, batch_size: int) -> Iterator[list[int]]:
    numbers = _shuffled(rows)
    while True:
        yield list(itertools.islice(numbers, batch_size))


def _shuffled(count: int) -> Iterator[int]:
    """The numbers below ``count`` in random order, again and again."""
    rng = np.random.default_rng(_SEED)
    while count:
        yield from rng.permutation(count).tolist()


# ------------------------------------------------------------------------------------------------------------ our feed


def our_feed(text: PreparedText, settings: FeedSettings) -> Feed:
    """Our rows and masks, as pretraining builds them, with its default settings."""
    tokenizer, length = text.tokenizer, settings.length
    dresser = RowDresser(length, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    masking = Masking(SPECIAL_TOKEN_IDS[MASK], tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids())
    rows = MaskedRows(RowPlan([text.corpus], length), dresser, masking, seed=_SEED)
    numbers = (list(range(first, first + settings.rows)) for first in itertools.count(0, settings.rows))
    # As training reads them: a worker hands on a batch as one tensor.
    return read_batches(build_loader(rows, numbers, _collate_ours, settings.workers, None, settings.pin_memory))


def _collate_ours(batch: Any) -> dict[str, Any]:
    return model_inputs(collate(batch))


def _feed(rows: Any, numbers: Iterator[list[int]], collate: Callable[..., Any], settings: FeedSettings) -> Feed:
    """The same loader for both of transformers' feeds: batches without end."""
    loader = DataLoader(
        rows,
        batch_sampler=numbers,
        collate_fn=collate,
        num_workers=settings.workers,
        pin_memory=settings.pin_memory,
        generator=torch.Generator().manual_seed(_SEED),
    )
    return iter(loader)


# ------------------------------------------------------------------------------------------------------------ counting


@dataclass(frozen=True)
class Places:
    """What the places of a batch hold.

    Attributes:
        places: all of them.
        text: tokens of text, masked or not.
        padding: nothing; the rest are [CLS] and [SEP].
        masked: those of the text that are predicted.
    """

    places: int = 0
    text: int = 0
    padding: int = 0
    masked: int = 0

    def __add__(self, other: "Places") -> "Places":
        return Places(
            self.places + other.places,
            self.text + other.text,
            self.padding + other.padding,
            self.masked + other.masked,
        )


def count_places(batch: dict[str, torch.Tensor]) -> Places:
    """Counts in a masked batch, whose labels say what stood at the masked places."""
    masked = batch["labels"] != IGNORE_INDEX
    original = torch.where(masked, batch["labels"], batch["input_ids"])
    padding = int((original == _PAD).sum())
    special = int(torch.isin(original, torch.tensor([_CLS, _SEP], device=original.device)).sum())
    return Places(original.numel(), original.numel() - special - padding, padding, int(masked.sum()))
