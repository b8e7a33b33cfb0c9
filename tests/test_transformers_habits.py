"""What users of transformers take for granted of any model and tokenizer, for all of ours.

The checks of transformers' own ``ModelTesterMixin`` and ``TokenizerTesterMixin``, which are not shipped, in our words.
"""

import copy
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    pipeline,
)
from transformers.pipelines import SUPPORTED_TASKS

from chinesebert.errors import InputError
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import (
    MODEL_CLASSES,
    ChineseBertForMaskedLM,
    ChineseBertForMultipleChoice,
    ChineseBertForQuestionAnswering,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertModel,
)
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.test_modeling import (
    POSITIONS,
    SYLLABLES,
    VOCABULARY,
    Inputs,
    assert_same_gradients,
    gradients,
    make_glyphs,
    make_inputs,
    make_model,
    one_thread,  # noqa: F401  (a fixture that is used wherever it is known)
    tiny_config,
)

AUTO_CLASSES = {
    ChineseBertModel: AutoModel,
    ChineseBertForMaskedLM: AutoModelForMaskedLM,
    ChineseBertForSequenceClassification: AutoModelForSequenceClassification,
    ChineseBertForTokenClassification: AutoModelForTokenClassification,
    ChineseBertForQuestionAnswering: AutoModelForQuestionAnswering,
    ChineseBertForMultipleChoice: AutoModelForMultipleChoice,
}
HEADS = [kind for kind in MODEL_CLASSES if kind is not ChineseBertModel]
POOLED = (ChineseBertModel, ChineseBertForSequenceClassification, ChineseBertForMultipleChoice)
ALL = pytest.mark.parametrize("kind", MODEL_CLASSES)
BOTH_FORMS = pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])


def build(kind: Any, folded: bool = False, **changes: Any) -> Any:
    """A tiny model in evaluation mode, with attention weights that can be asked for."""
    model = make_model(kind, **changes)
    return model.fold() if folded else model


def for_kind(kind: Any, inputs: Inputs) -> Inputs:
    """Rows of tokens as a kind of model takes them: for multiple choice, two rows are the choices of one question."""
    if kind is not ChineseBertForMultipleChoice:
        return inputs
    return {name: ids.view(len(ids) // 2, 2, *ids.shape[1:]) for name, ids in inputs.items()}


def inputs_of(kind: Any, rows: int = 4, length: int = 9) -> Inputs:
    return for_kind(kind, make_inputs(rows, length))


def labels_of(kind: Any, inputs: Inputs) -> Inputs:
    """Arguments that make a model return a loss."""
    ids = inputs["input_ids"]
    numbers = torch.arange(len(ids)) % 2
    return {
        ChineseBertModel: {},
        ChineseBertForMaskedLM: {"labels": ids.masked_fill(ids % 3 > 0, IGNORE_INDEX)},
        ChineseBertForSequenceClassification: {"labels": numbers},
        ChineseBertForTokenClassification: {"labels": ids % 2},
        ChineseBertForQuestionAnswering: {"start_positions": numbers, "end_positions": numbers + 3},
        ChineseBertForMultipleChoice: {"labels": numbers},
    }[kind]


def loss_of(model: Any, inputs: Inputs) -> torch.Tensor:
    """The loss of a head; for the encoder, something that depends on all its outputs."""
    outputs = model(**inputs, **labels_of(type(model), inputs))
    if isinstance(model, ChineseBertModel):
        return outputs.last_hidden_state.pow(2).mean() + outputs.pooler_output.pow(2).mean()
    return outputs.loss


@torch.no_grad()
def outputs_of(model: Any, inputs: Inputs, **extra: Any) -> list[torch.Tensor]:
    """All that a model returns, in float32."""
    return [part.float() for part in model(**inputs, **extra).to_tuple()]


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


def padded(kind: Any, side: str, shortest: int = 3, length: int = 9) -> Inputs:
    """Four rows of different lengths, padded on a side, with their attention mask."""
    lengths = torch.linspace(length, shortest, 4).round().long()
    places = torch.arange(length)
    mask = places < lengths[:, None]
    inputs = make_inputs(4, length)
    if side == "left":  # the same tokens, moved to the right
        mask = mask.flip(1)
        source = (places - (length - lengths[:, None])).clamp(min=0)
        inputs = {name: ids.gather(1, source) for name, ids in inputs.items()}
    inputs = {name: ids.masked_fill(~mask, 0) for name, ids in inputs.items()}
    return for_kind(kind, inputs | {"attention_mask": mask.long()})


# ------------------------------------------------------------------------------------------------ saving, loading


@ALL
@BOTH_FORMS
def test_a_saved_model_loads_with_equal_outputs(kind: Any, folded: bool, tmp_path: Path) -> None:
    model = build(kind, folded)
    model.save_pretrained(tmp_path)
    loaded, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not loaded.training
    assert_close(outputs_of(loaded, inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


@ALL
@BOTH_FORMS
def test_auto_classes_find_the_model_of_a_directory(kind: Any, folded: bool, tmp_path: Path) -> None:
    model = build(kind, folded)
    model.save_pretrained(tmp_path)
    loaded = AUTO_CLASSES[kind].from_pretrained(tmp_path)
    assert type(loaded) is kind
    assert_close(outputs_of(loaded, inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)
    assert type(AUTO_CLASSES[kind].from_config(loaded.config)) is kind


@ALL
@BOTH_FORMS
def test_a_model_in_several_files_loads_as_one(kind: Any, folded: bool, tmp_path: Path) -> None:
    model = build(kind, folded)
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_close(outputs_of(kind.from_pretrained(tmp_path), inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


@ALL
@BOTH_FORMS
def test_a_copy_has_the_outputs_of_the_model(kind: Any, folded: bool) -> None:
    model = build(kind, folded)
    assert_close(outputs_of(copy.deepcopy(model), inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


@ALL
@BOTH_FORMS
def test_a_state_dict_says_all_there_is_to_say(kind: Any, folded: bool, tmp_path: Path) -> None:
    model, other = build(kind, folded), build(kind, folded, seed=7)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), strict=True)
    assert_close(outputs_of(other, inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


@ALL
def test_a_model_of_half_precision_stays_one(kind: Any, tmp_path: Path) -> None:
    make_model(kind).to(torch.bfloat16).save_pretrained(tmp_path)
    for loaded in (kind.from_pretrained(tmp_path), kind.from_pretrained(tmp_path, dtype="auto")):
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    loaded = kind.from_pretrained(tmp_path, dtype=torch.float32)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_gives_its_encoder_to_a_model_without_one(kind: Any, tmp_path: Path) -> None:
    head = make_model(kind)
    head.save_pretrained(tmp_path)
    encoder = ChineseBertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    inputs = make_inputs(2, 9)
    assert_close(outputs_of(encoder, inputs), outputs_of(head.bert, inputs)[:1], 0)


def test_labels_of_another_number_are_refused_unless_they_are_to_be_new(tmp_path: Path) -> None:
    make_model(ChineseBertForSequenceClassification, num_labels=3).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path)):
        ChineseBertForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    model = ChineseBertForSequenceClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert model(**make_inputs(2, 9)).logits.shape == (2, 5)


def test_names_of_labels_are_kept(tmp_path: Path) -> None:
    names = {0: "负面", 1: "正面"}
    changes = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    make_model(ChineseBertForSequenceClassification, **changes).save_pretrained(tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).config.id2label == names


# ----------------------------------------------------------------------------------------------------- new weights


TABLES = ("letter_ids", "default_pinyin_ids", "glyph_embeddings.embedding.weight", "glyph_rows")


def assert_newly_initialised(name: str, tensor: torch.Tensor, spread: float = 0.2) -> None:
    """Biases and tables are zero, normalisations one, all else normal with the spread of the configuration."""
    if name.endswith("bias") or name.endswith(TABLES):
        assert not tensor.any(), name
    elif "LayerNorm" in name:
        assert (tensor == 1).all(), name
    elif "position_embeddings" in name:  # tests of how new models begin are in test_initialisation.py
        assert tensor.isfinite().all() and tensor.std() > 0, name
    elif any(part in name for part in ("glyph_map", "map_fc", "pinyin_embeddings.conv")):
        assert 0.001 < tensor.std() < spread * 2, name
    else:
        assert tensor.mean().abs() < spread / 2, name
        assert spread / 2 < tensor.std() < spread * 2, name


@ALL
@pytest.mark.parametrize("trainable", [False, True], ids=["byte images", "float images"])
def test_all_that_a_checkpoint_lacks_is_initialised(kind: Any, trainable: bool) -> None:
    torch.manual_seed(0)
    model = kind.from_pretrained(None, config=tiny_config(glyph_trainable=trainable), state_dict={})
    for name, tensor in model.state_dict().items():
        assert_newly_initialised(name, tensor)
    assert not model.get_input_embeddings().weight[0].any()  # the row of padding
    assert all(part.isfinite().all() for part in outputs_of(model, inputs_of(kind)))


@pytest.mark.parametrize("kind", HEADS)
def test_a_new_head_on_an_encoder_is_the_only_thing_new(kind: Any, tmp_path: Path) -> None:
    encoder = make_model(ChineseBertModel)
    encoder.save_pretrained(tmp_path)
    torch.manual_seed(0)
    model, report = kind.from_pretrained(tmp_path, token_classifier_mlp=True, output_loading_info=True)
    new = {name for name in report["missing_keys"] if "decoder.weight" not in name}  # that is tied to the words
    state = encoder.state_dict()
    assert new and not report["unexpected_keys"] and not report["mismatched_keys"]
    for name, tensor in model.state_dict().items():
        if name in new:
            assert_newly_initialised(name, tensor)
        elif name.startswith("bert."):
            assert torch.equal(tensor, state[name.removeprefix("bert.")]), name


def test_weights_that_do_not_fit_are_initialised_on_request(tmp_path: Path) -> None:
    make_model(ChineseBertForTokenClassification, num_labels=3).save_pretrained(tmp_path)
    torch.manual_seed(0)
    model = ChineseBertForTokenClassification.from_pretrained(tmp_path, num_labels=9, ignore_mismatched_sizes=True)
    assert_newly_initialised("classifier.weight", model.classifier.weight)
    assert_newly_initialised("classifier.bias", model.classifier.bias)


# ----------------------------------------------------------------------------------------------------- tied weights


def assert_tied(model: ChineseBertForMaskedLM) -> None:
    predictions = model.cls.predictions
    assert predictions.decoder.weight is model.get_input_embeddings().weight
    assert predictions.decoder.bias is predictions.bias
    assert len(predictions.bias) == len(predictions.decoder.weight) == model.config.vocab_size


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.to(torch.float64),
        lambda model: model.bfloat16().float(),
        copy.deepcopy,
        lambda model: model.resize_token_embeddings(310) and model,
        lambda model: model.resize_token_embeddings(200) and model,
        lambda model: model.tie_weights() or model,
        lambda model: model.train().eval(),
    ],
    ids=["to", "half and back", "copy", "larger", "smaller", "tied again", "train"],
)
def test_the_decoder_stays_tied_to_the_words(change: Any) -> None:
    assert_tied(change(make_model()))


def test_the_decoder_is_tied_after_resizing_saving_and_loading(tmp_path: Path) -> None:
    model = make_model()
    model.resize_token_embeddings(310)
    model.save_pretrained(tmp_path)
    loaded = ChineseBertForMaskedLM.from_pretrained(tmp_path)
    assert_tied(loaded)
    assert_close(outputs_of(loaded, make_inputs(2, 9)), outputs_of(model, make_inputs(2, 9)), 0)


@BOTH_FORMS
def test_tied_weights_are_saved_once(folded: bool, tmp_path: Path) -> None:
    from safetensors import safe_open

    build(ChineseBertForMaskedLM, folded).save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        sizes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert list(sizes.values()).count((VOCABULARY, 32)) <= 2  # words, and the folded tokens
    assert len([name for name in sizes if name.startswith("cls.predictions") and name.endswith("bias")]) <= 3


def test_an_untied_decoder_is_a_table_of_its_own(tmp_path: Path) -> None:
    model = make_model(tie_word_embeddings=False)
    assert model.cls.predictions.decoder.weight is not model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    loaded = ChineseBertForMaskedLM.from_pretrained(tmp_path)
    assert_close(outputs_of(loaded, make_inputs(2, 9)), outputs_of(model, make_inputs(2, 9)), 0)
    model.resize_token_embeddings(310)
    assert model(**make_inputs(2, 9)).logits.shape[-1] == 310


# ---------------------------------------------------------------------------------------------------------- outputs


@ALL
@BOTH_FORMS
def test_evaluation_draws_no_chance(kind: Any, folded: bool) -> None:
    model = build(kind, folded, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    assert_close(outputs_of(model, inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


@ALL
def test_training_drops(kind: Any) -> None:
    model = make_model(kind, hidden_dropout_prob=0.5).train()
    one, two = (outputs_of(model, inputs_of(kind)) for _ in range(2))
    assert not torch.equal(one[0], two[0])


@ALL
@BOTH_FORMS
def test_a_tuple_holds_what_the_named_outputs_hold(kind: Any, folded: bool) -> None:
    model, inputs = build(kind, folded), inputs_of(kind)
    extra = labels_of(kind, inputs) | {"output_hidden_states": True}
    named, unnamed = model(**inputs, **extra), model(**inputs, **extra, return_dict=False)
    assert isinstance(unnamed, tuple)
    for one, two in zip(unnamed, named.values(), strict=True):
        if torch.is_tensor(one):
            assert torch.equal(one, two)
        else:  # the states of all layers
            assert_close(list(one), list(two), 0)


@ALL
@BOTH_FORMS
def test_hidden_states_and_attentions_are_those_of_every_layer(kind: Any, folded: bool) -> None:
    model = build(kind, folded)
    model.set_attn_implementation("eager")
    outputs = model(**inputs_of(kind, rows=4, length=9), output_hidden_states=True, output_attentions=True)
    assert [tuple(states.shape) for states in outputs.hidden_states] == [(4, 9, 32)] * 3
    assert [tuple(weights.shape) for weights in outputs.attentions] == [(4, 4, 9, 9)] * 2
    torch.testing.assert_close(outputs.attentions[1].sum(dim=-1), torch.ones(4, 4, 9))
    if kind is ChineseBertModel:
        assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)


@ALL
def test_a_configuration_can_ask_for_hidden_states(kind: Any, tmp_path: Path) -> None:
    make_model(kind).save_pretrained(tmp_path)
    model = kind.from_pretrained(tmp_path, output_hidden_states=True)
    assert len(model(**inputs_of(kind)).hidden_states) == 3
    assert model(**inputs_of(kind), output_hidden_states=False).hidden_states is None


@ALL
def test_gradients_of_hidden_states_can_be_kept(kind: Any) -> None:
    model, inputs = make_model(kind).train(), inputs_of(kind)
    outputs = model(**inputs, **labels_of(kind, inputs), output_hidden_states=True)
    for states in outputs.hidden_states:
        states.retain_grad()
    outputs[0].sum().backward()
    assert all(states.grad.abs().sum() > 0 for states in outputs.hidden_states)


# ------------------------------------------------------------------------------------------------------ word vectors


@ALL
def test_word_vectors_beside_ids_take_the_place_of_the_words(kind: Any) -> None:
    model, inputs = make_model(kind), inputs_of(kind)
    vectors = model.get_input_embeddings()(inputs["input_ids"])
    wanted = outputs_of(model, inputs)
    assert_close(outputs_of(model, inputs, inputs_embeds=vectors), wanted)
    assert not torch.allclose(outputs_of(model, inputs, inputs_embeds=vectors + 1)[0], wanted[0], atol=1e-2)


@ALL
def test_word_vectors_alone_are_words_with_blank_images(kind: Any) -> None:
    model, inputs = make_model(kind), inputs_of(kind)
    model.base_model.embeddings.glyph_embeddings.embedding.weight.zero_()
    vectors = model.get_input_embeddings()(inputs["input_ids"])
    alone = outputs_of(model, {"inputs_embeds": vectors, "pinyin_ids": inputs["pinyin_ids"]})
    assert_close(alone, outputs_of(model, inputs))


def test_a_text_in_no_form_is_refused() -> None:
    with pytest.raises(ValueError, match="give input_ids"):
        make_model(ChineseBertModel)(attention_mask=torch.ones(1, 5))


@ALL
def test_the_table_of_words_can_be_replaced(kind: Any) -> None:
    model = make_model(kind)
    table = nn.Embedding(VOCABULARY, 32)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    assert model.base_model.embeddings.word_embeddings is table
    assert (model.get_output_embeddings() is not None) == (kind is ChineseBertForMaskedLM)


def test_the_decoder_can_be_replaced_and_its_bias_with_it() -> None:
    model, decoder = make_model(), nn.Linear(32, VOCABULARY)
    model.set_output_embeddings(decoder)
    assert model.get_output_embeddings() is decoder
    assert model.cls.predictions.bias is decoder.bias


def test_input_ids_are_what_is_counted() -> None:
    assert all(kind.main_input_name == "input_ids" for kind in MODEL_CLASSES)


# ------------------------------------------------------------------------------------------------ padding, attention


@ALL
@BOTH_FORMS
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)], ids=str)
def test_sdpa_gives_what_eager_attention_gives(
    kind: Any, folded: bool, side: str, dtype: torch.dtype, tolerance: float
) -> None:
    model, inputs = build(kind, folded).to(dtype), padded(kind, side)
    found = []
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        found.append(outputs_of(model, inputs))
    assert_close(*found, tolerance)


@pytest.mark.slow  # it is compiled when first used
@pytest.mark.parametrize("kind", [ChineseBertModel, ChineseBertForMaskedLM, ChineseBertForMultipleChoice])
@pytest.mark.parametrize("side", ["left", "right"])
def test_flex_attention_gives_what_eager_attention_gives(kind: Any, side: str) -> None:
    model, inputs = make_model(kind), padded(kind, side)
    found = []
    for attention in ("eager", "flex_attention"):
        model.set_attn_implementation(attention)
        found.append(outputs_of(model, inputs))
    assert_close(*found)


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("flash_attn") is None,
    reason="flash attention needs a GPU and the package flash-attn",
)
@ALL
@pytest.mark.parametrize("side", ["left", "right"])
def test_flash_attention_gives_what_eager_attention_gives(kind: Any, side: str) -> None:
    model = make_model(kind, num_attention_heads=1).to("cuda", torch.bfloat16)
    inputs = {name: ids.cuda() for name, ids in padded(kind, side).items()}
    found = []
    for attention in ("eager", "flash_attention_2"):
        model.set_attn_implementation(attention)
        found.append(outputs_of(model, inputs))
    seen = inputs["attention_mask"].bool()
    for one, two in zip(*found, strict=True):
        per_token = one.shape[: seen.dim()] == seen.shape
        torch.testing.assert_close(one[seen] if per_token else one, two[seen] if per_token else two, atol=0.2, rtol=0.2)


def tokens_of(kind: Any, folded: bool, side: str) -> list[torch.Tensor]:
    """What a model says of each token of padded rows, row after row, without the padding."""
    inputs = padded(kind, side)
    outputs = build(kind, folded)(**inputs)
    parts = (outputs.last_hidden_state,) if kind is ChineseBertModel else outputs.to_tuple()
    return [part.detach()[inputs["attention_mask"].bool()] for part in parts]


@pytest.mark.parametrize(
    "kind",
    [
        ChineseBertModel,
        ChineseBertForMaskedLM,
        ChineseBertForTokenClassification,
        ChineseBertForQuestionAnswering,
    ],
)
@BOTH_FORMS
def test_padding_on_the_left_changes_no_token(kind: Any, folded: bool) -> None:
    assert_close(tokens_of(kind, folded, "left"), tokens_of(kind, folded, "right"))


@pytest.mark.parametrize("kind", POOLED)
def test_padding_on_the_left_changes_no_text(kind: Any) -> None:
    model = make_model(kind)
    left, right = (outputs_of(model, padded(kind, side))[-1] for side in ("left", "right"))
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


@ALL
@BOTH_FORMS
def test_a_row_in_a_padded_batch_is_as_if_it_were_alone(kind: Any, folded: bool) -> None:
    model, batch = build(kind, folded), padded(ChineseBertModel, "right")
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    rows = [{name: ids[row : row + 1, :length] for name, ids in batch.items()} for row, length in enumerate(lengths)]
    if kind is ChineseBertForMultipleChoice:  # one question with four choices, and each of them alone
        batch, *rows = ({name: ids[None] for name, ids in inputs.items()} for inputs in (batch, *rows))
        together = [outputs_of(model, batch)[0].T]
    else:
        together = outputs_of(model, batch)
    for row, (inputs, length) in enumerate(zip(rows, lengths, strict=True)):
        for one, everything in zip(outputs_of(model, inputs), together, strict=True):
            whole = everything[row : row + 1]
            per_token = whole.shape[1] == 9 != one.shape[1]
            torch.testing.assert_close(one, whole[:, :length] if per_token else whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.int32])
def test_a_mask_may_be_of_any_type(dtype: torch.dtype) -> None:
    model, inputs = make_model(), padded(ChineseBertForMaskedLM, "left")
    other = inputs | {"attention_mask": inputs["attention_mask"].to(dtype)}
    assert_close(outputs_of(model, other), outputs_of(model, inputs), 0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_row_of_nothing_but_padding_is_no_nan(attention: str) -> None:
    model, inputs = make_model(), padded(ChineseBertForMaskedLM, "right")
    model.set_attn_implementation(attention)
    inputs["attention_mask"][1] = 0
    assert outputs_of(model, inputs)[0].isfinite().all()


@pytest.mark.parametrize(
    "with_mask",
    [False, True],
)
def test_a_text_longer_than_the_positions_is_refused_with_what_to_do(with_mask: bool) -> None:
    inputs = make_inputs(1, POSITIONS + 1)
    if with_mask:
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with pytest.raises(ValueError, match=rf"{POSITIONS + 1} tokens, .* max_length={POSITIONS}"):
        make_model(ChineseBertModel)(**inputs)


# ----------------------------------------------------------------------------------------------------------- training


@ALL
@pytest.mark.parametrize("trainable", [False, True], ids=["byte images", "float images"])
def test_a_training_step_changes_every_parameter(kind: Any, trainable: bool) -> None:
    model = make_model(kind, glyph_trainable=trainable, token_classifier_mlp=True).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loss_of(model, inputs_of(kind, rows=8)).backward()
    optimizer.step()
    unchanged = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    # Neither the scores of attention nor those of choices change when all move alike; these gradients are rounding.
    alike = ("key.bias", "classifier.bias") if kind is ChineseBertForMultipleChoice else ("key.bias",)
    assert [name for name in unchanged if not name.endswith(alike)] == []
    assert all(parameter.grad is not None for parameter in model.parameters())


@ALL
def test_gradient_checkpointing_changes_no_gradient_and_can_be_turned_off(kind: Any) -> None:
    found = []
    for checkpointing in (False, True):
        model = make_model(kind, token_classifier_mlp=True).train()
        assert model.supports_gradient_checkpointing
        if checkpointing:
            model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing == checkpointing
        loss_of(model, inputs_of(kind)).backward()
        found.append(gradients(model))
    assert_same_gradients(*found)
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


@pytest.mark.parametrize("kind", [ChineseBertModel, ChineseBertForMaskedLM])
def test_gradients_reach_a_model_whose_words_are_frozen(kind: Any) -> None:
    """As adapters are trained: everything frozen, and the embeddings made to pass gradients on."""
    model = make_model(kind).train()
    model.requires_grad_(False)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable()
    trained = model.base_model.encoder.layer[0].attention.self.query
    trained.requires_grad_(True)
    loss_of(model, inputs_of(kind)).backward()
    assert trained.weight.grad.abs().sum() > 0


@ALL
def test_mixed_precision_trains(kind: Any) -> None:
    model = make_model(kind).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(model, inputs_of(kind))
    loss.backward()
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


# ----------------------------------------------------------------------------------------------------------- resizing


@ALL
@pytest.mark.parametrize("trainable", [False, True], ids=["byte images", "float images"])
def test_new_tokens_are_blank_and_leave_the_old_ones_as_they_were(kind: Any, trainable: bool) -> None:
    model = make_model(kind, glyph_trainable=trainable)
    before = outputs_of(model, inputs_of(kind))
    glyphs = model.base_model.embeddings.glyph_embeddings.embedding.weight.clone()
    readings = model.base_model.embeddings.default_pinyin_ids.clone()
    table = model.resize_token_embeddings(310)
    embeddings = model.base_model.embeddings
    assert model.get_input_embeddings() is table
    assert table.num_embeddings == model.config.vocab_size == 310
    resized = embeddings.glyph_embeddings.embedding.weight
    assert (resized.dtype, isinstance(resized, nn.Parameter)) == (glyphs.dtype, trainable)
    assert torch.equal(resized[:VOCABULARY], glyphs) and not resized[VOCABULARY:].any()
    assert torch.equal(embeddings.default_pinyin_ids[:VOCABULARY], readings)
    assert not embeddings.default_pinyin_ids[VOCABULARY:].any()
    after = outputs_of(model, inputs_of(kind))
    assert_close([part[..., :VOCABULARY] for part in after], before)


@ALL
def test_a_larger_model_takes_its_new_tokens_and_trains(kind: Any) -> None:
    model = make_model(kind).train()
    model.resize_token_embeddings(310)
    inputs = inputs_of(kind)
    inputs["input_ids"][0, ..., 1] = 309
    loss_of(model, inputs).backward()
    assert model.get_input_embeddings().weight.grad[309].abs().sum() > 0
    without_pinyin = {"input_ids": inputs["input_ids"]}
    assert all(part.isfinite().all() for part in outputs_of(model, without_pinyin))
    assert_close(outputs_of(copy.deepcopy(model).fold(), inputs), outputs_of(model.eval(), inputs))


@ALL
def test_a_smaller_model_refuses_the_tokens_it_lost(kind: Any) -> None:
    model, inputs = make_model(kind), inputs_of(kind)
    inputs["input_ids"] %= 250
    before = outputs_of(model, inputs)
    model.resize_token_embeddings(250)
    assert_close(outputs_of(model, inputs), [part[..., :250] for part in before])
    assert loss_of(model, inputs).isfinite()
    inputs["input_ids"][0, ..., 1] = 250
    with pytest.raises(ValueError, match=r"input_ids run from .* to 250; this model knows 0 … 249"):
        model(**inputs)


@ALL
def test_a_resized_model_can_be_saved(kind: Any, tmp_path: Path) -> None:
    model = make_model(kind)
    model.resize_token_embeddings(310)
    model.save_pretrained(tmp_path)
    loaded, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_close(outputs_of(loaded, inputs_of(kind)), outputs_of(model, inputs_of(kind)), 0)


def test_a_vocabulary_can_be_rounded_up() -> None:
    model = make_model()
    model.resize_token_embeddings(pad_to_multiple_of=64)
    assert model.config.vocab_size == model(**make_inputs(1, 5)).logits.shape[-1] == 320
    assert len(model.bert.embeddings.glyph_embeddings.embedding.weight) == 320


def test_resizing_to_the_size_it_has_changes_nothing() -> None:
    model = make_model()
    wanted = outputs_of(model, make_inputs(2, 9))
    model.resize_token_embeddings(VOCABULARY)
    assert_close(outputs_of(model, make_inputs(2, 9)), wanted, 0)


# ------------------------------------------------------------------------------------------------------------- compile


def compiled(model: Any, **options: Any) -> Any:
    """The model as one graph: a break in it is an error."""
    torch._dynamo.reset()
    return torch.compile(model, fullgraph=True, **{"backend": "eager"} | options)


FOLDED_ONES = [ChineseBertModel, ChineseBertForMaskedLM]  # folding is the embeddings' affair, which have two forms


@pytest.mark.parametrize(
    ("kind", "folded"), [(kind, False) for kind in MODEL_CLASSES] + [(kind, True) for kind in FOLDED_ONES]
)
def test_the_forward_pass_is_one_graph(kind: Any, folded: bool) -> None:
    model, inputs = build(kind, folded, num_hidden_layers=1), padded(kind, "left")
    assert_close(outputs_of(compiled(model), inputs), outputs_of(model, inputs))


def test_a_training_step_is_one_graph() -> None:
    inputs = padded(ChineseBertForMaskedLM, "right")
    inputs |= labels_of(ChineseBertForMaskedLM, inputs) | {"num_items_in_batch": torch.tensor(7)}
    found = []
    for prepare in (lambda model: model, lambda model: compiled(model, backend="aot_eager")):
        model = make_model(num_hidden_layers=1).train()
        prepare(model)(**inputs).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


@BOTH_FORMS
def test_one_graph_serves_batches_of_any_size(folded: bool) -> None:
    model = build(ChineseBertModel, folded, num_hidden_layers=1)
    graph = compiled(model, dynamic=True)
    torch._dynamo.utils.counters.clear()
    for rows, length in ((3, 7), (4, 11), (5, 9)):  # fewer tokens than there are syllables or tokens
        inputs = make_inputs(rows, length)
        inputs["attention_mask"] = torch.ones(rows, length, dtype=torch.long)
        assert_close(outputs_of(graph, inputs), outputs_of(model, inputs))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2  # the first is of one fixed size


def test_hidden_states_come_out_of_one_graph() -> None:
    model, inputs = make_model(num_hidden_layers=1), make_inputs(2, 9)
    wanted = model(**inputs, output_hidden_states=True)  # transformers prepares the model when it is first asked
    found = compiled(model)(**inputs, output_hidden_states=True)
    assert_close(list(found.hidden_states), list(wanted.hidden_states))


def test_missing_pinyin_and_letters_break_no_graph() -> None:
    model, inputs = make_model(ChineseBertModel, num_hidden_layers=1), make_inputs(2, 9)
    letters = torch.randint(32, (2, 9, 8))
    for given in ({"input_ids": inputs["input_ids"]}, {"input_ids": inputs["input_ids"], "pinyin_ids": letters}):
        assert_close(outputs_of(compiled(model), given), outputs_of(model, given))


# --------------------------------------------------------------------------------------------------------- tokenizer


def test_labels_of_tokens_are_padded_beside_their_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    rows = [dict(tokenizer(text)) for text in ("重庆", "重庆的银行")]
    for row in rows:
        row["labels"] = [IGNORE_INDEX, *range(len(row["input_ids"]) - 2), IGNORE_INDEX]
    batch = DataCollatorForTokenClassification(tokenizer)(rows)
    assert batch["pinyin_ids"].tolist() == tokenizer(["重庆", "重庆的银行"], padding=True)["pinyin_ids"]
    assert batch["labels"].tolist()[0] == [IGNORE_INDEX, 0, 1, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]
    assert {values.shape for values in batch.values()} == {(2, 7)}


def test_choices_are_padded_beside_their_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    questions = [("他在哪里", ["重庆", "银行里"]), ("音乐", ["快乐", "长大"])]
    rows = [dict(tokenizer([text] * 2, choices)) | {"label": 1} for text, choices in questions]
    batch = DataCollatorForMultipleChoice(tokenizer)(rows)
    assert batch["pinyin_ids"].shape == batch["input_ids"].shape == (2, 2, 10)
    assert batch["pinyin_ids"][0, 0, :9].tolist() == tokenizer("他在哪里", "重庆")["pinyin_ids"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_parts_of_a_long_context_carry_its_readings(tokenizer: ChineseBertTokenizer, side: str) -> None:
    question, context = "银行在哪", "重庆的重要银行行长在长大，音乐快乐。"
    whole = tokenizer(context, add_special_tokens=False)["pinyin_ids"]
    asked = tokenizer(question, add_special_tokens=False)["pinyin_ids"]
    parts = tokenizer(
        [question, question],
        [context, "好"],
        truncation="only_second",
        max_length=14,
        stride=3,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
        padding_side=side,
    )
    assert parts["overflow_to_sample_mapping"].count(0) > 2 and parts["overflow_to_sample_mapping"].count(1) == 1
    for number, sample in enumerate(parts["overflow_to_sample_mapping"]):
        sources = {0: asked, 1: whole if sample == 0 else tokenizer("好", add_special_tokens=False)["pinyin_ids"]}
        for sequence, (start, _), found in zip(
            parts.sequence_ids(number), parts["offset_mapping"][number], parts["pinyin_ids"][number], strict=True
        ):  # each of these characters is one token
            assert found == (0 if sequence is None else sources[sequence][start])


def test_split_words_overflow_with_their_pinyin_and_numbers(tokenizer: ChineseBertTokenizer) -> None:
    words = ["重庆", "的", "银行", "行长", "在", "长大"]
    whole = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    parts = tokenizer(
        [words], is_split_into_words=True, truncation=True, max_length=6, stride=1, return_overflowing_tokens=True
    )
    step = 3  # four tokens a part, of which the next has one again
    for number, pinyin_ids in enumerate(parts["pinyin_ids"]):
        tokens = slice(number * step, number * step + 4)
        assert pinyin_ids[1:-1] == whole["pinyin_ids"][tokens]
        assert parts.word_ids(number)[1:-1] == whole.word_ids()[tokens]


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_padding_takes_tensors(tokenizer: ChineseBertTokenizer, kind: str) -> None:
    as_array = torch.tensor if kind == "pt" else np.array
    rows = [{name: as_array(ids) for name, ids in tokenizer(text).items()} for text in ("重庆", "重庆的银行")]
    batch = tokenizer.pad(rows, return_tensors=kind)
    assert batch["pinyin_ids"].tolist() == tokenizer(["重庆", "重庆的银行"], padding=True)["pinyin_ids"]


def test_asked_for_extras_come_beside_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    encoded = tokenizer(
        ["重庆", "好"],
        ["银行", "行"],
        padding=True,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        return_length=True,
    )
    assert encoded["token_type_ids"][0] == [0, 0, 0, 0, 1, 1, 1]
    assert encoded["special_tokens_mask"][0] == [1, 0, 0, 1, 0, 0, 1]
    for mask, pinyin_ids in zip(encoded["special_tokens_mask"], encoded["pinyin_ids"], strict=True):
        assert [number == 0 for number in pinyin_ids] == [bool(special) for special in mask]
    assert "attention_mask" not in tokenizer("重庆", return_attention_mask=False)


def test_added_tokens_work_in_tokenizer_and_model(small_vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_vocabulary(small_vocabulary)
    model = with_tables(ChineseBertForMaskedLM, tokenizer)
    old = len(tokenizer)
    tokenizer.add_tokens(["[人名]", "龘"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<甲>"]})
    with pytest.raises(ValueError, match="does the tokenizer belong to this model"):
        model(**tokenizer("<甲>[人名]", return_tensors="pt"))
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForMaskedLM.from_pretrained(tmp_path)
    encoded = tokenizer("<甲>重庆[人名]龘", return_tensors="pt")
    assert encoded["input_ids"][0, [1, 4, 5]].tolist() == [old + 2, old, old + 1]
    spelled = tokenizer.convert_pinyin_ids_to_syllables(encoded["pinyin_ids"][0].tolist())
    assert spelled[1:-1] == ["", "chong2", "qing4", "", "da2"]
    assert model(**encoded).logits.shape == (1, 7, old + 3)


# --------------------------------------------------------------------------------------------------------- pipelines


def with_tables(kind: Any, tokenizer: ChineseBertTokenizer, **changes: Any) -> Any:
    """A tiny model that fits a tokenizer."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    model = kind(tiny_config(**sizes, **changes)).eval()
    model.set_character_tables(tokenizer, make_glyphs(sizes["vocab_size"]))
    return model


SENTENCES = ["银行行长行走", "重庆很重要", "好"]


@BOTH_FORMS
def test_text_classification_pipeline_gives_what_the_model_gives(
    folded: bool, small_tokenizer: ChineseBertTokenizer
) -> None:
    model = with_tables(ChineseBertForSequenceClassification, small_tokenizer, num_labels=3)
    with torch.no_grad():
        wanted = [model(**small_tokenizer(text, return_tensors="pt")).logits[0].softmax(0) for text in SENTENCES]
    classify = pipeline("text-classification", model=model.fold() if folded else model, tokenizer=small_tokenizer)
    for batch_size in (1, 3):
        for found, scores in zip(classify(SENTENCES, batch_size=batch_size, top_k=None), wanted, strict=True):
            by_label = sorted((answer["label"], answer["score"]) for answer in found)
            assert [score for _, score in by_label] == pytest.approx(scores.tolist(), rel=1e-4)


def test_text_classification_pipeline_takes_pairs(small_tokenizer: ChineseBertTokenizer) -> None:
    model = with_tables(ChineseBertForSequenceClassification, small_tokenizer)
    found = pipeline("text-classification", model=model, tokenizer=small_tokenizer)(
        {"text": "重庆", "text_pair": "银行"}, top_k=None
    )
    scores = model(**small_tokenizer("重庆", "银行", return_tensors="pt")).logits[0].softmax(0)
    assert sorted(answer["score"] for answer in found) == pytest.approx(sorted(scores.tolist()), rel=1e-4)


@BOTH_FORMS
def test_token_classification_pipeline_names_characters_and_their_places(
    folded: bool, small_tokenizer: ChineseBertTokenizer
) -> None:
    model = with_tables(ChineseBertForTokenClassification, small_tokenizer, num_labels=3)
    with torch.no_grad():
        wanted = model(**small_tokenizer(SENTENCES[0], return_tensors="pt")).logits[0, 1:-1].softmax(-1).max(-1)
    tag = pipeline("token-classification", model=model.fold() if folded else model, tokenizer=small_tokenizer)
    for found in (tag(SENTENCES[0]), tag(SENTENCES, batch_size=3)[0]):
        assert [answer["word"] for answer in found] == list(SENTENCES[0])
        assert [(answer["start"], answer["end"]) for answer in found] == [(n, n + 1) for n in range(len(SENTENCES[0]))]
        assert [answer["entity"] for answer in found] == [f"LABEL_{number}" for number in wanted.indices.tolist()]
        assert [answer["score"] for answer in found] == pytest.approx(wanted.values.tolist(), rel=1e-4)


def test_token_classification_pipeline_joins_neighbours(small_tokenizer: ChineseBertTokenizer) -> None:
    model = with_tables(ChineseBertForTokenClassification, small_tokenizer, num_labels=1)
    tag = pipeline("token-classification", model=model, tokenizer=small_tokenizer, aggregation_strategy="simple")
    assert [(answer["start"], answer["end"]) for answer in tag("重庆的重要银行")] == [(0, 7)]


@BOTH_FORMS
def test_feature_extraction_pipeline_gives_the_vectors_of_the_encoder(
    folded: bool, small_tokenizer: ChineseBertTokenizer
) -> None:
    model = with_tables(ChineseBertModel, small_tokenizer)
    with torch.no_grad():
        wanted = [model(**small_tokenizer(text, return_tensors="pt")).last_hidden_state for text in SENTENCES]
    extract = pipeline("feature-extraction", model=model.fold() if folded else model, tokenizer=small_tokenizer)
    for found, vectors in zip(extract(SENTENCES, return_tensors=True), wanted, strict=True):
        torch.testing.assert_close(found, vectors, atol=1e-5, rtol=1e-5)


def test_fill_mask_pipeline_fills_several_texts_and_chooses_among_words(small_tokenizer: ChineseBertTokenizer) -> None:
    model = with_tables(ChineseBertForMaskedLM, small_tokenizer)
    fill = pipeline("fill-mask", model=model, tokenizer=small_tokenizer)
    texts = ["银[MASK]行走", "重[MASK]很重要"]
    together = fill(texts, top_k=2, batch_size=2)
    for text, answers in zip(texts, together, strict=True):
        assert [answer["token"] for answer in fill(text, top_k=2)] == [answer["token"] for answer in answers]
    assert {answer["token_str"] for answer in fill(texts[1], targets=["庆", "要"])} == {"庆", "要"}


@pytest.mark.skipif("question-answering" not in SUPPORTED_TASKS, reason="this transformers has no such pipeline")
def test_question_answering_pipeline_answers_from_the_context(small_tokenizer: ChineseBertTokenizer) -> None:
    model = with_tables(ChineseBertForQuestionAnswering, small_tokenizer)
    context = "重庆的重要银行行长在长大"
    answer = pipeline("question-answering", model=model, tokenizer=small_tokenizer)(question="在哪", context=context)
    assert answer["answer"] == context[answer["start"] : answer["end"]]


def test_the_syllables_of_the_tests_are_fewer_than_the_tokens_of_their_batches() -> None:
    """Else the two ways of encoding pinyin in a compiled graph would not both be tested above."""
    assert 36 < SYLLABLES < VOCABULARY
