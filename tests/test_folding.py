"""A folded model says what the original says, is smaller, and is told apart from one that can be trained."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    pipeline,
)

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
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
from chinesebert.vocabulary import han_character
from tests.test_modeling import (
    Inputs,
    make_glyphs,
    make_inputs,
    make_model,
    one_thread,  # noqa: F401  (a fixture that is used wherever it is known)
    tiny_config,
)

ALL = pytest.mark.parametrize("kind", MODEL_CLASSES)
AUTO_CLASSES = {
    ChineseBertModel: AutoModel,
    ChineseBertForMaskedLM: AutoModelForMaskedLM,
    ChineseBertForSequenceClassification: AutoModelForSequenceClassification,
    ChineseBertForTokenClassification: AutoModelForTokenClassification,
    ChineseBertForQuestionAnswering: AutoModelForQuestionAnswering,
    ChineseBertForMultipleChoice: AutoModelForMultipleChoice,
}


def inputs_of(kind: Any, rows: int = 4, length: int = 9) -> Inputs:
    """Rows of tokens; for multiple choice two rows a question."""
    inputs = make_inputs(rows, length)
    if kind is ChineseBertForMultipleChoice:
        return {name: ids.view(rows // 2, 2, length) for name, ids in inputs.items()}
    return inputs


def with_repeated_images(model: Any) -> Any:
    """Gives half of the tokens one and the same image, as in real vocabularies."""
    table = model.base_model.embeddings.glyph_embeddings.embedding.weight
    with torch.no_grad():
        table[::2] = 0
    return model


@torch.no_grad()
def assert_same_outputs(model: Any, wanted: Any, inputs: Inputs, tolerance: float = 1e-5) -> None:
    """Compares all that two models return."""
    for ours, theirs in zip(model(**inputs).to_tuple(), wanted(**inputs).to_tuple(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


# -------------------------------------------------------------------------------------------------- the same outputs


@ALL
@pytest.mark.parametrize("changes", [{}, {"glyph_trainable": True}, {"type_vocab_size": 2}], ids=str)
def test_a_folded_model_gives_the_outputs_of_the_original(kind: Any, changes: dict[str, Any]) -> None:
    model = with_repeated_images(make_model(kind, **changes))
    inputs = inputs_of(kind)
    inputs["attention_mask"] = (inputs["pinyin_ids"] > 5).long()
    if "type_vocab_size" in changes:
        inputs["token_type_ids"] = inputs["input_ids"] % 2
    assert_same_outputs(copy.deepcopy(model).fold(), model, inputs)


def test_every_token_and_every_syllable_is_folded_right() -> None:
    model = with_repeated_images(make_model(ChineseBertModel, max_position_embeddings=300))
    pinyin_ids = torch.arange(300)[None] % 51
    assert_same_outputs(
        copy.deepcopy(model).fold(), model, {"input_ids": torch.arange(300)[None], "pinyin_ids": pinyin_ids}
    )


def test_without_pinyin_a_folded_model_uses_the_most_common_readings_too() -> None:
    model = make_model()
    assert_same_outputs(copy.deepcopy(model).fold(), model, {"input_ids": make_inputs(2, 9)["input_ids"]})


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [torch.long, torch.uint8])
def test_a_folded_model_takes_letters(flat: bool, dtype: torch.dtype) -> None:
    model, inputs = make_model(), make_inputs(3, 9)
    inputs["pinyin_ids"] = model.bert.embeddings.pinyin_embeddings.letter_ids[inputs["pinyin_ids"]].to(dtype)
    if flat:
        inputs["pinyin_ids"] = inputs["pinyin_ids"].flatten(start_dim=1)
    assert_same_outputs(copy.deepcopy(model).fold(), model, inputs)


def test_syllables_that_are_spelled_alike_are_folded_alike() -> None:
    model = make_model()
    letters = model.bert.embeddings.pinyin_embeddings.letter_ids
    letters[40:] = letters[7]
    inputs = {"input_ids": torch.arange(110, 121)[None], "pinyin_ids": letters[torch.arange(40, 51)][None].long()}
    assert_same_outputs(copy.deepcopy(model).fold(), model, inputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_folding_a_half_precision_model_costs_no_more_than_half_precision(dtype: torch.dtype) -> None:
    model, inputs = with_repeated_images(make_model()), make_inputs(4, 9)
    half = copy.deepcopy(model).to(dtype)
    folded = copy.deepcopy(half).fold()
    with torch.no_grad():
        exact, plain, tables = (one(**inputs).logits.float() for one in (model, half, folded))
    assert folded.dtype == dtype
    assert (tables - exact).abs().mean() < 1.5 * (plain - exact).abs().mean()


@pytest.mark.parametrize("how", ["folded", "loaded folded", "folded when loading"])
def test_nothing_of_a_folded_model_takes_gradients(how: str, tmp_path: Path) -> None:
    model = make_model(ChineseBertForSequenceClassification)
    if how == "folded when loading":
        model.save_pretrained(tmp_path)
        model = ChineseBertForSequenceClassification.from_pretrained(tmp_path, folded=True)
    model.fold()
    if how == "loaded folded":
        model.save_pretrained(tmp_path)
        model = ChineseBertForSequenceClassification.from_pretrained(tmp_path)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_hidden_states_and_attentions_come_from_a_folded_model_too() -> None:
    model = make_model()
    model.set_attn_implementation("eager")
    folded = copy.deepcopy(model).fold()
    with torch.no_grad():
        ours, theirs = (
            one(**make_inputs(2, 5), output_hidden_states=True, output_attentions=True) for one in (folded, model)
        )
    for name in ("hidden_states", "attentions"):
        for one, two in zip(ours[name], theirs[name], strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_packed_documents_and_left_padding_work_folded() -> None:
    model = make_model()
    packed = make_inputs(1, 12) | {"segment_ids": torch.tensor([[0] * 2 + [1] * 5 + [2] * 5])}
    padded = make_inputs(1, 12) | {"attention_mask": torch.tensor([[0] * 4 + [1] * 8])}
    for inputs in (packed, padded):
        assert_same_outputs(copy.deepcopy(model).fold(), model, inputs)


# -------------------------------------------------------------------------------------------------------- in place


@ALL
def test_folding_returns_the_model_itself_ready_for_evaluation(kind: Any) -> None:
    model = make_model(kind).train()
    assert model.fold() is model
    assert not any(module.training for module in model.modules())
    assert model.config.folded


def test_folding_twice_is_folding_once() -> None:
    model, inputs = make_model().fold(), make_inputs(2, 9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = model(**inputs).logits
    model.fold()
    assert before.keys() == model.state_dict().keys()
    assert torch.equal(model(**inputs).logits, wanted)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_folded_model_is_one_of_its_own(copied: Any) -> None:
    model, inputs = make_model().fold(), make_inputs(2, 9)
    other = copied(model)
    assert_same_outputs(other, model, inputs)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert model(**inputs).logits.abs().max() > 0
    with pytest.raises(ValueError, match="cannot be trained"):
        other.train()


def test_folding_a_copy_leaves_the_original_as_it_was() -> None:
    model, inputs = make_model(), make_inputs(2, 9)
    wanted = model(**inputs).logits
    copy.deepcopy(model).fold()
    assert not model.config.folded
    model.train()(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert torch.equal(model.eval()(**inputs).logits, wanted)


def test_folding_one_of_two_models_of_a_configuration_leaves_the_other_as_it_was() -> None:
    config = tiny_config()
    folded, other = ChineseBertModel(config), ChineseBertModel(config)
    folded.fold()
    assert not other.config.folded
    other.train()


def test_images_and_convolution_are_gone() -> None:
    names = set(make_model().fold().state_dict())
    assert not [name for name in names if "glyph_embeddings" in name or "conv" in name or "map_fc" in name]


def test_the_decoder_stays_as_it_was() -> None:
    model = make_model()
    weight, bias = (value.clone() for value in (model.cls.predictions.decoder.weight, model.cls.predictions.bias))
    model.fold()
    model.tie_weights()
    assert torch.equal(model.cls.predictions.decoder.weight, weight)
    assert torch.equal(model.cls.predictions.decoder.bias, bias)


# --------------------------------------------------------------------------------------------------------- refused


@ALL
def test_training_a_folded_model_is_refused(kind: Any) -> None:
    model = make_model(kind).fold()
    with pytest.raises(ValueError, match="for inference and cannot be trained: load the original directory"):
        model.train()
    assert not any(module.training for module in model.modules())
    assert model.eval() is model


def test_training_a_model_that_holds_a_folded_one_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be trained"):
        torch.nn.Sequential(make_model(ChineseBertModel).fold(), torch.nn.Linear(32, 2)).train()


def test_a_new_folded_model_in_training_mode_does_not_run() -> None:
    model = ChineseBertModel(tiny_config(folded=True))
    with pytest.raises(ValueError, match=r"model\.eval\(\)"):
        model(**make_inputs(1, 5))
    assert model.eval()(**make_inputs(1, 5)).last_hidden_state.isfinite().all()


@pytest.mark.parametrize("arguments", [{"new_num_tokens": 310}, {"pad_to_multiple_of": 64}], ids=str)
def test_resizing_a_folded_model_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="resize the original, then fold it"):
        make_model().fold().resize_token_embeddings(**arguments)


def test_word_vectors_are_refused_by_a_folded_model() -> None:
    with pytest.raises(ValueError, match="takes input_ids, not inputs_embeds"):
        make_model(ChineseBertModel).fold()(inputs_embeds=torch.zeros(1, 5, 32))


def test_a_spelling_that_is_no_syllable_of_the_model_is_refused() -> None:
    model = make_model().fold()
    letters = torch.zeros(1, 5, 8, dtype=torch.long)
    model(torch.full((1, 5), 110), letters)  # nothing but padding is "no pinyin"
    letters[0, 3] = torch.tensor([31, 31, 31, 31, 31, 31, 31, 30])
    with pytest.raises(ValueError, match="spell a syllable that is not in this model's inventory"):
        model(torch.full((1, 5), 110), letters)


@pytest.mark.parametrize(("name", "number"), [("input_ids", 300), ("input_ids", -1), ("pinyin_ids", 51)])
def test_ids_that_a_folded_model_does_not_have_are_refused(name: str, number: int) -> None:
    inputs = make_inputs(1, 5)
    inputs[name][0, 2] = number
    with pytest.raises(ValueError, match=f"{name} run from .* to .*; this model knows 0"):
        make_model().fold()(**inputs)


# ----------------------------------------------------------------------------------------------------- directories


@ALL
def test_a_directory_is_folded_on_request(kind: Any, tmp_path: Path) -> None:
    model = with_repeated_images(make_model(kind))
    model.save_pretrained(tmp_path)
    for loader in (kind, AUTO_CLASSES[kind]):
        folded, report = loader.from_pretrained(tmp_path, folded=True, output_loading_info=True)
        assert type(folded) is kind and folded.config.folded and not folded.training
        assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert_same_outputs(folded, model, inputs_of(kind))
    assert not ChineseBertConfig.from_pretrained(tmp_path).folded


@ALL
def test_a_folded_directory_is_a_model_of_its_own(kind: Any, tmp_path: Path) -> None:
    model = with_repeated_images(make_model(kind))
    copy.deepcopy(model).fold().save_pretrained(tmp_path)
    for loader in (kind, AUTO_CLASSES[kind]):
        for asked in ({}, {"folded": True}):
            loaded, report = loader.from_pretrained(tmp_path, **asked, output_loading_info=True)
            assert type(loaded) is kind and loaded.config.folded and not loaded.training
            assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
            assert_same_outputs(loaded, model, inputs_of(kind))


@pytest.mark.parametrize("loader", [ChineseBertModel, AutoModel])
def test_the_encoder_of_a_folded_head_can_be_loaded_alone(loader: Any, tmp_path: Path) -> None:
    model = with_repeated_images(make_model())
    copy.deepcopy(model).fold().save_pretrained(tmp_path)
    encoder = loader.from_pretrained(tmp_path, add_pooling_layer=False) if loader is ChineseBertModel else None
    encoder = encoder or loader.from_pretrained(tmp_path)
    inputs = make_inputs(2, 9)
    torch.testing.assert_close(
        encoder(**inputs).last_hidden_state, model.bert(**inputs).last_hidden_state, atol=1e-5, rtol=1e-5
    )


def test_a_new_classifier_on_a_folded_encoder_gives_its_vectors(tmp_path: Path) -> None:
    model = make_model(ChineseBertModel)
    copy.deepcopy(model).fold().save_pretrained(tmp_path)
    classifier = ChineseBertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    assert_same_outputs(classifier.bert, model, make_inputs(2, 9))


def test_a_decoder_for_a_folded_encoder_is_refused_by_name(tmp_path: Path) -> None:
    make_model(ChineseBertModel).fold().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}.*folded"):  # its words, which the decoder needs, are gone
        ChineseBertForMaskedLM.from_pretrained(tmp_path)


def test_a_saved_folded_model_loads_in_the_same_state_again_and_again(tmp_path: Path) -> None:
    make_model().fold().save_pretrained(tmp_path / "1")
    ChineseBertForMaskedLM.from_pretrained(tmp_path / "1").save_pretrained(tmp_path / "2")
    assert (tmp_path / "1" / "model.safetensors").read_bytes() == (tmp_path / "2" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("loader", [ChineseBertForMaskedLM, AutoModelForMaskedLM])
def test_a_folded_directory_cannot_be_unfolded(loader: Any, tmp_path: Path) -> None:
    make_model().fold().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}: was saved folded, and cannot be unfolded"):
        loader.from_pretrained(tmp_path, folded=False)


def test_a_configuration_may_ask_for_folding(tmp_path: Path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path)
    config = ChineseBertConfig.from_pretrained(tmp_path, folded=True, attn_implementation="eager")
    folded = ChineseBertForMaskedLM.from_pretrained(tmp_path, config=config)
    assert folded.config.folded
    assert folded.config._attn_implementation == "eager"
    assert_same_outputs(folded, model, make_inputs(2, 9))


def test_a_directory_is_folded_in_the_precision_it_is_loaded_in(tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    folded = ChineseBertForMaskedLM.from_pretrained(tmp_path, folded=True, dtype=torch.bfloat16)
    assert {p.dtype for p in folded.parameters()} == {torch.bfloat16}
    assert folded(**make_inputs(2, 9)).logits.dtype == torch.bfloat16


def test_a_pipeline_can_fold_what_it_loads(small_tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(small_tokenizer.tokens()), "num_syllables": len(small_tokenizer.readings.syllables)}
    model = ChineseBertForMaskedLM(tiny_config(**sizes))
    model.set_character_tables(small_tokenizer, make_glyphs(sizes["vocab_size"]))
    model.save_pretrained(tmp_path)
    plain, folded = (
        pipeline("fill-mask", model=str(tmp_path), tokenizer=small_tokenizer, model_kwargs={"folded": choice})
        for choice in (False, True)
    )
    assert folded.model.config.folded and not plain.model.config.folded
    answers, wanted = folded("银行[MASK]行走", top_k=3), plain("银行[MASK]行走", top_k=3)
    assert [answer["token"] for answer in answers] == [answer["token"] for answer in wanted]
    assert [answer["score"] for answer in answers] == pytest.approx([answer["score"] for answer in wanted], rel=1e-4)


@pytest.mark.parametrize("kind", [ChineseBertModel, ChineseBertForMaskedLM])
@pytest.mark.parametrize("trainable", [False, True], ids=["byte images", "float images"])
def test_a_folded_directory_is_smaller(
    kind: Any, trainable: bool, tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    """With the embeddings of a base model, whose sizes decide, and images like real ones: only Han characters have any
    of their own. The encoder, the same in both, is tiny."""
    sizes = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 1, "vocab_size": 2_253}
    model = kind(tiny_config(**sizes, num_syllables=149, glyph_trainable=trainable)).eval()
    table = model.base_model.embeddings.glyph_embeddings.embedding.weight
    drawn = np.array([han_character(token) is not None for token in tokenizer.tokens()])[::10]
    with torch.no_grad():
        table[torch.from_numpy(drawn)] = torch.randint(256, (int(drawn.sum()), 1728)).to(table.dtype)
    model.save_pretrained(tmp_path / "original")
    model.fold().save_pretrained(tmp_path / "folded")
    original, folded = (size_of_tables(tmp_path / name) for name in ("original", "folded"))
    assert folded < original


def size_of_tables(directory: Path) -> int:
    """Bytes of the tables in a saved model of 768 dimensions: of all that grows with the vocabulary."""
    from safetensors import safe_open

    with safe_open(directory / "model.safetensors", framework="pt") as file:
        tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118  (not a dictionary)
    return sum(tensor.nbytes for tensor in tensors if len(tensor) > 768)
