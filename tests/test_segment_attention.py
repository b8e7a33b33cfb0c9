"""Packed rows under flash attention: the bounds of the segments say what a dense mask says.

Flash attention needs a GPU. What reaches it is checked on the CPU, with an attention that computes each segment by
itself in its place.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, modeling_flash_attention_utils
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.utils import is_flash_attn_2_available

from chinesebert.batch_layout import masked_places, segment_bounds
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertModel
from tests.test_modeling import Inputs, assert_same_gradients, gradients, make_inputs, make_labels, make_model, pack

SEGMENTS = {
    "documents and padding": [[1] * 5 + [2] * 7, [1] * 12, [1] * 3 + [2] * 3 + [3] * 6, [1] * 9 + [0] * 3],
    "rows that are one segment": [[1] * 12] * 3 + [[1] * 10 + [0] * 2],  # isolate_documents off
    "a row of padding": [[1] * 12, [1] * 4 + [2] * 8, [0] * 12, [1] * 12],
    "one token each": [list(range(1, 13))] * 4,
}


def attention_over_segments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    softmax_scale: float,
    dropout_p: float = 0.0,
    causal: bool = False,
) -> torch.Tensor:
    """As ``flash_attn_varlen_func``: ``[T, heads, D]`` each, one segment after the other."""
    assert not causal
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert (int(cu_seqlens_q[-1]), int(cu_seqlens_k[-1])) == (len(query), len(key))
    queries, keys = cu_seqlens_q.diff().tolist(), cu_seqlens_k.diff().tolist()
    assert max(queries) <= max_seqlen_q
    assert max(keys) <= max_seqlen_k
    parts = zip(query.split(queries), key.split(keys), value.split(keys), strict=True)
    return torch.cat(
        [
            scaled_dot_product_attention(
                *(part.transpose(0, 1) for part in segment), scale=softmax_scale, dropout_p=dropout_p
            ).transpose(0, 1)
            for segment in parts
        ]
    )


@pytest.fixture(autouse=True)
def flash_on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An attention of that name: transformers' own way to flash attention, with ours in place of the kernel."""
    supported = defaultdict(bool, dropout_p=True, max_seqlen_q=True, max_seqlen_k=True)
    arguments = functools.partial(
        modeling_flash_attention_utils._process_flash_attention_kwargs, supports_mapping=supported
    )
    kernels = ((None, attention_over_segments, None, None, None), (arguments, None))
    monkeypatch.setattr(modeling_flash_attention_utils, "lazy_import_flash_attention", lambda *_: kernels)
    AttentionInterface.register("flash_on_cpu", flash_attention_forward)
    yield
    del AttentionInterface._global_mapping["flash_on_cpu"]


def flash_model(kind: Any = ChineseBertForMaskedLM, **changes: Any) -> Any:
    model = make_model(kind, **changes)
    model.config._attn_implementation = "flash_on_cpu"
    return model


def packed(case: str) -> Inputs:
    segment_ids = torch.tensor(SEGMENTS[case])
    return make_inputs(*segment_ids.shape) | {
        "segment_ids": segment_ids,
        "attention_mask": (segment_ids > 0).long(),
        "position_ids": torch.arange(segment_ids.shape[1]).expand_as(segment_ids),
    }


def labels_of(inputs: Inputs) -> torch.Tensor:
    return make_labels(4, 12, share=0.4).masked_fill(inputs["segment_ids"] == 0, IGNORE_INDEX)


@pytest.mark.parametrize("case", SEGMENTS)
@torch.no_grad()
def test_states_of_text_are_those_of_a_dense_mask(case: str) -> None:
    inputs = packed(case)
    wanted = make_model(ChineseBertModel)(**inputs, output_hidden_states=True)
    found = flash_model(ChineseBertModel)(**inputs, output_hidden_states=True)
    for one, two in zip(found.hidden_states, wanted.hidden_states, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.last_hidden_state, wanted.last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("from_loader", [False, True])
@pytest.mark.parametrize("masked_only", [False, True])
@pytest.mark.parametrize("case", SEGMENTS)
def test_loss_and_gradients_are_those_of_a_dense_mask(case: str, masked_only: bool, from_loader: bool) -> None:
    inputs = packed(case)
    labels, layout = labels_of(inputs), {}
    if from_loader:
        layout = masked_places(labels) | segment_bounds(inputs["segment_ids"])
    found = []
    for model, more in ((make_model(), {}), (flash_model(), layout)):
        outputs = model(**inputs, labels=labels, masked_only=masked_only, **more)
        outputs.loss.backward()
        found.append((outputs.logits.detach(), outputs.loss.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-6)
    assert_same_gradients(found[0][2], found[1][2])


@pytest.mark.parametrize("layers", [1, 3])
def test_the_last_layer_at_masked_places_is_the_whole_one(layers: int) -> None:
    inputs = packed("documents and padding")
    found = []
    for masked_only in (True, False):
        model = flash_model(num_hidden_layers=layers)
        loss = model(**inputs, labels=labels_of(inputs), masked_only=masked_only).loss
        loss.backward()
        found.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=1e-6)
    assert_same_gradients(found[0][1], found[1][1])


def test_a_batch_without_labels_works() -> None:
    inputs, model = packed("documents and padding"), flash_model().train()
    loss = model(**inputs, labels=torch.full((4, 12), IGNORE_INDEX)).loss
    loss.backward()
    assert loss.item() == 0


@torch.no_grad()
def test_a_packed_document_reads_as_if_it_were_alone() -> None:
    documents = [make_inputs(1, 10, seed=1), make_inputs(1, 17, seed=2), make_inputs(1, 3, seed=3)]
    together = flash_model()(**pack(documents, padding=6)).logits
    alone = torch.cat([make_model()(**document).logits for document in documents], dim=1)
    torch.testing.assert_close(together[:, :30], alone, atol=1e-5, rtol=1e-5)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    inputs, found = packed("documents and padding"), []
    for checkpointing in (False, True):
        model = flash_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**inputs, labels=labels_of(inputs)).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


@torch.no_grad()
def test_other_attention_takes_no_notice_of_bounds() -> None:
    inputs, model = packed("documents and padding"), make_model()
    bounds = segment_bounds(inputs["segment_ids"])
    assert torch.equal(model(**inputs, **bounds).logits, model(**inputs).logits)


@pytest.mark.parametrize("make", [make_model, flash_model])
def test_bounds_without_segments_are_refused(make: Any) -> None:
    inputs = packed("documents and padding")
    bounds = segment_bounds(inputs.pop("segment_ids"))
    with pytest.raises(ValueError, match=r"cu_seq_lens_q.*pass segment_ids too"):
        make()(**inputs, **bounds)


@pytest.mark.skipif(not torch.cuda.is_available() or not is_flash_attn_2_available(), reason="needs a GPU, flash-attn")
@pytest.mark.parametrize("masked_only", [False, True])
@pytest.mark.parametrize("case", SEGMENTS)
def test_flash_attention_on_a_gpu_agrees_with_a_dense_mask(
    case: str, masked_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the kernel itself
    inputs = {name: ids.cuda() for name, ids in packed(case).items()}
    labels = labels_of(packed(case)).cuda()
    found = []
    for attention in ("sdpa", "flash_attention_2"):
        # Heads of 32: the kernel has no smaller ones. Ordinary weights: bfloat16 has three digits.
        model = make_model(hidden_size=64, num_attention_heads=2, initializer_range=0.05).cuda().train()
        model.set_attn_implementation(attention)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(**inputs, labels=labels, masked_only=masked_only).loss
        loss.backward()
        found.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-2, rtol=1e-2)
    for name, gradient in found[0][1].items():
        difference = (gradient - found[1][1][name]).norm() / gradient.norm().clamp(min=1e-6)
        assert difference < 0.05, name
