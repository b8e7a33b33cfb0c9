"""Sentences to complete: what is refused before a run, and what a model makes of the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.errors import InputError
from chinesebert.training.cloze import check_cloze, read_cloze
from chinesebert.training.evaluation import guess
from tests.pretraining_runs import TINY

FINE, MASK_BESIDES, LONG = "请把门【关】上。", "今【天】很[MASK]。", "一" * 30 + "【天】。"
POSITIONS = 24


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "cloze.txt"
    path.write_text(f"# 说明\n{FINE}\n", encoding="utf-8-sig")
    assert read_cloze(path) == [FINE]


def test_sentences_that_fit_are_taken(small_tokenizer: ChineseBertTokenizer) -> None:
    check_cloze(Path("cloze.txt"), [FINE], small_tokenizer, POSITIONS)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [(MASK_BESIDES, r"has \[MASK\] besides"), (LONG, "has 34 tokens, the model reads 24")],
    ids=["mask", "long"],
)
def test_a_sentence_that_no_model_can_complete_is_refused(
    small_tokenizer: ChineseBertTokenizer, sentence: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        check_cloze(Path("cloze.txt"), [FINE, sentence], small_tokenizer, POSITIONS)
    assert str(caught.value).startswith(f"cloze.txt: {sentence}")


def test_a_sentence_that_does_not_fit_gets_no_guesses_and_ends_nothing(small_tokenizer: ChineseBertTokenizer) -> None:
    config = ChineseBertConfig(**TINY, vocab_size=small_tokenizer.vocab_size, max_position_embeddings=POSITIONS)
    model = ChineseBertForMaskedLM(config)
    # Of the engine no more is needed than the model.
    engine: Any = SimpleNamespace(model=model, forward=lambda **inputs: model(**inputs))
    found = guess(engine, small_tokenizer, [MASK_BESIDES, FINE, LONG], torch.device("cpu"))
    assert [item["sentence"] for item in found] == [MASK_BESIDES, FINE, LONG]
    assert [len(item["guesses"]) for item in found] == [0, 3, 0]
    assert all(0 <= probability <= 1 for _, probability in found[1]["guesses"])
