"""Held-out documents that training reads too."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.corpus.format import Block
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.overlap import count_overlap
from tests.small_corpora import DOCUMENTS, prepare

# Few tokens, so that documents are equal, or nearly, now and then.
DOCUMENT = st.lists(st.integers(1, 3), max_size=12) | st.integers(1, 40).map(lambda length: [1] * length)
CORPUS = st.lists(st.lists(DOCUMENT, max_size=6), max_size=3)


def corpus_of(blocks: list[list[list[int]]]) -> Any:
    """A corpus of these documents, in these record batches."""

    def block(documents: list[list[int]]) -> Block:
        tokens = np.array([token for document in documents for token in document], dtype=np.uint16)
        starts = np.cumsum([0, *map(len, documents)]).astype(np.int32)
        return Block(tokens, np.zeros_like(tokens), starts)

    return SimpleNamespace(blocks=[block(documents) for documents in blocks])


@given(st.lists(CORPUS, max_size=2), st.lists(CORPUS, max_size=2))
def test_documents_are_counted_as_by_comparing_each_with_each(
    train: list[list[list[list[int]]]], held_out: list[list[list[list[int]]]]
) -> None:
    seen = [document for corpus in train for block in corpus for document in block]
    expected = sum(document in seen for corpus in held_out for block in corpus for document in block)
    found = count_overlap([corpus_of(corpus) for corpus in train], [corpus_of(corpus) for corpus in held_out])
    assert found == expected


def test_one_other_token_anywhere_makes_another_document() -> None:
    document = list(range(1, 101))
    others = [[*document[:place], 999, *document[place + 1 :]] for place in range(100)]
    assert count_overlap([corpus_of([others])], [corpus_of([[document]])]) == 0
    assert count_overlap([corpus_of([[*others, document]])], [corpus_of([[document]])]) == 1


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


def test_the_bundled_texts_do_not_overlap(corpora_directory: Path) -> None:
    train, held_out = (PreparedCorpus(corpora_directory / part) for part in ("train", "heldout"))
    assert count_overlap([train], [held_out]) == 0
