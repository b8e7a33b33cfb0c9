"""Which layers feed the head: the last, the embeddings, or a learned mixture of all."""

from pathlib import Path
from typing import Any

import pytest
import torch

from chinesebert.errors import InputError
from chinesebert.export import export_self_contained
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForMultipleChoice,
    ChineseBertForQuestionAnswering,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertModel,
)
from chinesebert.released import export as export_released
from tests.finetuning_models import write_tiny_model
from tests.test_modeling import make_inputs, make_labels, make_model
from tests.tiny_checkpoints import reference_model, released_state, write_released

HEADS = [
    ChineseBertForMaskedLM,
    ChineseBertForMultipleChoice,
    ChineseBertForQuestionAnswering,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
]


def mixing_and_top(kind: Any = ChineseBertModel, **changes: Any) -> tuple[Any, Any]:
    """A model that mixes its layers with shares that differ, and the same that reads the last."""
    mixing, top = make_model(kind, head_layers="mix", **changes), make_model(kind, **changes)
    top.load_state_dict(mixing.state_dict(), strict=False)
    with torch.no_grad():
        mixing.base_model.layer_mix.weights.copy_(torch.tensor([0.3, -1.0, 0.5]))
        mixing.base_model.layer_mix.scale.fill_(1.7)
    return mixing, top


def test_a_mixture_is_a_scaled_sum_of_embeddings_and_layers_with_shares_that_add_up_to_one() -> None:
    mixing, top = mixing_and_top()
    inputs = make_inputs(3, 7)
    shares = torch.tensor([0.3, -1.0, 0.5]).exp()
    shares /= shares.sum()
    states = top(**inputs, output_hidden_states=True).hidden_states
    wanted = 1.7 * sum(share * state for share, state in zip(shares, states, strict=True))
    torch.testing.assert_close(mixing(**inputs).last_hidden_state, wanted)


def test_a_mixture_begins_as_the_mean() -> None:
    model = make_model(ChineseBertModel, head_layers="mix")
    outputs = model(**make_inputs(3, 7), output_hidden_states=True)
    torch.testing.assert_close(outputs.last_hidden_state, torch.stack(outputs.hidden_states).mean(dim=0))


def test_the_last_hidden_state_of_the_tuple_is_that_of_the_last_layer() -> None:
    mixing, top = mixing_and_top()
    inputs = make_inputs(3, 7)
    found = mixing(**inputs, output_hidden_states=True).hidden_states
    assert torch.equal(found[-1], top(**inputs).last_hidden_state)


def test_a_text_is_classified_by_the_mixture_at_its_first_token() -> None:
    mixing, _ = mixing_and_top(ChineseBertForSequenceClassification, num_labels=3)
    inputs = make_inputs(2, 6)
    pooled = mixing.bert.pooler(mixing.bert(**inputs).last_hidden_state)
    torch.testing.assert_close(mixing(**inputs).logits, mixing.classifier(pooled))


def test_the_embeddings_feed_the_head_without_any_layer() -> None:
    model = make_model(ChineseBertModel, head_layers="embeddings")
    inputs = make_inputs(2, 6)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.fill_(float("nan"))
    assert torch.equal(model(**inputs).last_hidden_state, model.embeddings(**inputs))


def test_layers_that_are_not_run_are_not_trained(tmp_path: Path) -> None:
    make_model(ChineseBertForTokenClassification).save_pretrained(tmp_path)
    model = ChineseBertForTokenClassification.from_pretrained(tmp_path, head_layers="embeddings")
    assert not any(parameter.requires_grad for parameter in model.bert.encoder.parameters())
    assert all(parameter.requires_grad for parameter in model.bert.embeddings.parameters())


@pytest.mark.parametrize("layers", ["mix", "embeddings"])
def test_a_masked_language_model_scores_masked_places_as_all_others(layers: str) -> None:
    model = make_model(head_layers=layers).train()
    inputs, labels = make_inputs(4, 9), make_labels(4, 9)
    masked = model(**inputs, labels=labels)
    whole = model(**inputs, labels=labels, masked_only=False)
    torch.testing.assert_close(masked.logits, whole.logits[labels != IGNORE_INDEX])
    torch.testing.assert_close(masked.loss, whole.loss)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("layers", ["mix", "embeddings"])
def test_a_saved_directory_remembers_which_layers_feed_the_head(kind: Any, layers: str, tmp_path: Path) -> None:
    model = make_model(kind, head_layers=layers)
    if layers == "mix":
        torch.nn.init.normal_(model.bert.layer_mix.weights)
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path).eval()
    inputs = make_inputs(2, 6)
    if kind is ChineseBertForMultipleChoice:
        inputs = {name: ids[None] for name, ids in inputs.items()}
    for one, two in zip(loaded(**inputs).to_tuple(), model(**inputs).to_tuple(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("kind", HEADS)
def test_models_that_read_the_last_layer_have_no_weights_of_a_mixture(kind: Any) -> None:
    state = make_model(kind).state_dict()
    assert not [name for name in state if "mix" in name]
    assert make_model(kind, head_layers="mix").state_dict().keys() - state.keys() == {
        "bert.layer_mix.weights",
        "bert.layer_mix.scale",
    }


def test_a_released_checkpoint_can_begin_with_a_mixture(tmp_path: Path) -> None:
    source = write_released(tmp_path / "released", released_state(reference_model()))
    model = ChineseBertModel.from_pretrained(source, head_layers="mix").eval()
    outputs = model(torch.tensor([[2, 7, 8, 9, 3]]), torch.zeros(1, 5, dtype=torch.long), output_hidden_states=True)
    torch.testing.assert_close(outputs.last_hidden_state, torch.stack(outputs.hidden_states).mean(dim=0))


def test_a_mixture_is_exported_with_its_code_and_not_in_the_released_layout(tmp_path: Path, tokenizer: Any) -> None:
    write_tiny_model(tmp_path / "model", tokenizer)
    model = ChineseBertForSequenceClassification.from_pretrained(tmp_path / "model", head_layers="mix")
    model.save_pretrained(tmp_path / "model")
    export_self_contained(tmp_path / "model", tmp_path / "contained")
    assert (tmp_path / "contained" / "layer_mix.py").is_file()
    with pytest.raises(InputError, match="head_layers: mix"):
        export_released(tmp_path / "model", tmp_path / "released")


@pytest.mark.parametrize("layers", ["mix", "embeddings"])
def test_folding_keeps_what_the_head_reads(layers: str) -> None:
    model = make_model(ChineseBertForTokenClassification, head_layers=layers)
    inputs = make_inputs(2, 6)
    before = model(**inputs).logits
    torch.testing.assert_close(model.fold()(**inputs).logits, before, atol=1e-5, rtol=1e-5)


def test_another_choice_of_layers_is_refused() -> None:
    with pytest.raises(Exception, match="head_layers"):
        make_model(ChineseBertModel, head_layers="middle")
