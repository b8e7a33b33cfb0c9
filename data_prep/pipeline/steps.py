"""The steps of the pipeline, as datatrove runs them: task number in, documents through, files out.

Every step can run again after it was killed anywhere: it writes aside and renames, and reads only what earlier stages
have completed.
"""

import functools
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from chinesebert.atomic import atomic_file
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.format import SCHEMA as CORPUS_SCHEMA
from chinesebert.corpus.format import Block
from chinesebert.corpus.writer import write_corpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.words import Segmenter, UserWords
from data_prep.cleaning.step import CleaningStep, Tally
from data_prep.pipeline.chunks import ChunkWriter, UnfinishedStream, read_chunk
from data_prep.pipeline.outcome import read_outcome
from data_prep.pipeline.progress import TaskProgress
from data_prep.pipeline.workspace import Workspace, chunks_of
from data_prep.readers import BadRecords, Source, read_documents

# Annotated at a time: the arrays stay in the cache. Measured on two cores of an AMD EPYC: 1.9M characters/s at 60,000,
# 2.2M at 250,000, 2.1M at 1,000,000.
_ANNOTATED_TOGETHER = 250_000


class ReadInputs(PipelineStep):
    """Reads a group of input files and writes their documents to chunks.

    Args:
        workspace: where ``inputs.json`` lies.
        chunk_characters: a chunk ends with the document that brings it to this size.
        text_field: of JSON lines and Parquet.
        strict: whether a bad record is an error.
    """

    name = "read"
    type = "reader"

    def __init__(self, workspace: Workspace, chunk_characters: int, text_field: str, strict: bool) -> None:
        super().__init__()
        self._workspace, self._chunk_characters = workspace, chunk_characters
        self._text_field, self._strict = text_field, strict

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Reads group ``rank``; passes nothing on."""
        bad = BadRecords(self._strict)
        progress = TaskProgress(self._workspace, "read", rank)
        documents = self._documents(load_group(self._workspace, rank), bad)
        parts = 0
        for part, first in enumerate(documents):
            parts = part + 1
            with ChunkWriter(self._workspace.chunk("read", rank, part)) as chunk:
                _fill(chunk, first, documents, self._chunk_characters, progress)
        progress.save()
        self._remove_leftovers(rank, parts)
        counts: dict[str, Any] = {"documents": progress.documents, "characters": progress.characters}
        counts |= {"chunks": parts, "bad": bad.to_dict()}
        self._workspace.save_json(self._workspace.task_file("counts", "read", rank), counts)
        yield from ()

    def _remove_leftovers(self, rank: int, parts: int) -> None:
        """Chunks that an earlier try had more of. Not before: another try may be at work on some other machine."""
        for path in self._workspace.chunk("read", rank).parent.glob(f"{rank:08d}-*.arrow"):
            if int(path.stem.rpartition("-")[2]) >= parts:
                path.unlink(missing_ok=True)

    def _documents(self, sources: list[Source], bad: BadRecords) -> Iterator[Document]:
        for source in sources:
            for document in read_documents(source, bad, self._text_field):
                yield Document(text="\n".join(document.paragraphs), id=document.source)


def _fill(
    chunk: ChunkWriter, first: Document, documents: Iterator[Document], characters: int, progress: TaskProgress
) -> None:
    document: Document | None = first
    while document is not None:
        chunk.add(document)
        progress.add(1, len(document.text))
        document = next(documents, None) if chunk.characters < characters else None


def save_groups(workspace: Workspace, groups: list[list[Source]]) -> None:
    """Writes which task reads which files, a file a task: there may be a million of them."""
    for number, group in enumerate(groups):
        workspace.save_json(workspace.task_file("inputs", "read", number), [vars(source) for source in group])


def load_group(workspace: Workspace, number: int) -> list[Source]:
    """What ``save_groups`` wrote for one task."""
    path = workspace.task_file("inputs", "read", number)
    return [Source(**source) for source in json.loads(path.read_text(encoding="utf-8"))]


class ReadChunk(PipelineStep):
    """Passes on the documents of one chunk of an earlier stage, and keeps count of them for the progress bar."""

    name = "read chunk"
    type = "reader"

    def __init__(self, workspace: Workspace, source: str, stage: str) -> None:
        super().__init__()
        self._workspace, self._source, self._stage = workspace, source, stage

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Reads chunk ``rank``."""
        progress = TaskProgress(self._workspace, self._stage, rank)
        for document in read_chunk(chunks_of(self._workspace.directory / self._source)[rank]):
            characters = len(document.text)
            yield document
            progress.add(1, characters)
        progress.save()


class CleaningRow(PipelineStep):
    """Cleaning steps one after another; when they are through, writes what each has done and what was dropped.

    Args:
        workspace: where to write.
        stage: the stage that this is part of.
        steps: what documents pass, in order.
        keep_rejected: whether dropped documents are written to ``rejected/``.
    """

    name = "cleaning"
    type = "cleaning"

    def __init__(self, workspace: Workspace, stage: str, steps: list[CleaningStep], keep_rejected: bool) -> None:
        super().__init__()
        self._workspace, self._stage = workspace, stage
        self._steps, self._keep_rejected = steps, keep_rejected

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Passes on what is kept of chunk ``rank``."""
        rejected: list[Document] = []
        for step in self._steps:
            step.tally = Tally()
            step.rejected = rejected if self._keep_rejected else None
            data = step.run(data, rank, world_size)
        yield from data
        if rejected:
            self._write_rejected(rejected, rank)
        counts = {"steps": [{"name": step.name, **vars(step.tally)} for step in self._steps]}
        self._workspace.save_json(self._workspace.task_file("counts", self._stage, rank), counts)

    def _write_rejected(self, rejected: list[Document], rank: int) -> None:
        path = self._workspace.rejected / f"{self._stage}-{rank:08d}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (_rejected_line(document) for document in rejected)
        with atomic_file(path) as unfinished:
            unfinished.write_bytes(gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0))


def _rejected_line(document: Document) -> str:
    names = ("dropped_by", "reason", "detail")
    record: dict[str, Any] = {name: document.metadata.get(name, "") for name in names}
    return json.dumps(record | {"source": document.id, "text": document.text}, ensure_ascii=False) + "\n"


class WriteChunk(PipelineStep):
    """Writes the documents that come to a chunk, and passes them on."""

    name = "write chunk"
    type = "writer"

    def __init__(self, workspace: Workspace, stage: str) -> None:
        super().__init__()
        self._workspace, self._stage = workspace, stage

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Writes chunk ``rank``."""
        with ChunkWriter(self._workspace.chunk(self._stage, rank)) as chunk:
            for document in data:
                chunk.add(document)
                yield document


@functools.lru_cache(maxsize=1)
def load_annotator(workspace: Workspace, fingerprint: str) -> Annotator:
    """The annotator of a run. Loading takes a second, so every process does it once for each ``fingerprint``."""
    tokenizer = ChineseBertTokenizer.from_directory(workspace.tokenizer)
    return Annotator(tokenizer, load_segmenter(workspace))


def load_segmenter(workspace: Workspace) -> Segmenter:
    """The segmenter of a run, with the user's words."""
    if not workspace.words.exists():
        return Segmenter()
    content = json.loads(workspace.words.read_text(encoding="utf-8"))
    return Segmenter(UserWords(tuple(map(tuple, content["frequencies"])), content["balance"]))


class Annotate(PipelineStep):
    """Annotates the documents that come and writes them as a piece of the corpus; passes nothing on.

    Args:
        workspace: where tokenizer and words lie.
        fingerprint: of tokenizer and words.
    """

    name = "annotate"
    type = "annotation"

    def __init__(self, workspace: Workspace, fingerprint: str) -> None:
        super().__init__()
        self._workspace, self._fingerprint = workspace, fingerprint

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Writes piece ``rank``."""
        annotator = load_annotator(self._workspace, self._fingerprint)
        documents = characters = 0
        empty: list[int] = []  # characters of each document without a token
        with UnfinishedStream(self._workspace.chunk("pieces", rank), CORPUS_SCHEMA) as piece:
            for texts in _batches(data):
                annotations = annotator.annotate(texts)
                piece.write(annotations.block().batch())
                without = np.flatnonzero(np.diff(annotations.document_starts) == 0).tolist()
                empty += [len(texts[number]) for number in without]
                documents += len(texts)
                characters += sum(map(len, texts))
        counts = {"documents": documents - len(empty), "characters": characters - sum(empty)}
        counts |= {"empty_documents": len(empty), "empty_characters": sum(empty)}
        self._workspace.save_json(self._workspace.task_file("counts", "pieces", rank), counts)
        yield from ()


def _batches(documents: DocumentsPipeline) -> Iterator[list[str]]:
    texts: list[str] = []
    size = 0
    for document in documents:
        texts.append(document.text)
        size += len(document.text)
        if size >= _ANNOTATED_TOGETHER:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


class Assemble(PipelineStep):
    """Puts the pieces together to shards, in the order of the input; one task."""

    name = "assemble"
    type = "writer"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Writes ``corpus/`` anew."""
        for leftover in self._workspace.directory.glob(f".{self._workspace.corpus.name}.unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a try that was killed
        tokenizer = ChineseBertTokenizer.from_directory(self._workspace.tokenizer)
        segmenter = load_segmenter(self._workspace).version
        skipped = read_outcome(self._workspace).skipped_records()
        write_corpus(self._workspace.corpus, self._blocks(rank), tokenizer, segmenter, skipped, overwrite=True)
        yield from ()

    def _blocks(self, rank: int) -> Iterator[Block]:
        progress = TaskProgress(self._workspace, "assemble", rank)
        counts = self._workspace.load_task_files("counts", "pieces")
        for path, count in zip(chunks_of(self._workspace.directory / "pieces"), counts, strict=True):
            yield from _blocks(path)
            progress.add(count["documents"], count["characters"])
        progress.save()


def _blocks(path: Path) -> Iterator[Block]:
    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
        for batch in stream:
            yield Block.from_batch(batch)
