"""The last layer at the masked places: the same function as the last layer everywhere."""

import pytest
import torch

from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertModel
from tests.test_modeling import Inputs, assert_same_gradients, gradients, make_inputs, make_labels, make_model

CASES = ["whole rows", "padding right", "padding left", "segments"]


def inputs_of(case: str) -> Inputs:
    inputs = make_inputs(4, 12)
    inputs.pop("segment_ids", None)
    mask = torch.ones(4, 12, dtype=torch.long)
    if case == "padding right":
        mask[1, 7:] = 0
    elif case == "padding left":
        mask[1, :5] = 0
    if case == "segments":
        inputs["segment_ids"] = torch.tensor(
            [[1] * 5 + [2] * 7, [1] * 12, [1] * 3 + [2] * 3 + [3] * 6, [1] * 9 + [0] * 3]
        )
    elif case != "whole rows":
        inputs["attention_mask"] = mask
    return inputs


def labels_of(inputs: Inputs) -> torch.Tensor:
    labels = make_labels(4, 12)
    labels[2] = IGNORE_INDEX  # a row without any
    return labels.masked_fill(inputs.get("attention_mask", torch.ones(4, 12)) == 0, IGNORE_INDEX)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_the_whole_layer(case: str, layers: int) -> None:
    inputs = inputs_of(case)
    found = []
    for masked_only in (True, False):
        model = make_model(num_hidden_layers=layers)
        loss = model(**inputs, labels=labels_of(inputs), masked_only=masked_only).loss
        loss.backward()
        found.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=1e-6)
    assert_same_gradients(found[0][1], found[1][1])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("case", CASES)
def test_states_at_places_are_those_of_the_whole_encoder(case: str, attention: str) -> None:
    inputs = inputs_of(case)
    model = make_model(ChineseBertModel, attn_implementation=attention)
    places = labels_of(inputs) != IGNORE_INDEX
    whole = model(**inputs).last_hidden_state
    torch.testing.assert_close(model(**inputs, places=places).last_hidden_state, whole[places], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 48], ids=["none", "all"])
def test_no_place_and_every_place_work(count: int) -> None:
    inputs, model = inputs_of("whole rows"), make_model(ChineseBertModel)
    states = model(**inputs, places=torch.full((4, 12), count > 0)).last_hidden_state
    assert states.shape == (count, model.config.hidden_size)


def test_hidden_states_on_request_are_of_the_whole_encoder() -> None:
    inputs, model = inputs_of("whole rows"), make_model()
    outputs = model(**inputs, labels=labels_of(inputs), masked_only=True, output_hidden_states=True)
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(4, 12, model.config.hidden_size)] * 3


def test_gradient_checkpointing_changes_no_gradient_at_places() -> None:
    inputs, found = inputs_of("padding right"), []
    for checkpointing in (False, True):
        model: ChineseBertForMaskedLM = make_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**inputs, labels=labels_of(inputs)).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)
