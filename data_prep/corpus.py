"""``python -m data_prep corpus``: text files -> prepared corpus (token ids, pinyin, word and sentence starts)."""

import argparse
import multiprocessing
import multiprocessing.pool
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from chinesebert.corpus.annotate import AnnotatedDocument, Annotator
from chinesebert.corpus.format import Manifest
from data_prep.readers import BadRecords, Document, find_inputs, read_documents
from chinesebert.corpus.writer import EmptyCorpusError, write_corpus
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY, ChineseBertTokenizer

# Documents go to the workers in chunks of about this many characters: large enough that passing them costs little.
_CHUNK_CHARACTERS = 100_000
# So many chunks a worker may be under way at once: keeps everybody busy, and memory flat in the size of the corpus.
_CHUNKS_AHEAD = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep corpus``."""
    parser.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="FILE",
        help="text files or folders of them: .txt[.gz] (a paragraph a line, a blank line ends a document), "
        ".jsonl[.gz] (a document a line)",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the prepared corpus to write")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR|vocab.txt",
        help="a saved tokenizer or a vocabulary file (default: the vocabulary of this package)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes; the output is the same for any number")
    parser.add_argument("--text_field", default="text", help="field of JSON lines that holds the text")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad line instead of skipping it")
    parser.add_argument("--overwrite", action="store_true", help="replace a corpus that is already there")


def run(args: argparse.Namespace) -> None:
    """Prepares the corpus and prints what is in it."""
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: give at least 1")
    started = time.monotonic()
    files = find_inputs(args.input)
    tokenizer = load_tokenizer(args.tokenizer)
    bad = BadRecords(args.strict)
    documents = _annotated(_with_progress(_read_all(files, bad, args.text_field)), tokenizer, args.workers)
    try:
        manifest = write_corpus(args.output, documents, tokenizer, bad.counts, args.overwrite)
    except EmptyCorpusError as error:
        bad.report()
        raise InputError(f"{', '.join(map(str, args.input))}: {error}") from error
    _report(args.output, manifest, bad, time.monotonic() - started)


def load_tokenizer(path: str | None) -> ChineseBertTokenizer:
    """The tokenizer of a saved directory or over a vocabulary file; the default one without a path.

    Raises:
        InputError: there is nothing at ``path``, or no tokenizer.
    """
    if path is None:
        return ChineseBertTokenizer.from_vocabulary(DEFAULT_VOCABULARY)
    if not Path(path).is_dir():
        return ChineseBertTokenizer.from_vocabulary(path)
    return ChineseBertTokenizer.from_directory(path)


def _read_all(files: Iterable[Path], bad: BadRecords, text_field: str) -> Iterator[Document]:
    for file in files:
        yield from read_documents(file, bad, text_field)


def _with_progress(documents: Iterable[Document]) -> Iterator[Document]:
    from tqdm import tqdm

    with tqdm(desc="preparing", unit=" characters", unit_scale=True, disable=None) as progress:
        for document in documents:
            progress.update(sum(map(len, document.paragraphs)))
            yield document


def _annotated(
    documents: Iterator[Document], tokenizer: ChineseBertTokenizer, workers: int
) -> Iterator[AnnotatedDocument]:
    """Annotates in order; with several workers chunk by chunk, as many at a time as they can use."""
    chunks = _chunks(documents)
    if workers == 1:
        annotator = Annotator(tokenizer)
        for chunk in chunks:
            yield from map(annotator.annotate, chunk)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has run tokenizers' threads can hang
    with context.Pool(workers, _start_worker, (tokenizer,)) as pool:
        under_way: deque[multiprocessing.pool.AsyncResult[list[AnnotatedDocument]]] = deque()
        for chunk in chunks:
            under_way.append(pool.apply_async(_annotate_chunk, (chunk,)))
            if len(under_way) >= workers * _CHUNKS_AHEAD:
                yield from under_way.popleft().get()
        for result in under_way:
            yield from result.get()


def _chunks(documents: Iterator[Document]) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    size = 0
    for document in documents:
        chunk.append(document.paragraphs)
        size += sum(map(len, document.paragraphs))
        if size >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


_annotator: Annotator | None = None  # one per worker process, made when the process starts


def _start_worker(tokenizer: ChineseBertTokenizer) -> None:
    global _annotator
    _annotator = Annotator(tokenizer)


def _annotate_chunk(chunk: list[list[str]]) -> list[AnnotatedDocument]:
    assert _annotator is not None
    return [_annotator.annotate(paragraphs) for paragraphs in chunk]


def _report(output: str, manifest: Manifest, bad: BadRecords, seconds: float) -> None:
    size = sum(shard.bytes for shard in manifest.shards)
    print(
        f"{output}: {manifest.documents:,} documents, {manifest.sentences:,} sentences, {manifest.words:,} words, "
        f"{manifest.tokens:,} tokens ({manifest.unknown_tokens / manifest.tokens:.3%} unknown) in {seconds:.1f} s; "
        f"{size / manifest.tokens:.2f} bytes a token; unigram entropy {manifest.unigram_entropy():.3f} nats"
    )
    bad.report()
