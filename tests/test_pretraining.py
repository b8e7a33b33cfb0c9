"""What a run is built from, and the combinations that are refused."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer
from chinesebert.errors import InputError
from chinesebert.glyph import Glyphs
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.pretraining import build_model, load_glyphs, unigram_entropy
from chinesebert.vocabulary import vocabulary_sha256
from data_prep.__main__ import main as data_prep
from tests.conftest import SAMPLE


def blank_glyphs(tokens: list[str]) -> Glyphs:
    """Images without ink, which say what vocabulary they are for."""
    images = np.zeros((len(tokens), 3, 24, 24), dtype=np.uint8)
    return Glyphs(images, np.full((len(tokens), 3), -1, dtype=np.int8), {"vocab_sha256": vocabulary_sha256(tokens)})


def model_settings(tmp_path: Path, max_length: int = 64, **sizes: Any) -> Any:
    """The settings that decide the model."""
    path = tmp_path / "model.json"
    tiny = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    path.write_text(json.dumps(tiny | {"max_position_embeddings": 64} | sizes))
    return SimpleNamespace(model=str(path), max_length=max_length)


def test_a_new_model_is_sized_by_its_tokenizer(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    tokens = small_tokenizer.tokens()
    model = build_model(model_settings(tmp_path), small_tokenizer, blank_glyphs(tokens))
    assert model.config.vocab_size == len(tokens)
    assert model.config.num_syllables == len(small_tokenizer.readings.syllables)
    spelled = model.bert.embeddings.pinyin_embeddings.letter_ids.numpy()
    assert np.array_equal(spelled, small_tokenizer.readings.letter_ids())


def test_an_unknown_size_is_named(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="unknown sizes hiden_size"):
        build_model(model_settings(tmp_path, hiden_size=3), small_tokenizer, blank_glyphs(small_tokenizer.tokens()))


def test_rows_longer_than_the_positions_are_refused(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="max_length 65 is more than the 64 positions"):
        build_model(model_settings(tmp_path, max_length=65), small_tokenizer, blank_glyphs(small_tokenizer.tokens()))


def test_a_missing_model_file_is_named(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    settings = SimpleNamespace(model=str(tmp_path / "none.json"), max_length=64)
    with pytest.raises(InputError, match=r"none\.json"):
        build_model(settings, small_tokenizer, blank_glyphs(small_tokenizer.tokens()))  # type: ignore[arg-type]


def test_glyphs_of_another_vocabulary_are_refused(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    blank_glyphs([*small_tokenizer.tokens(), "多"]).save(tmp_path)
    with pytest.raises(InputError, match="another vocabulary than the corpus"):
        load_glyphs(str(tmp_path), small_tokenizer)


def test_glyphs_of_the_same_vocabulary_are_taken(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    blank_glyphs(small_tokenizer.tokens()).save(tmp_path)
    assert len(load_glyphs(str(tmp_path), small_tokenizer).images) == len(small_tokenizer.tokens())


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
