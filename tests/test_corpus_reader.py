"""Opening a prepared corpus for training: damage that would end the process, or lead astray, is found at once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chinesebert.checksums import PIECE_BYTES
from chinesebert.corpus.format import SCHEMA, Block, Manifest
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.corpus.writer import write_corpus
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.small_corpora import DOCUMENTS, change_manifest, flip_bit, prepare, rewrite_shard, shard_blocks

# A byte of the schema; where bit 3 of it has changed, pyarrow reads from places that are none.
IN_SCHEMA, AT_END = 29, -9


@pytest.fixture
def corpus(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A corpus of two shards, to be damaged."""
    return prepare(tmp_path / "corpus", DOCUMENTS, small_tokenizer)


@pytest.mark.parametrize("place", [IN_SCHEMA, AT_END], ids=["in the schema", "in the last bytes"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_shard_that_has_changed_is_named_with_how_to_see_more(corpus: Path, number: int, place: int) -> None:
    shard = corpus / f"shard-{number:05}.arrow"
    flip_bit(shard, place % shard.stat().st_size, 3)
    more = f"see how far with `python -m data_prep verify {corpus}`, and copy the shard again"
    with pytest.raises(InputError, match=f"^{shard}: is damaged .*; {more}"):
        PreparedCorpus(corpus)


def test_the_ends_of_a_long_shard_are_looked_at_and_no_more(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer
) -> None:
    """A changed id in the middle is left to ``data_prep verify``: reading all of a large corpus takes minutes."""
    tokens = 2 * PIECE_BYTES
    ids, annotations = np.full(tokens, 200, np.uint16), np.full(tokens, 1 << 15, np.uint16)
    block = Block(ids, annotations, np.array([0, tokens], np.int32))
    write_corpus(tmp_path / "long", [block], small_tokenizer, "none", {})
    (shard,) = (tmp_path / "long").glob("*.arrow")
    size = shard.stat().st_size
    assert size > 8 * PIECE_BYTES
    flip_bit(shard, 4 * PIECE_BYTES, 0)
    PreparedCorpus(tmp_path / "long")
    flip_bit(shard, size - 20, 0)
    with pytest.raises(InputError, match=rf"its bytes [0-9,]+ to {size - 1:,} are not those that were written"):
        PreparedCorpus(tmp_path / "long")


def test_a_manifest_without_crc32_is_enough(corpus: Path) -> None:
    manifest = Manifest.load(corpus)
    change_manifest(corpus, shards=[dataclasses.asdict(shard) | {"crc32": ""} for shard in manifest.shards])
    assert PreparedCorpus(corpus).manifest.tokens == manifest.tokens


def backwards(ids: pa.ListArray, annotations: pa.ListArray) -> list[pa.Array]:
    """A document ends before it begins."""
    offsets = ids.offsets.to_numpy().copy()
    offsets[1] = offsets[-1] + 4
    return [pa.ListArray.from_arrays(pa.array(offsets), column.values) for column in (ids, annotations)]


def not_alike(ids: pa.ListArray, annotations: pa.ListArray) -> list[pa.Array]:
    """A document has more ids than annotations."""
    offsets = ids.offsets.to_numpy().copy()
    offsets[1] -= 1
    return [ids, pa.ListArray.from_arrays(pa.array(offsets), annotations.values)]


@pytest.mark.parametrize("damage", [backwards, not_alike], ids=lambda damage: damage.__name__)
def test_documents_that_are_cut_where_none_can_be_are_refused(
    corpus: Path, damage: Callable[[pa.ListArray, pa.ListArray], list[pa.Array]]
) -> None:
    """With checksums that fit, as a faulty writer would leave it."""
    shard = corpus / "shard-00000.arrow"
    batches = [block.batch() for block in shard_blocks(shard)]
    batches[0] = pa.record_batch(damage(*batches[0].columns), schema=SCHEMA)
    rewrite_shard(shard, batches)
    with pytest.raises(InputError, match=f"^{shard}: is damaged"):
        PreparedCorpus(corpus)
