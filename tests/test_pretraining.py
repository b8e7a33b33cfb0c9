"""What a run is built from, and the combinations that are refused."""

from pathlib import Path

import numpy as np
import pytest

from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer
from chinesebert.errors import InputError
from chinesebert.training.data import unigram_entropy
from data_prep.__main__ import main as data_prep
from tests.conftest import SAMPLE


def test_held_out_text_of_another_vocabulary_is_refused(
    tmp_path: Path, corpus: PreparedCorpus, small_vocabulary: Path
) -> None:
    other = tmp_path / "vocab.txt"
    other.write_bytes(small_vocabulary.read_bytes() + "䶮\n".encode())
    command = ["corpus", "--input", str(SAMPLE / "heldout"), "--output", str(tmp_path / "heldout")]
    assert data_prep([*command, "--tokenizer", str(other)]) == 0
    with pytest.raises(InputError, match="prepared with another vocabulary") as caught:
        check_same_tokenizer(corpus, PreparedCorpus(tmp_path / "heldout"))
    assert str(tmp_path / "heldout") in str(caught.value)


def test_unigram_entropy_is_that_of_the_token_counts(corpus: PreparedCorpus) -> None:
    tokens = np.concatenate([block.input_ids for block in corpus.blocks])
    shares = np.bincount(tokens)[np.unique(tokens)] / len(tokens)
    assert unigram_entropy([corpus]) == pytest.approx(-(shares * np.log(shares)).sum())


def test_the_entropy_of_a_corpus_with_itself_is_its_own(corpus: PreparedCorpus) -> None:
    assert unigram_entropy([corpus, corpus]) == pytest.approx(unigram_entropy([corpus]))
