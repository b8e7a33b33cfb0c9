"""The bytes of a corpus depend on its documents and their order, not on the blocks in which they come to the writer."""

import dataclasses
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chinesebert.corpus import writer
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.format import Block, Manifest, join_blocks
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.corpus.writer import EmptyCorpusError, write_corpus
from chinesebert.errors import InputError
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.corpus_runs import digests, quick_tokenizer

BATCH, SHARD = 20, 50
LENGTHS = st.lists(st.integers(1, 45), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def tokenizer() -> ChineseBertTokenizer:
    """One that is saved quickly."""
    return ChineseBertTokenizer.from_directory(quick_tokenizer())


@pytest.fixture(autouse=True, scope="module")
def small_batches() -> Iterator[None]:
    """Record batches and shards of a few tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "BATCH_TOKENS", BATCH)
        patch.setattr(writer, "SHARD_TOKENS", SHARD)
        yield


def block_of(lengths: Sequence[int], first: int = 0) -> Block:
    """Documents of these lengths, their tokens counted from ``first``."""
    numbers = np.arange(first, first + sum(lengths))
    starts = np.cumsum([0, *lengths])
    annotations = np.where(numbers % 3 == 0, 0xC000, 0x8000) | numbers % 7
    return Block((numbers % 90 + 110).astype(np.uint16), annotations.astype(np.uint16), starts.astype(np.int32))


def cut(lengths: Sequence[int], places: Sequence[int]) -> list[Block]:
    """The same documents as several blocks, cut at some places; blocks without a document among them."""
    bounds = sorted({0, len(lengths), *(place % (len(lengths) + 1) for place in places)})
    blocks = [block_of([])]
    for start, end in itertools.pairwise(bounds):
        blocks.append(block_of(lengths[start:end], sum(lengths[:start])))
    return blocks


def write(blocks: Sequence[Block], tokenizer: ChineseBertTokenizer, folder: str) -> Path:
    """The corpus of these blocks."""
    write_corpus(Path(folder) / "corpus", blocks, tokenizer, "jieba", {})
    return Path(folder) / "corpus"


def record_batches(corpus: Path) -> list[list[list[int]]]:
    """Shard by shard, batch by batch, how many tokens each document has."""
    shards = []
    for path in sorted(corpus.glob("*.arrow")):
        with pa.ipc.open_stream(path) as stream:
            shards.append([[len(row) for row in batch.column(0).to_pylist()] for batch in stream])
    return shards


@settings(max_examples=60)
@given(lengths=LENGTHS, places=st.lists(st.integers(0, 30), max_size=6))
@example(lengths=[20, 20, 20], places=[1, 2])
@example(lengths=[1] * 25, places=list(range(25)))
@example(lengths=[45, 45], places=[1])
def test_the_bytes_do_not_depend_on_the_blocks(
    tokenizer: ChineseBertTokenizer, lengths: list[int], places: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        whole, parts = write([block_of(lengths)], tokenizer, one), write(cut(lengths, places), tokenizer, two)
        assert digests(whole) == digests(parts)


@settings(max_examples=60)
@given(lengths=LENGTHS)
def test_a_record_batch_ends_with_the_document_that_fills_it(
    tokenizer: ChineseBertTokenizer, lengths: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shards = record_batches(write([block_of(lengths)], tokenizer, folder))
    batches = list(itertools.chain.from_iterable(shards))
    assert list(itertools.chain.from_iterable(batches)) == lengths
    assert all(sum(batch) >= BATCH for batch in batches[:-1])
    assert all(sum(batch[:-1]) < BATCH for batch in batches)


@settings(max_examples=60)
@given(lengths=LENGTHS)
def test_a_shard_ends_with_the_batch_that_fills_it(tokenizer: ChineseBertTokenizer, lengths: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shards = record_batches(write([block_of(lengths)], tokenizer, folder))
    sizes = [[sum(batch) for batch in shard] for shard in shards]
    assert all(sum(shard) >= SHARD for shard in sizes[:-1])
    assert all(sum(shard[:-1]) < SHARD for shard in sizes)


@settings(max_examples=30)
@given(lengths=LENGTHS, places=st.lists(st.integers(0, 30), max_size=6))
def test_what_is_read_again_is_what_was_written(
    tokenizer: ChineseBertTokenizer, lengths: list[int], places: list[int]
) -> None:
    written = block_of(lengths)
    with tempfile.TemporaryDirectory() as folder:
        corpus = PreparedCorpus(write(cut(lengths, places), tokenizer, folder))
        found = join_blocks(list(corpus.blocks))
        for field in dataclasses.fields(Block):
            assert getattr(found, field.name).tolist() == getattr(written, field.name).tolist(), field.name


@settings(max_examples=30)
@given(lengths=LENGTHS)
def test_the_manifest_counts_what_was_written(tokenizer: ChineseBertTokenizer, lengths: list[int]) -> None:
    block = block_of(lengths)
    with tempfile.TemporaryDirectory() as folder:
        manifest = Manifest.load(write([block], tokenizer, folder))
        shards = record_batches(Path(folder) / "corpus")
    assert (manifest.documents, manifest.tokens, manifest.words) == (len(lengths), sum(lengths), sum(lengths))
    assert manifest.sentences == (block.pinyin_and_starts & 0x4000 != 0).sum()
    assert [(shard.documents, shard.tokens) for shard in manifest.shards] == [
        (sum(map(len, shard)), sum(map(sum, shard))) for shard in shards
    ]
    numbers, counts = np.unique(block.input_ids, return_counts=True)
    assert manifest.token_counts == dict(zip(map(str, numbers.tolist()), counts.tolist(), strict=True))


def test_documents_annotated_apart_and_together_give_the_same_bytes(
    tokenizer: ChineseBertTokenizer, sample_paragraphs: list[str], tmp_path: Path
) -> None:
    texts = ["重庆的银行。", *sample_paragraphs[:60]]
    annotator = Annotator(tokenizer)
    apart = [annotator.annotate([text]).block() for text in texts]
    together = [annotator.annotate(texts).block()]
    assert digests(write(apart, tokenizer, str(tmp_path / "one"))) == digests(
        write(together, tokenizer, str(tmp_path / "two"))
    )


def test_blocks_may_be_views_of_another_array(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    block = block_of([9, 8, 7, 30, 1])
    views = [block.documents(0, 2), block.documents(2, 4), block.documents(4, 5)]
    assert digests(write(views, tokenizer, str(tmp_path / "one"))) == digests(
        write([block], tokenizer, str(tmp_path / "two"))
    )


@pytest.mark.parametrize("blocks", [[], [block_of([])], [block_of([]), block_of([])]], ids=["none", "empty", "two"])
def test_a_corpus_without_a_token_is_an_error_and_leaves_nothing(
    tokenizer: ChineseBertTokenizer, tmp_path: Path, blocks: list[Block]
) -> None:
    with pytest.raises(EmptyCorpusError, match="there is no text"):
        write(blocks, tokenizer, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_way_leaves_nothing(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    def blocks() -> Iterator[Block]:
        yield block_of([30, 30])
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_corpus(tmp_path / "corpus", blocks(), tokenizer, "jieba", {})
    assert list(tmp_path.iterdir()) == []


def test_reasons_of_skipped_records_are_sorted(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    skipped = {"not valid JSON": 2, "damaged gzip file": 1}
    manifest = write_corpus(tmp_path / "corpus", [block_of([5])], tokenizer, "jieba", skipped)
    assert list(Manifest.load(tmp_path / "corpus").skipped.items()) == sorted(skipped.items())
    assert list(manifest.skipped.items()) == sorted(skipped.items())


def test_a_vocabulary_too_large_for_the_format_is_refused(small_vocabulary: Path, tmp_path: Path) -> None:
    content = small_vocabulary.read_text(encoding="utf-8") + "\n".join(f"##{number}" for number in range(100, 70_000))
    (tmp_path / "vocab.txt").write_text(content, encoding="utf-8")
    readings = Readings({"重": "chong2"}, {}, "test")
    tokenizer = ChineseBertTokenizer.from_vocabulary(tmp_path / "vocab.txt", readings)
    with pytest.raises(InputError, match=r"the vocabulary has \d+ tokens; a prepared corpus holds at most 65536"):
        write([block_of([5])], tokenizer, str(tmp_path))


def test_more_syllables_than_the_format_holds_are_refused(small_vocabulary: Path, tmp_path: Path) -> None:
    letters = itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=4)
    syllables = ["".join(four) for four in itertools.islice(letters, 1 << 14)]
    characters = {chr(0x4E00 + number): syllable for number, syllable in enumerate(syllables)}
    tokenizer = ChineseBertTokenizer.from_vocabulary(small_vocabulary, Readings(characters, {}, "invented"))
    with pytest.raises(InputError, match="invented: more than 16383 syllables"):
        write([block_of([5])], tokenizer, str(tmp_path))
