"""Exact and near duplicates: of documents that are alike the first one in the order of the input is kept.

What is compared is the normalised text (``ngrams``): Han characters, letters and digits, without punctuation, white
space and case. Exact duplicates have the same normalised text. Near duplicates share most of their n-grams of
characters: the Jaccard similarity of the two sets is at least ``similarity``.

The steps follow datatrove's MinHash deduplication (rank = number of the chunk, but for matching):

1. ``Signatures``: for every document a digest of its text and its MinHash signature, ``buckets`` ×
   ``hashes_per_bucket`` numbers. The probability that two documents agree in a number is their similarity.
2. ``ExactMatches``: documents with the same digest. ``NearMatches``: documents that agree in all numbers of a bucket
   and, over the whole signature, in a share of at least ``similarity``; a bucket is a task.
3. ``ChooseKept``: which documents are dropped, and for which.
4. ``DropDuplicates``: passes on the others.

A document is dropped only for a kept one that it resembles itself: chains, in which each document is like the next
and the last like none of the first, do not add up. The similarity is estimated from the whole signature with a
standard error of √(0.7·0.3/120) = 0.04.

Why these steps are written anew. datatrove's (0.10) take every pair that agrees in one bucket for duplicates, join
chains of such pairs, and keep the document that happened to be the root of the union. Their signatures pass through a
word tokenizer and hash every n-gram in Python; their matching holds the files of all chunks open at once and merges
them in Python; and their files are written in place. ``docs/duplicates.md`` has both measured side by side.

Where the numbers come from (measurements in ``docs/duplicates.md``): 5 characters, because every changed character
breaks n of the n-grams: of texts with 2 % of their characters changed 96 % are found with 5, 71 % with 8. 0.7,
because of 40 pairs above it 31 were the same text and 9 the same notice with another date or name, while between 0.45
and 0.6 there are obituaries of different people. 20 × 6 numbers, because they compare 92 % of the pairs of similarity
0.7 and 99.8 % of those of 0.8, where FineWeb's 14 × 8 compare 56 % and 92 %, and what they compare in vain costs
little.
"""

import hashlib
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from chinesebert.errors import InputError
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Range, ThresholdError, check_threshold
from data_prep.ngrams import (
    NormalisedTexts,
    document_batches,
    letters_table,
    ngram_hashes,
    prefix_sums,
)
from data_prep.signature_files import DROP_TYPE, SAME_TEXT, Numbers, SignatureFiles

# The arrays of one batch (4 bytes a character) stay in the second-level cache while 120 hash functions pass over them.
_BATCH_CHARACTERS = 1 << 16
# Matching sorts the keys of at most so many documents at a time: 32 bytes each, half a gigabyte.
_DOCUMENTS_AT_ONCE = 1 << 24
# Signatures of so many documents are compared at a time: measured, two kilobytes each with the copies made of them.
_SIGNATURES_AT_ONCE = 1 << 16
# In one group of a bucket at most so many documents are taken as the first of their kind. Thousands of unlike documents
# that share one long template agree in a bucket by chance; comparing all with all would never end.
_FIRSTS_AT_MOST = 256
# The signature of a text that has no n-gram.
_NOTHING = np.uint32(0xFFFFFFFF)

# Name, pipeline and number of tasks.
Stage = tuple[str, list[PipelineStep], int]
Settings = TypeVar("Settings")


@dataclass(frozen=True)
class DuplicateSettings:
    """What counts as a duplicate; ``dataclasses.asdict`` gives the JSON of it.

    Attributes:
        exact: drop documents with the same normalised text.
        near: drop documents that share most n-grams.
        n_grams: characters of an n-gram.
        buckets, hashes_per_bucket: numbers of a signature. Two documents of similarity s are compared
            with a probability of 1 - (1 - s^hashes_per_bucket)^buckets.
        similarity: from this Jaccard similarity of their n-grams on, two documents are near duplicates.
    """

    exact: bool = True
    near: bool = True
    n_grams: Annotated[int, Range(1, 64)] = 5
    buckets: Annotated[int, Range(1, 1000)] = 20
    hashes_per_bucket: Annotated[int, Range(1, 100)] = 6
    similarity: Annotated[float, Range(0.0, 1.0)] = 0.7

    @classmethod
    def from_section(cls, section: dict[str, Any], where: str) -> "DuplicateSettings":
        """The settings that a section of a YAML file gives; ``where`` is how errors call it (``web.yaml: duplicates``).

        Raises:
            InputError: an unknown name, or a value of a wrong type or out of range.
        """
        return settings_of_section(cls, section, where)


def settings_of_section(kind: type[Settings], section: dict[str, Any], where: str) -> Settings:
    """A dataclass of settings from a section of a YAML file; its fields are annotated as cleaning steps' arguments are.

    Raises:
        InputError: an unknown name, or a value of a wrong type or out of range.
    """
    types = typing.get_type_hints(kind, include_extras=True)
    unknown = [str(name) for name in section if name not in types]
    if unknown:
        raise InputError(f"{where}: unknown setting {unknown[0]!r} (known: {', '.join(types)})")
    values = {}
    for name, value in section.items():
        try:
            values[name] = check_threshold(value, types[name])
        except ThresholdError as error:
            raise InputError(f"{where}: {name}: {error}") from error
    return kind(**values)


def matching_stages(folder: str | Path, settings: DuplicateSettings, chunks: int) -> list[Stage]:
    """What is to be run between ``Signatures`` and ``DropDuplicates``: name, pipeline and number of tasks, in order.

    Args:
        folder: where ``Signatures`` wrote.
        settings: the same as those of ``Signatures``, but ``similarity`` may differ.
        chunks: how many tasks ``Signatures`` had; files of other chunks are not looked at.
    """
    stages: list[Stage] = []
    if settings.exact:
        stages.append(("exact duplicates", [ExactMatches(folder, chunks)], 1))
    if settings.near:
        stages.append(("near duplicates", [NearMatches(folder, settings, chunks)], settings.buckets))
    return [*stages, ("duplicates to drop", [ChooseKept(folder, settings, chunks)], 1)]


# ----------------------------------------------------------------------------------------------------------- signatures


class Signatures(PipelineStep):
    """Writes digest and signature of every document of a chunk; the last step of a pipeline.

    Args:
        folder: where to write; on a file system that all tasks see.
        settings: what counts as a duplicate.
    """

    name = "signatures"
    type = "duplicates"

    def __init__(self, folder: str | Path, settings: DuplicateSettings):
        super().__init__()
        self.folder = Path(folder)
        self.settings = settings

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> None:
        """Writes chunk ``rank``."""
        buckets, hashes = self.settings.buckets, self.settings.hashes_per_bucket
        ids: list[bytes] = []
        digests = [np.empty((0, 2), np.uint64)]
        signatures = [np.empty((0, buckets * hashes), np.uint32)]
        for batch in document_batches(data, _BATCH_CHARACTERS):
            texts = NormalisedTexts([document.text for document in batch], letters_table())
            ids += [document.id.encode("utf-8", "surrogatepass") for document in batch]
            digests.append(text_digests(texts, batch))
            if self.settings.near:
                signatures.append(minhash_signatures(texts, self.settings))
        by_bucket = np.concatenate(signatures).reshape(-1, buckets, hashes).transpose(1, 0, 2)
        SignatureFiles(self.folder, rank + 1).write(
            rank, ids, np.concatenate(digests), np.ascontiguousarray(by_bucket) if self.settings.near else None
        )


def text_digests(texts: NormalisedTexts, documents: list[Document]) -> NDArray[np.uint64]:
    """128 bits that tell normalised texts apart, ``[documents, 2]``.

    A text without any letter or digit (a row of dots) is taken as it is: else all such texts would be the same.
    """
    digests = bytearray()
    for start, end, document in zip(texts.starts, texts.ends, documents, strict=True):
        if start < end:
            digests += hashlib.blake2b(texts.codes[start:end].tobytes(), digest_size=16).digest()
        else:
            raw = document.text.encode("utf-8", "surrogatepass")
            digests += hashlib.blake2b(raw, digest_size=16, person=b"as it is").digest()
    return np.frombuffer(bytes(digests), "<u8").reshape(-1, 2)


def minhash_signatures(texts: NormalisedTexts, settings: DuplicateSettings) -> NDArray[np.uint32]:
    """The signature of each text, ``[texts, buckets × hashes_per_bucket]``; all ones for a text without an n-gram.

    A hash function is x → a·x + b modulo 2³² with odd a, over 32 well-mixed bits of an n-gram: a bijection, whose
    minimum over a set is as good as random (``tests/test_duplicates.py`` measures bias and standard error of the
    estimate), in two instructions for eight n-grams. datatrove's a·x + b modulo 2⁶¹ - 1 costs a division for each.
    """
    hashes = settings.buckets * settings.hashes_per_bucket
    signatures = np.full((len(texts.ends), hashes), _NOTHING)
    shingles = (ngram_hashes(prefix_sums(texts.codes), settings.n_grams) >> np.uint64(32)).astype(np.uint32)
    long_enough = texts.ends - texts.starts >= settings.n_grams
    if not long_enough.any():
        return signatures
    # Every second segment is a text's n-grams; those between run over into the next text.
    bounds = np.column_stack((texts.starts, texts.ends - settings.n_grams + 1))[long_enough].reshape(-1)
    bounds = bounds[bounds < len(shingles)]
    minima = np.empty((hashes, len(bounds)), np.uint32)
    values = np.empty_like(shingles)
    for number, (factor, summand) in enumerate(_hash_functions(hashes)):
        np.multiply(shingles, factor, out=values)
        np.add(values, summand, out=values)
        np.minimum.reduceat(values, bounds, out=minima[number])
    signatures[long_enough] = minima[:, ::2].T
    return signatures


@lru_cache(maxsize=8)
def _hash_functions(count: int) -> list[tuple[np.uint32, np.uint32]]:
    random = np.random.RandomState(1)  # a legacy generator: its numbers are the same in every version of numpy
    factors = random.randint(0, 1 << 32, count, dtype=np.uint32) | np.uint32(1)
    return list(zip(factors, random.randint(0, 1 << 32, count, dtype=np.uint32), strict=True))


# ------------------------------------------------------------------------------------------------------------- matching


class ExactMatches(PipelineStep):
    """Finds the documents whose text an earlier one has already. One task; no documents come in or go out."""

    name = "exact duplicates"
    type = "duplicates"

    def __init__(self, folder: str | Path, chunks: int):
        super().__init__()
        self.files = SignatureFiles(folder, chunks)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Writes pairs (document, first document with its text)."""
        found: list[Numbers] = []
        for keys, numbers in _in_parts(self.files, lambda chunk: self.files.documents(chunk)["digest"]):
            order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: within a group by number
            keys, numbers = keys[order], numbers[order]
            firsts = _firsts(keys)
            found.append(np.column_stack((numbers, numbers[firsts]))[firsts != np.arange(len(firsts))])
        self.files.write_pairs("exact", found)


class NearMatches(PipelineStep):
    """Finds near duplicates among the documents that agree in a bucket: a bucket a task.

    No documents come in or go out.
    """

    name = "near duplicates"
    type = "duplicates"

    def __init__(self, folder: str | Path, settings: DuplicateSettings, chunks: int):
        super().__init__()
        self.files = SignatureFiles(folder, chunks)
        self.settings = settings

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Writes pairs (document, earlier document that it resembles) of bucket ``rank``."""
        exact = self.files.read_pairs("exact")[:, 0] if self.settings.exact else np.empty(0, np.int64)
        found: list[Numbers] = []
        for keys, numbers in _in_parts(self.files, lambda chunk: self._keys(chunk, rank)):
            candidate = (keys[:, 0] != 0) & ~np.isin(numbers, exact)
            for group in _groups(keys[candidate, 0], numbers[candidate]):
                found += self._pairs_in_parts(*group)
        self.files.write_pairs(f"near-{rank:03d}", found)

    def _keys(self, chunk: int, bucket: int) -> NDArray[np.uint64]:
        """A hash of each document's numbers of the bucket; 0 for texts without n-grams."""
        rows = self.files.signatures(chunk)[bucket]
        random = np.random.RandomState(2)
        factors = random.randint(0, 1 << 63, rows.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        keys = (rows * factors).sum(axis=1, dtype=np.uint64)
        keys ^= keys >> np.uint64(32)
        keys[(rows == _NOTHING).all(axis=1)] = 0
        return keys[:, None]

    def _pairs_in_parts(self, groups: Numbers, numbers: Numbers) -> Iterator[Numbers]:
        """``_similar_pairs``; of one large group a part at a time, behind the firsts of the parts before it."""
        firsts = numbers[:0]
        for start in range(0, len(numbers), _SIGNATURES_AT_ONCE):
            added = slice(start, start + _SIGNATURES_AT_ONCE)
            part = np.concatenate((firsts, numbers[added]))
            within = np.concatenate((np.full(len(firsts), groups[0]), groups[added]))
            pairs = np.concatenate(list(self._similar_pairs(within, part)))
            yield pairs
            firsts = part[~np.isin(part, pairs[:, 0])][:_FIRSTS_AT_MOST]  # they are unlike one another

    def _similar_pairs(self, groups: Numbers, numbers: Numbers) -> Iterator[Numbers]:
        """Compares the documents of each group with its first; those unlike it with the first of these, and so on."""
        signatures = self.files.rows(numbers)
        for _ in range(_FIRSTS_AT_MOST):
            if not len(numbers):
                return
            firsts = _firsts(groups[:, None])
            like = _similarities(signatures, signatures[firsts]) >= self.settings.similarity
            pairs = np.column_stack((numbers, numbers[firsts]))
            yield pairs[like & (firsts != np.arange(len(firsts)))]
            groups, numbers, signatures = groups[~like], numbers[~like], signatures[~like]


def _in_parts(
    files: SignatureFiles, keys_of: Callable[[int], NDArray[np.uint64]]
) -> Iterator[tuple[NDArray[np.uint64], Numbers]]:
    """The keys ``[documents, …]`` of all chunks with the documents' numbers; equal keys come in the same part."""
    parts = -(-files.offsets[-1] // _DOCUMENTS_AT_ONCE)
    for part in range(parts):
        keys, numbers = [], []
        for chunk in range(files.count):
            found = keys_of(chunk)
            here = np.flatnonzero(found[:, 0] % np.uint64(parts) == part)
            keys.append(found[here])
            numbers.append(here + files.offsets[chunk])
        yield np.concatenate(keys), np.concatenate(numbers)


def _firsts(keys: NDArray[Any]) -> Numbers:
    """For each row of the sorted ``keys`` the index of the first equal one."""
    starts = np.ones(len(keys), bool)
    starts[1:] = np.any(keys[1:] != keys[:-1], axis=1)
    return np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))


def _groups(keys: NDArray[np.uint64], numbers: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Documents that share their key with another: number of the group and of the document, some groups at a time.

    More than ``_SIGNATURES_AT_ONCE`` documents are always of a single group.
    """
    order = np.argsort(keys, kind="stable")
    firsts = _firsts(keys[order, None])
    shared = np.bincount(firsts, minlength=len(firsts))[firsts] > 1
    groups, numbers = firsts[shared], numbers[order][shared]
    start = 0
    while start < len(groups):
        end = min(start + _SIGNATURES_AT_ONCE, len(groups))
        if end < len(groups):  # before the group that has no room; all of it if it is the first
            end = int(np.searchsorted(groups, groups[end]))
            if end == start:
                end = int(np.searchsorted(groups, groups[start], side="right"))
        yield groups[start:end], numbers[start:end]
        start = end


def _similarities(some: NDArray[np.uint32], others: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of each pair of signatures."""
    return np.mean(some == others, axis=1)


# ------------------------------------------------------------------------------------------------------------- choosing


class ChooseKept(PipelineStep):
    """Decides which documents are dropped, and for which. One task; no documents come in or go out.

    In the order of the input: a document is dropped if it resembles a kept one; of several the first is named.
    """

    name = "duplicates to drop"
    type = "duplicates"

    def __init__(self, folder: str | Path, settings: DuplicateSettings, chunks: int):
        super().__init__()
        self.files = SignatureFiles(folder, chunks)
        self.settings = settings

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Writes, for every chunk, which of its documents are dropped."""
        kept = self._near()
        if self.settings.exact:
            kept |= {document: kept.get(first, first) for document, first in self.files.read_pairs("exact").tolist()}
        documents = np.array(sorted(kept), np.int64)
        drops = np.empty(len(documents), DROP_TYPE)
        keepers = np.array([kept[document] for document in documents.tolist()], np.int64)
        drops["kept_chunk"], drops["kept_document"] = self.files.locate(keepers)
        chunks, drops["document"] = self.files.locate(documents)
        for start in range(0, len(documents), _SIGNATURES_AT_ONCE):
            part = slice(start, start + _SIGNATURES_AT_ONCE)
            drops["similarity"][part] = self._compare(documents[part], keepers[part])
        self.files.write_drops(chunks, drops)

    def _near(self) -> dict[int, int]:
        """Document -> the kept one that it is a near duplicate of."""
        if not self.settings.near:
            return {}
        found = [self.files.read_pairs(f"near-{bucket:03d}") for bucket in range(self.settings.buckets)]
        pairs = np.unique(np.concatenate(found), axis=0)
        kept: dict[int, int] = {}
        for document, group in groupby(map(tuple, pairs.tolist()), key=itemgetter(0)):
            firsts = {first for _, first in group}
            for candidate in sorted({kept.get(first, first) for first in firsts}):
                if candidate in firsts or self._similar(document, candidate):
                    kept[document] = candidate
                    break
        return kept

    def _similar(self, document: int, other: int) -> bool:
        signatures = self.files.rows(np.array([document, other]))
        return bool(np.mean(signatures[0] == signatures[1]) >= self.settings.similarity)

    def _compare(self, documents: Numbers, others: Numbers) -> NDArray[np.float32]:
        """2 for the same text, else the estimated similarity."""
        files = self.files
        same = (files.digests(documents) == files.digests(others)).all(axis=1)
        similarity = np.where(same, SAME_TEXT, np.float32(0))
        if self.settings.near:
            similarity[~same] = _similarities(files.rows(documents[~same]), files.rows(others[~same]))
        return similarity


# ------------------------------------------------------------------------------------------------------------- dropping


class DropDuplicates(CleaningStep):
    """Passes on the documents of a chunk that stay.

    It knows them by their number in the chunk: it must get all that ``Signatures`` got, in the same order.

    Args:
        folder: where ``Signatures`` wrote and the matching stages decided.
    """

    name = "duplicates"

    def __init__(self, folder: str | Path):
        super().__init__()
        self.folder = str(folder)

    def clean(self, text: str) -> str:
        """The text as it is: whether a document stays depends on the others, not on its text."""
        return text

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Passes on what is kept of chunk ``rank``."""
        files = SignatureFiles(self.folder, rank + 1)
        # Nobody reads the details of documents that are not kept, and looking up what they resemble opens a file.
        name_of = lru_cache(maxsize=None)(files.document_id) if self.rejected is not None else None
        drops = {int(drop["document"]): drop for drop in files.read_drops(rank)}
        number = 0
        for number, document in enumerate(data, start=1):
            drop = drops.get(number - 1)
            if drop is None:
                yield document
            else:
                self.drop(document, _why(drop, name_of))
        if number != files.size(rank):
            raise InputError(
                f"{self.folder}: chunk {rank} has {number} documents now, had {files.size(rank)} when they were "
                "compared; remove the folder and run again"
            )


def _why(drop: np.void, name_of: Callable[[int, int], str] | None) -> Dropped:
    same = drop["similarity"] == SAME_TEXT
    reason = "exact duplicate" if same else "near duplicate"
    if name_of is None:
        return Dropped(reason)
    name = name_of(int(drop["kept_chunk"]), int(drop["kept_document"]))
    return Dropped(reason, f"of {name}" if same else f"of {name}, similarity {drop['similarity']:.2f}")


def dropped_documents(folder: str | Path, chunk: int) -> Numbers:
    """The numbers of the documents of a chunk that ``DropDuplicates`` drops."""
    return SignatureFiles(folder, chunk + 1).read_drops(chunk)["document"].astype(np.int64)
