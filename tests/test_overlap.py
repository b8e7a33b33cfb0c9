"""Held-out documents that training reads too."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.corpus.format import Block
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training import overlap
from chinesebert.training.overlap import RUN, count_overlap, remembered_overlap
from tests.small_corpora import DOCUMENTS, prepare

# Few tokens, so that documents are equal, or nearly, now and then.
DOCUMENT = st.lists(st.integers(1, 3), max_size=12) | st.integers(1, 60).map(lambda length: [1] * length)
CORPUS = st.lists(st.lists(DOCUMENT, max_size=6), max_size=3)


def corpus_of(blocks: list[list[list[int]]]) -> Any:
    """A corpus of these documents, in these record batches."""

    def block(documents: list[list[int]]) -> Block:
        tokens = np.array([token for document in documents for token in document], dtype=np.uint16)
        starts = np.cumsum([0, *map(len, documents)]).astype(np.int32)
        return Block(tokens, np.zeros_like(tokens), starts)

    return SimpleNamespace(blocks=[block(documents) for documents in blocks])


def runs_of(document: list[int]) -> list[tuple[int, ...]]:
    """All runs of a document; of one without a run, itself."""
    return [tuple(document[start : start + RUN]) for start in range(max(len(document) - RUN + 1, 1))]


@given(st.lists(CORPUS, max_size=2), st.lists(CORPUS, max_size=2))
def test_documents_are_counted_as_by_comparing_each_with_each(
    train: list[list[list[list[int]]]], held_out: list[list[list[list[int]]]]
) -> None:
    seen = {run for corpus in train for block in corpus for document in block for run in runs_of(document)}
    wanted = [runs_of(document) for corpus in held_out for block in corpus for document in block]
    expected = sum(2 * sum(run in seen for run in runs) >= len(runs) for runs in wanted)
    with patch.object(overlap, "_PIECE", 5):  # so that runs lie across pieces
        found = count_overlap([corpus_of(corpus) for corpus in train], [corpus_of(corpus) for corpus in held_out])
    assert found == expected


def test_a_document_with_another_character_is_found() -> None:
    document = list(range(1, 101))
    for place in range(100):
        other = [*document[:place], 999, *document[place + 1 :]]
        assert count_overlap([corpus_of([[other]])], [corpus_of([[document]])]) == 1


def test_a_part_of_a_longer_document_is_found() -> None:
    training = list(range(1, 1001))
    assert count_overlap([corpus_of([[training]])], [corpus_of([[training[200:250], training[900:]]])]) == 2


def test_a_quotation_is_no_overlap() -> None:
    quotation = list(range(1, 31))
    held_out = [*range(100, 150), *quotation, *range(200, 250)]
    assert count_overlap([corpus_of([[[*range(300, 400), *quotation]]])], [corpus_of([[held_out]])]) == 0


def test_runs_of_two_documents_do_not_count() -> None:
    document = list(range(1, 41))
    parts = [document[start : start + 10] for start in range(0, 40, 10)]
    assert count_overlap([corpus_of([parts])], [corpus_of([[document]])]) == 0


def test_another_order_of_the_same_tokens_is_other_text() -> None:
    document = list(range(1, 61))
    assert count_overlap([corpus_of([[document[::-1]]])], [corpus_of([[document]])]) == 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> list[PreparedCorpus]:
    """All documents in three record batches, and two of them with a new one."""
    directory = tmp_path_factory.mktemp("overlap")
    parts = {"train": DOCUMENTS, "held_out": [DOCUMENTS[4], "重庆的银行行长", DOCUMENTS[0]]}
    return [PreparedCorpus(prepare(directory / name, documents, small_tokenizer)) for name, documents in parts.items()]


def test_documents_of_prepared_corpora_are_found(prepared: list[PreparedCorpus]) -> None:
    train, held_out = prepared
    assert count_overlap([train], [held_out]) == 2
    assert count_overlap([held_out], [train]) == 2
    assert count_overlap([train, held_out], [train, held_out]) == len(DOCUMENTS) + 3


def test_corpora_that_were_compared_before_are_not_read_again(prepared: list[PreparedCorpus], tmp_path: Path) -> None:
    train, held_out = prepared
    path = tmp_path / "overlap.json"
    assert remembered_overlap([train], [held_out], path) == 2
    path.write_text(path.read_text().replace('"documents": 2', '"documents": 77'))
    assert remembered_overlap([train], [held_out], path) == 77
    assert remembered_overlap([held_out], [train], path) == 2  # other corpora


def test_a_count_that_cannot_be_kept_is_counted(prepared: list[PreparedCorpus], tmp_path: Path) -> None:
    train, held_out = prepared
    (tmp_path / "overlap.json").mkdir()
    assert remembered_overlap([train], [held_out], tmp_path / "overlap.json") == 2


def test_the_bundled_texts_do_not_overlap(corpora_directory: Path) -> None:
    train, held_out = (PreparedCorpus(corpora_directory / part) for part in ("train", "heldout"))
    assert count_overlap([train], [held_out]) == 0
