"""What a loader can compute of a batch: the same as the model finds out by itself."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.batch_layout import masked_places, place_numbers, segment_bounds
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import ChineseBertModel
from tests.test_last_layer import CASES, inputs_of, labels_of
from tests.test_modeling import assert_same_gradients, gradients, make_inputs, make_labels, make_model

ROWS = st.integers(1, 4).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, 12)))


def draw_table(data: st.DataObject, highest: int) -> torch.Tensor:
    rows, length = data.draw(ROWS)
    ids = st.lists(st.integers(0, highest), min_size=rows * length, max_size=rows * length)
    return torch.tensor(data.draw(ids)).view(rows, length)


@given(st.data())
def test_masked_places_are_where_labels_are(data: st.DataObject) -> None:
    labels = draw_table(data, 2)
    labels[labels == 0] = IGNORE_INDEX
    layout: Any = masked_places(labels)
    assert torch.equal(labels.flatten()[layout["masked_positions"]], labels[labels != IGNORE_INDEX])
    assert layout["masked_positions"].dtype == torch.int64
    assert layout["masked_per_row"] == max(int((row != IGNORE_INDEX).sum()) for row in labels)


@given(st.data())
def test_segments_end_where_the_id_changes_and_at_the_end_of_a_row(data: st.DataObject) -> None:
    segment_ids = draw_table(data, 2)
    bounds: Any = segment_bounds(segment_ids)
    runs = [len(list(run)) for row in segment_ids.tolist() for _, run in itertools.groupby(row)]
    assert bounds["cu_seq_lens_q"].tolist() == [0, *itertools.accumulate(runs)]
    assert bounds["cu_seq_lens_q"].dtype == torch.int32
    assert bounds["cu_seq_lens_k"] is bounds["cu_seq_lens_q"]
    assert bounds["max_length_q"] == bounds["max_length_k"] == max(runs)


@pytest.mark.parametrize("case", CASES)
def test_places_from_the_loader_change_nothing(case: str) -> None:
    inputs, labels = inputs_of(case), labels_of(inputs_of(case))
    found = []
    for layout in ({}, masked_places(labels), {"masked_positions": masked_places(labels)["masked_positions"]}):
        model = make_model().train()
        outputs = model(**inputs, labels=labels, **layout)
        outputs.loss.backward()
        found.append((outputs.loss.detach(), outputs.logits.detach(), gradients(model)))
    for other in found[1:]:
        assert torch.equal(found[0][0], other[0])
        assert torch.equal(found[0][1], other[1])
        assert_same_gradients(found[0][2], other[2])


@torch.no_grad()
def test_places_from_the_loader_are_used_in_evaluation_too() -> None:
    inputs, labels, model = make_inputs(4, 10), make_labels(4, 10), make_model()
    layout: Any = masked_places(labels)
    outputs = model(**inputs, labels=labels, **layout)
    assert outputs.logits.shape == (len(layout["masked_positions"]), model.config.vocab_size)
    torch.testing.assert_close(outputs.loss, model(**inputs, labels=labels).loss)


@pytest.mark.parametrize("per_row", [None, 0, 5])
def test_a_batch_without_masked_places_has_loss_zero(per_row: int | None) -> None:
    model, nothing = make_model().train(), torch.full((2, 5), IGNORE_INDEX)
    empty = torch.zeros(0, dtype=torch.int64)
    loss = model(**make_inputs(2, 5), labels=nothing, masked_positions=empty, masked_per_row=per_row).loss
    loss.backward()
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(model).values())


def test_a_compiled_graph_runs_the_head_at_places_from_the_loader_without_a_break() -> None:
    model = make_model().train()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for seed in (2, 3):  # with another number of places
        inputs, labels = make_inputs(4, 10), make_labels(4, 10, seed=seed)
        layout = masked_places(labels)
        outputs, wanted = compiled(**inputs, labels=labels, **layout), model(**inputs, labels=labels)
        torch.testing.assert_close(outputs.loss, wanted.loss)
        assert outputs.logits.shape == wanted.logits.shape


@pytest.mark.parametrize(
    ("places", "most", "message"),
    [
        ([3, 2], None, "ascending"),
        ([2, 2], None, "ascending"),
        ([1, 20], None, "places run from 1 to 20"),
        ([1, 2, 3], 2, "a row has 3 places, but 2"),
    ],
)
def test_places_that_cannot_be_are_refused(places: list[int], most: int | None, message: str) -> None:
    model = make_model(ChineseBertModel)
    with pytest.raises(ValueError, match=message):
        model(**make_inputs(2, 10), places=torch.tensor(places), places_per_row=most)


@torch.no_grad()
def test_more_places_a_row_than_there_are_may_be_said() -> None:
    model, inputs = make_model(ChineseBertModel), make_inputs(3, 10)
    places = torch.tensor([0, 4, 9, 25])
    whole = model(**inputs).last_hidden_state.flatten(end_dim=1)[places]
    for most in (3, 4, 10, 17):
        states = model(**inputs, places=places, places_per_row=most).last_hidden_state
        torch.testing.assert_close(states, whole, atol=1e-6, rtol=1e-5)


def test_place_numbers_count_row_by_row() -> None:
    assert place_numbers(torch.tensor([[True, False], [False, True]])).tolist() == [0, 3]
