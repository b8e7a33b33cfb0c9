"""Drops documents that contain text of evaluation sets, so that scores on these measure understanding, not memory.

A document is dropped where it shares a run of ``n_grams`` Han characters with an evaluation set, or where an
evaluation text shorter than that is a whole sentence or paragraph of it. Only Han characters count, so that
punctuation, white space and digits do not matter. Text in other scripts is not looked at, and traditional characters
do not match simplified ones.

**20 characters.** GPT-3 (Brown et al. 2020, appendix C) takes 8 to 13 words, and Chinese words have 1.6 characters in
running text: 13 words are 21 characters. Measured on 12.6 million characters of news, law, history, fiction and
technology against 32 evaluation sets (4.4 million n-grams): with n = 13, 5.3 % of the documents match, and what
matches are formulas of statutes and titles of office (构成犯罪的依法追究刑事责任, 中共中央政治局委员中央书记处书记);
with 16 2.4 %, with 18 0.4 %, with 20 none. That corpus had been freed of these sets at n = 20 by another program.

**Short texts** (titles, questions) count from ``shortest_text`` characters on, and as whole sentences only. In 70
million characters, those of 13 to 19 match in 11 documents: four copied reviews, four quotations of the same verse or
definition, three formulas. Those of 8 to 12 match in 14, all of which anybody may write (说起来容易做起来难).

**Common phrases.** Formulas of more than 20 characters do occur, and in a large corpus a single one would take
thousands of documents along. What more than ``common_after`` documents contain is therefore not counted; GPT-3 and
NeMo Curator take 10, for the same reason. Duplicates of one another count once, else a leaked page with a dozen
copies would pass for a common phrase. This takes a look at the whole corpus before anything is dropped:

1. ``build_index``: the n-grams of the evaluation sets.
2. ``EvaluationMatches``: passes documents on and writes which n-grams they contain; a chunk a task, before
   ``Signatures``.
3. ``CommonPhrases``: counts; one task, after the duplicates are known.
4. ``Decontaminate``: drops, after ``DropDuplicates``.

With ``common_after`` 0 steps 2 and 3 are not needed.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from chinesebert.atomic import atomic_directory, atomic_file
from chinesebert.checksums import file_sha256
from chinesebert.errors import InputError
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Range
from data_prep.duplicates import Stage, dropped_documents, settings_of_section
from data_prep.evaluation_texts import EvaluationFile, find_evaluation_files, read_texts
from data_prep.ngrams import (
    TABLE_SIZE,
    NormalisedTexts,
    document_batches,
    han_table,
    ngram_hashes,
    prefix_sums,
    span_hashes,
)
from data_prep.wording import counted

# Long enough arrays for numpy, short enough for the second-level cache.
_BATCH_CHARACTERS = 1 << 16
# Before the sorted hashes are searched, a bit says whether a hash can be there at all: 16 bits an entry let 6 % of the
# others pass. It makes the search ten times as fast.
_FILTER_BITS = 16
_SENTENCE_ENDS = "。！？；…!?;\n"
_INDEX_VERSION = 2

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class DecontaminationSettings:
    """What counts as text of an evaluation set; ``dataclasses.asdict`` gives the JSON of it.

    Attributes:
        n_grams: a document that shares a run of so many Han characters with an evaluation set is dropped.
        shortest_text: evaluation texts from this length up to ``n_grams`` count where they are a whole sentence or
            paragraph; shorter ones never do.
        short_text_share: such a text counts where it makes up at least this share of the Han characters of a document.
        common_after: n-grams and texts that more documents than this contain are not counted; 0: all are.
    """

    n_grams: Annotated[int, Range(2, 1000)] = 20
    shortest_text: Annotated[int, Range(1, 1000)] = 13
    short_text_share: Annotated[float, Range(0.0, 1.0)] = 0.05
    common_after: Annotated[int, Range(0)] = 10

    @classmethod
    def from_section(cls, section: dict[str, Any], where: str) -> "DecontaminationSettings":
        """The settings that a section of a YAML file gives; ``where`` is how errors call it.

        Raises:
            InputError: an unknown name, or a value of a wrong type or out of range.
        """
        return settings_of_section(cls, section, where)


def evaluation_fingerprint(paths: Iterable[str | Path]) -> dict[str, str]:
    """Name (different for every file) -> SHA-256, as plain JSON: to notice that evaluation files have changed.

    Raises:
        InputError: a path does not exist or cannot be read.
    """
    return {file.name: _sha256(file.path) for file in find_evaluation_files(paths)}


def counting_stages(
    index_folder: str | Path,
    folder: str | Path,
    settings: DecontaminationSettings,
    chunks: int,
    duplicates: str | Path | None = None,
) -> list[Stage]:
    """What is to be run between ``EvaluationMatches`` and ``Decontaminate``: name, pipeline and number of tasks.

    Args:
        index_folder: of ``build_index``.
        folder: where ``EvaluationMatches`` wrote.
        settings: those of the index.
        chunks: how many tasks ``EvaluationMatches`` had.
        duplicates: the folder in which the documents to drop as duplicates are noted, where there are such.
    """
    if not settings.common_after:
        return []
    return [("common phrases", [CommonPhrases(index_folder, folder, chunks, duplicates)], 1)]


# ---------------------------------------------------------------------------------------------------------------- index


@dataclass(frozen=True)
class IndexReport:
    """What ``build_index`` read.

    Attributes:
        files: with Chinese text.
        texts: in them, repeated ones counted again.
        n_grams: different ones, short texts included.
        skipped: names of files with what is the matter: no text, or none in Chinese.
    """

    files: int
    texts: int
    n_grams: int
    skipped: list[str]

    def lines(self) -> list[str]:
        """For the user to read."""
        counts = [(self.files, "file"), (self.texts, "text"), (self.n_grams, "different n-gram")]
        read = f"evaluation sets: {', '.join(counted(*count) for count in counts)}"
        return [read, *(f"  passed over {name}" for name in self.skipped)]


def build_index(
    paths: Iterable[str | Path], folder: str | Path, settings: DecontaminationSettings | None = None
) -> IndexReport:
    """Writes the index of all evaluation files below ``paths``; the same files give the same bytes.

    Raises:
        InputError: a path does not exist or holds no Chinese text, a file cannot be read, or no text is long enough.
    """
    paths = list(paths)
    builder = _IndexBuilder(settings or DecontaminationSettings())
    with_text = [file.path for file in find_evaluation_files(paths) if builder.add(file)]
    for path in paths:
        if not any(file.is_relative_to(Path(path).resolve()) for file in with_text):
            raise InputError(f"{path}: no Chinese text in it; give the files of evaluation sets, or a folder of them")
    return builder.write(Path(folder))


class _IndexBuilder:
    def __init__(self, settings: DecontaminationSettings):
        self.settings = settings
        self.files: list[tuple[str, str]] = []  # name, SHA-256
        self.skipped: list[str] = []
        self.texts = 0
        self._hashes: list[Hashes] = [np.empty(0, np.uint64)]
        self._file_numbers: list[NDArray[np.uint32]] = [np.empty(0, np.uint32)]

    def add(self, file: EvaluationFile) -> bool:
        """Reads one file; whether there is Chinese text in it."""
        texts = read_texts(file.path)
        if not texts:
            self.skipped.append(f"{file.name}: {'not a text file' if texts is None else 'no Chinese text'}")
            return False
        hashes = np.unique(_entries(NormalisedTexts(texts, han_table()), self.settings))
        self._hashes.append(hashes)
        self._file_numbers.append(np.full(len(hashes), len(self.files), np.uint32))
        self.files.append((file.name, _sha256(file.path)))
        self.texts += len(texts)
        return True

    def write(self, folder: Path) -> IndexReport:
        """Writes all that was added."""
        hashes, first = np.unique(np.concatenate(self._hashes), return_index=True)  # named is the first file
        if not len(hashes):
            raise self._all_too_short()
        report = IndexReport(len(self.files), self.texts, len(hashes), self.skipped)
        description = {"version": _INDEX_VERSION, "settings": asdict(self.settings), "files": self.files}
        with atomic_directory(folder, overwrite=True) as unfinished:
            np.save(unfinished / "hashes.npy", hashes)
            np.save(unfinished / "files.npy", np.concatenate(self._file_numbers)[first])
            np.save(unfinished / "filter.npy", _filter(hashes))
            text = json.dumps(description | asdict(report) | {"files": self.files}, ensure_ascii=False, indent=1)
            (unfinished / "index.json").write_text(text, encoding="utf-8")
        return report

    def _all_too_short(self) -> InputError:
        shortest = min(self.settings.shortest_text, self.settings.n_grams)
        names = ", ".join(name for name, _ in self.files[:3]) + (", …" if len(self.files) > 3 else "")
        return InputError(
            f"{names}: no text of at least {shortest} Han characters in the evaluation sets, and shorter ones are "
            "not looked for; give sets with longer texts, or a smaller shortest_text in the section decontamination "
            "of the cleaning file"
        )


def _entries(texts: NormalisedTexts, settings: DecontaminationSettings) -> Hashes:
    """The hashes of all n-grams, and of the whole texts that are shorter."""
    sums = prefix_sums(texts.codes)
    starts = np.arange(max(len(texts.codes) - settings.n_grams + 1, 0))
    within = starts + settings.n_grams <= texts.end_of(starts)
    lengths = texts.ends - texts.starts
    short = (lengths >= settings.shortest_text) & (lengths < settings.n_grams)
    whole = span_hashes(sums, texts.starts[short], texts.ends[short])
    return np.concatenate((ngram_hashes(sums, settings.n_grams)[within], whole))


def _filter(hashes: Hashes) -> NDArray[np.uint8]:
    """A bit for each value of the leading bits of a hash: whether one of ``hashes`` begins with them."""
    bits = np.zeros(1 << max(len(hashes) * _FILTER_BITS - 1, 8).bit_length(), bool)
    bits[(hashes >> _filter_shift(len(bits))).astype(np.int64)] = True
    return np.packbits(bits, bitorder="little")


def _filter_shift(bits: int) -> np.uint64:
    return np.uint64(64 - (bits - 1).bit_length())


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see that it can, or take it away") from error


# ------------------------------------------------------------------------------------------------------------- matching


class Matches(NamedTuple):
    """Where texts contain entries of the index; sorted by text and place.

    ``starts`` and ``ends`` count the Han characters of all texts through.
    """

    texts: Numbers
    entries: Numbers
    starts: Numbers
    ends: Numbers


class EvaluationIndex:
    """The index that ``build_index`` wrote; its arrays are mapped, not read, so that processes share them."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            description = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self.hashes: Hashes = np.load(folder / "hashes.npy", mmap_mode="r")
            self.file_numbers: NDArray[np.uint32] = np.load(folder / "files.npy", mmap_mode="r")
            self._filter: NDArray[np.uint8] = np.load(folder / "filter.npy", mmap_mode="r")
            self.settings = DecontaminationSettings(**description["settings"])
            self.files: list[str] = [name for name, _ in description["files"]]
        except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder}: no index of evaluation sets, or a damaged one ({error}); build it again"
            ) from error

    def find(self, texts: NormalisedTexts) -> Matches:
        """All places of ``texts`` (of ``han_table``) where an n-gram or a short text of an evaluation set stands."""
        n_grams = self.settings.n_grams
        sums = prefix_sums(texts.codes)
        hashes = ngram_hashes(sums, n_grams)
        starts = self._possible(hashes)
        starts = starts[starts + n_grams <= texts.end_of(starts)]
        sentence_starts, sentence_ends = self._short_sentences(texts)
        starts, ends = (
            np.concatenate((starts, sentence_starts)),
            np.concatenate((starts + n_grams, sentence_ends)),
        )
        entries = self._look_up(span_hashes(sums, starts, ends))
        found = np.flatnonzero(entries >= 0)
        found = found[np.argsort(starts[found], kind="stable")]
        text_numbers = np.searchsorted(texts.ends, starts[found], side="right")
        return Matches(text_numbers, entries[found], starts[found], ends[found])

    def _possible(self, hashes: Hashes) -> Numbers:
        places = hashes >> _filter_shift(len(self._filter) * 8)
        bits = self._filter[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8)
        return np.flatnonzero(bits & 1)

    def _look_up(self, hashes: Hashes) -> Numbers:
        """The number of each hash in the index, -1 for what is not there."""
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[places] == hashes, places, -1)

    def _short_sentences(self, texts: NormalisedTexts) -> tuple[Numbers, Numbers]:
        """Sentences and paragraphs that are shorter than an n-gram, but not too small a part of their document."""
        paragraphs = _spans(texts, np.flatnonzero(texts.raw == ord("\n")))
        sentences = _spans(texts, np.flatnonzero(_sentence_end_table().take(texts.raw, mode="clip")))
        spans = np.unique(np.concatenate((paragraphs, sentences)), axis=0)
        lengths = spans[:, 1] - spans[:, 0]
        documents = np.searchsorted(texts.ends, spans[:, 0], side="right").clip(max=len(texts.ends) - 1)
        least = self.settings.short_text_share * (texts.ends - texts.starts)[documents]
        short = (lengths >= self.settings.shortest_text) & (lengths < self.settings.n_grams) & (lengths >= least)
        return spans[short, 0], spans[short, 1]


def _spans(texts: NormalisedTexts, marks: Numbers) -> Numbers:
    """Start and end of what stands between marks, given by their places in the text: ``[spans, 2]``."""
    bounds = np.unique(np.concatenate((texts.starts, texts.ends, np.searchsorted(texts.positions, marks))))
    return np.column_stack((bounds[:-1], bounds[1:]))


@lru_cache(maxsize=1)
def _sentence_end_table() -> NDArray[np.bool_]:
    table = np.zeros(TABLE_SIZE + 1, bool)
    table[[ord(character) for character in _SENTENCE_ENDS]] = True
    return table


class EvaluationMatches(PipelineStep):
    """Passes on all documents of a chunk and writes which entries of the index they contain.

    Args:
        index_folder: of ``build_index``.
        folder: where to write; on a file system that all tasks see.
    """

    name = "evaluation text"
    type = "decontamination"

    def __init__(self, index_folder: str | Path, folder: str | Path):
        super().__init__()
        self.index_folder, self.folder = Path(index_folder), Path(folder)

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Writes when all documents of chunk ``rank`` have passed."""
        index = EvaluationIndex(self.index_folder)
        found = [np.empty((0, 2), np.int64)]
        number = 0
        for batch in document_batches(data, _BATCH_CHARACTERS):
            matches = index.find(NormalisedTexts([document.text for document in batch], han_table()))
            found.append(np.column_stack((matches.texts + number, matches.entries)))
            number += len(batch)
            yield from batch
        _save(_matches_path(self.folder, rank), np.unique(np.concatenate(found), axis=0))


class CommonPhrases(PipelineStep):
    """Finds the entries of the index that too many documents contain. One task; no documents come in or go out."""

    name = "common phrases"
    type = "decontamination"

    def __init__(self, index_folder: str | Path, folder: str | Path, chunks: int, duplicates: str | Path | None = None):
        super().__init__()
        self.index_folder, self.folder, self.chunks = Path(index_folder), Path(folder), chunks
        self.duplicates = Path(duplicates) if duplicates is not None else None

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Writes the numbers of the common entries."""
        index = EvaluationIndex(self.index_folder)
        documents = np.zeros(len(index.hashes), np.uint32)
        for chunk in range(self.chunks):
            matches = _load(_matches_path(self.folder, chunk))
            if self.duplicates is not None:
                matches = matches[~np.isin(matches[:, 0], dropped_documents(self.duplicates, chunk))]
            entries, counts = np.unique(matches[:, 1], return_counts=True)
            documents[entries] += counts.astype(np.uint32)
        _save(self.folder / "common.npy", np.flatnonzero(documents > index.settings.common_after))


class Decontaminate(CleaningStep):
    """Drops documents that contain text of an evaluation set.

    Args:
        index_folder: of ``build_index``.
        folder: where ``CommonPhrases`` wrote; without it no phrase counts as common.
    """

    name = "decontamination"

    def __init__(self, index_folder: str | Path, folder: str | Path | None = None):
        super().__init__()
        self.index_folder = str(index_folder)
        self.folder = str(folder) if folder is not None else None

    def clean(self, text: str) -> str | Dropped:
        """``text`` itself, or which file and string it has in common."""
        return self._why([text])[0] or text

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Passes on what is kept."""
        for batch in document_batches(data, _BATCH_CHARACTERS):
            for document, why in zip(batch, self._why([document.text for document in batch]), strict=True):
                if why is None:
                    yield document
                else:
                    self.drop(document, why)

    def _why(self, texts: list[str]) -> list[Dropped | None]:
        normalised = NormalisedTexts(texts, han_table())
        found: list[Dropped | None] = [None] * len(texts)
        with_common = set()
        for text, entry, start, end in zip(*self._index.find(normalised), strict=True):
            if entry in self._common:
                with_common.add(text)
            elif found[text] is None:
                name = self._index.files[self._index.file_numbers[entry]]
                found[text] = Dropped("contains evaluation text", f"{name}: {normalised.original(start, end)}")
        for text in with_common:
            if found[text] is None:
                self.tally.add_kept("only phrases of many documents")
        return found

    @cached_property
    def _index(self) -> EvaluationIndex:
        return EvaluationIndex(Path(self.index_folder))

    @cached_property
    def _common(self) -> frozenset[int]:
        return frozenset(_load(Path(self.folder) / "common.npy").tolist()) if self.folder else frozenset()


def _matches_path(folder: Path, chunk: int) -> Path:
    return folder / f"matches/{chunk:05d}.npy"


def _save(path: Path, array: NDArray[Any]) -> None:
    with atomic_file(path) as unfinished, open(unfinished, "wb") as file:
        np.save(file, array)


def _load(path: Path) -> NDArray[Any]:
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); run the stage that writes it again") from error
