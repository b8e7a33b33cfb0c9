"""Predicting how masked characters are pronounced: its loss, how that is split, and models with and without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM, pipeline

from chinesebert.batch_layout import masked_places
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertModel
from chinesebert.released import export
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.test_modeling import (
    SYLLABLES,
    VOCABULARY,
    assert_same_gradients,
    gradients,
    make_glyphs,
    make_inputs,
    make_labels,
    make_model,
    one_thread,  # noqa: F401  (a fixture that is used wherever it is known)
    tiny_config,
)

WEIGHT = 0.5
HEAD = ["pronunciation_head.weight", "pronunciation_head.bias"]


def heard_of(rows: int, length: int) -> torch.Tensor:
    """The true syllables of a batch, as a corpus has them: at every place, 0 where there is none."""
    generator = torch.Generator().manual_seed(5)
    syllables = torch.randint(1, SYLLABLES + 1, (rows, length), generator=generator)
    return syllables.masked_fill(torch.rand(rows, length, generator=generator) < 0.3, 0)


def make_double_model(**changes: Any) -> Any:
    return make_model(pronunciation_loss_weight=WEIGHT, **changes)


def test_a_model_has_the_second_head_only_on_request() -> None:
    with_head, without = make_double_model().state_dict().keys(), make_model().state_dict().keys()
    assert with_head - without == set(HEAD)
    assert not without - with_head


def test_the_loss_is_the_weighted_sum_over_masked_places_that_have_a_syllable() -> None:
    inputs, labels, heard = make_inputs(4, 10), make_labels(4, 10), heard_of(4, 10)
    outputs = make_double_model()(**inputs, labels=labels, pinyin_labels=heard)
    masked = labels != IGNORE_INDEX
    counted = masked & (heard > 0)
    assert 0 < counted.sum() < masked.sum()
    tokens = cross_entropy(outputs.logits[masked], labels[masked], reduction="sum")
    syllables = cross_entropy(outputs.pronunciation_logits[counted], heard[counted], reduction="sum")
    torch.testing.assert_close(outputs.loss, (tokens + WEIGHT * syllables) / masked.sum())
    torch.testing.assert_close(outputs.pronunciation_loss, syllables / masked.sum())
    assert not outputs.pronunciation_loss.requires_grad


def test_syllables_elsewhere_than_at_masked_places_make_no_difference() -> None:
    inputs, labels, heard = make_inputs(4, 10), make_labels(4, 10), heard_of(4, 10)
    model = make_double_model()
    elsewhere = heard.masked_fill(labels == IGNORE_INDEX, IGNORE_INDEX)
    one, two = (model(**inputs, labels=labels, pinyin_labels=given).loss for given in (heard, elsewhere))
    assert torch.equal(one, two)


@pytest.mark.parametrize("from_loader", [False, True])
def test_the_heads_at_masked_places_equal_the_heads_everywhere(from_loader: bool) -> None:
    inputs, labels, heard = make_inputs(4, 10), make_labels(4, 10), heard_of(4, 10)
    found = []
    for masked_only in (True, False):
        model = make_double_model()
        layout = masked_places(labels) if from_loader else {}
        outputs = model(**inputs, labels=labels, pinyin_labels=heard, masked_only=masked_only, **layout)
        outputs.loss.backward()
        found.append((outputs, gradients(model)))
    masked = labels != IGNORE_INDEX
    assert found[0][0].pronunciation_logits.shape == (masked.sum(), SYLLABLES + 1)
    torch.testing.assert_close(
        found[0][0].pronunciation_logits, found[1][0].pronunciation_logits[masked], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(found[0][0].loss, found[1][0].loss)
    assert_same_gradients(found[0][1], found[1][1])
    assert set(HEAD) <= found[0][1].keys()


@pytest.mark.parametrize("micro_batches", [2, 8])
def test_loss_and_gradients_do_not_depend_on_how_a_batch_is_split(micro_batches: int) -> None:
    inputs, labels, heard = make_inputs(8, 12), make_labels(8, 12), heard_of(8, 12)
    heard[3] = 0  # with eight micro-batches one of them has masked places, and no syllable at any
    count, found = (labels != IGNORE_INDEX).sum(), []
    for parts in (1, micro_batches):
        model, total = make_double_model().train(), torch.zeros(())
        for piece in torch.arange(8).chunk(parts):
            micro = {name: ids[piece] for name, ids in inputs.items()}
            outputs = model(**micro, labels=labels[piece], pinyin_labels=heard[piece], num_items_in_batch=count)
            outputs.loss.backward()
            total += outputs.loss.detach()
        found.append((total, gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=0, rtol=1e-6)
    assert_same_gradients(found[0][1], found[1][1])


def test_a_batch_without_syllables_has_gradients_of_zero_in_the_second_head() -> None:
    model = make_double_model().train()
    outputs = model(**make_inputs(4, 10), labels=make_labels(4, 10), pinyin_labels=torch.zeros(4, 10, dtype=torch.long))
    outputs.loss.backward()
    assert outputs.pronunciation_loss.item() == 0
    assert all(not gradients(model)[name].any() for name in HEAD)  # zeros, not none: a reduction over ranks wants them


def test_the_second_head_learns() -> None:
    inputs, labels, heard = make_inputs(4, 10), make_labels(4, 10), heard_of(4, 10)
    model = make_double_model().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        outputs = model(**inputs, labels=labels, pinyin_labels=heard)
        outputs.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(outputs.pronunciation_loss.item())
    assert losses[-1] < losses[0] / 4


def test_training_without_syllables_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pass pinyin_labels, or load it with pronunciation_loss_weight=0\.0"):
        make_double_model().train()(**make_inputs(2, 5), labels=make_labels(2, 5))


@torch.no_grad()
def test_evaluation_without_syllables_is_of_the_tokens_alone() -> None:
    inputs, labels = make_inputs(4, 10), make_labels(4, 10)
    outputs = make_double_model()(**inputs, labels=labels)
    torch.testing.assert_close(outputs.loss, cross_entropy(outputs.logits.flatten(0, 1), labels.flatten()))
    assert outputs.pronunciation_loss is None


@pytest.mark.parametrize(
    ("changes", "pinyin_labels", "message"),
    [
        ({}, torch.zeros(2, 5, dtype=torch.long), "this one has 0"),
        ({"pronunciation_loss_weight": 1.0}, torch.zeros(2, 4, dtype=torch.long), "of their shape"),
        ({"pronunciation_loss_weight": 1.0}, torch.full((2, 5), SYLLABLES + 1), "pinyin_labels run from"),
    ],
)
def test_syllables_that_do_not_fit_are_refused(
    changes: dict[str, Any], pinyin_labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(**changes)(**make_inputs(2, 5), labels=make_labels(2, 5), pinyin_labels=pinyin_labels)


# ------------------------------------------------------------------------------------------------------ saving, loading


@pytest.fixture(scope="module")
def saved(small_tokenizer: ChineseBertTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model that has the second head, and its tokenizer."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(small_tokenizer.tokens()), "num_syllables": len(small_tokenizer.readings.syllables)}
    model = ChineseBertForMaskedLM(tiny_config(**sizes, pronunciation_loss_weight=WEIGHT)).eval()
    model.set_character_tables(small_tokenizer, make_glyphs(sizes["vocab_size"]))
    directory = tmp_path_factory.mktemp("saved")
    model.save_pretrained(directory)
    small_tokenizer.save_pretrained(directory)
    return directory


def test_the_second_head_survives_saving(saved: Path) -> None:
    loaded, report = ChineseBertForMaskedLM.from_pretrained(saved, output_loading_info=True)
    assert loaded.config.pronunciation_loss_weight == WEIGHT
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    again = ChineseBertForMaskedLM.from_pretrained(saved)
    assert torch.equal(loaded.pronunciation_head.weight, again.pronunciation_head.weight)


@torch.no_grad()
def test_the_second_head_can_be_left_out_when_loading(saved: Path) -> None:
    without, report = ChineseBertForMaskedLM.from_pretrained(
        saved, pronunciation_loss_weight=0.0, output_loading_info=True
    )
    assert without.pronunciation_head is None
    assert not report["unexpected_keys"]
    inputs = make_inputs(2, 10)
    wanted = ChineseBertForMaskedLM.from_pretrained(saved)(**inputs).logits
    assert torch.equal(without(**inputs).logits, wanted)


def test_a_second_head_can_be_added_when_loading(tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    loaded, report = ChineseBertForMaskedLM.from_pretrained(
        tmp_path, pronunciation_loss_weight=WEIGHT, output_loading_info=True
    )
    assert set(report["missing_keys"]) == set(HEAD)
    assert loaded.pronunciation_head.weight.isfinite().all()
    assert loaded.pronunciation_head.weight.std() > 0


def test_fill_mask_runs_with_a_second_head(saved: Path) -> None:
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(saved), ChineseBertTokenizer.from_pretrained(saved)
    guesses = pipeline("fill-mask", model=model, tokenizer=tokenizer)("我[MASK]欢音乐。", top_k=3)
    assert len(guesses) == 3


@torch.no_grad()
def test_a_folded_model_keeps_the_second_head(saved: Path) -> None:
    inputs = make_inputs(2, 10)
    wanted = ChineseBertForMaskedLM.from_pretrained(saved)(**inputs).pronunciation_logits
    folded = ChineseBertForMaskedLM.from_pretrained(saved, folded=True)
    torch.testing.assert_close(folded(**inputs).pronunciation_logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_encoder_of_such_a_model_loads(saved: Path) -> None:
    assert not ChineseBertModel.from_pretrained(saved, output_loading_info=True)[1]["mismatched_keys"]


def test_the_released_layout_goes_without_the_second_head(saved: Path, tmp_path: Path) -> None:
    export(saved, tmp_path / "released")
    weights = torch.load(tmp_path / "released" / "pytorch_model.bin", weights_only=True)
    assert not any("pronunciation" in name for name in weights)
    assert any(name.startswith("cls.") for name in weights)


def test_a_tuple_has_the_second_head_last() -> None:
    inputs = make_inputs(2, 5)
    logits, syllables = make_double_model()(**inputs, return_dict=False)
    assert logits.shape == (2, 5, VOCABULARY)
    assert syllables.shape == (2, 5, SYLLABLES + 1)
