"""What a run is built from, and the combinations that are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer
from chinesebert.errors import InputError
from chinesebert.training.checkpoints import Facts, find_checkpoint
from chinesebert.training.data import unigram_entropy
from chinesebert.training.pretraining import model_facts
from data_prep.__main__ import main as data_prep
from tests.conftest import SAMPLE
from tests.pretraining_runs import TINY


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


# --------------------------------------------------------------------------------------- what has to stay as it is


def write_run(output_dir: Path, facts: Facts) -> None:
    """A checkpoint as far as finding it goes."""
    path = output_dir / "checkpoint-3"
    path.mkdir()
    (path / "run.json").write_text(json.dumps({"facts": facts, "files": {}}))


def facts_of_model(**sizes: Any) -> Facts:
    """The facts of a tiny model."""
    return model_facts(ChineseBertForMaskedLM(ChineseBertConfig(**TINY, vocab_size=50, **sizes)))


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"pronunciation_loss_weight": 0.5}, "pronunciation_loss_weight 0.0, this run has 0.5"),
        ({"glyph_trainable": True}, "glyph_trainable False, this run has True"),
    ],
    ids=str,
)
def test_the_setting_that_changes_the_parameters_is_named(tmp_path: Path, sizes: dict[str, Any], named: str) -> None:
    write_run(tmp_path, facts_of_model())
    with pytest.raises(InputError, match=f"was written with {named}"):
        find_checkpoint(tmp_path, "auto", facts_of_model(**sizes))
