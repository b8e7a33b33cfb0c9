"""The model: inputs it takes, what it keeps apart, its loss, how it is saved, and the original's outputs."""

import dataclasses
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

from chinesebert import embeddings_chinesebert
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.corpus.dataset import MaskedRows, collate, model_inputs
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.glyph import Glyphs
from chinesebert.masking import IGNORE_INDEX, Masking
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertModel, labelled_cross_entropy
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

VOCABULARY, SYLLABLES, POSITIONS = 300, 50, 64
MASK = 103
Inputs = dict[str, torch.Tensor]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny matrices are not worth a second thread, and one thread adds up in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_config(**changes: Any) -> ChineseBertConfig:
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "num_syllables": SYLLABLES,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # Ten times the usual, so that what a token sees makes a difference that no tolerance can hide.
        "initializer_range": 0.2,
    }
    return ChineseBertConfig(**settings | changes)


def make_model(kind: Any = ChineseBertForMaskedLM, seed: int = 0, **changes: Any) -> Any:
    """A tiny model in evaluation mode, with random weights, images, spellings and readings."""
    torch.manual_seed(seed)
    model = kind(tiny_config(**changes)).eval()
    embeddings = model.base_model.embeddings
    table = embeddings.glyph_embeddings.embedding.weight
    with torch.no_grad():
        table.copy_(torch.randint(256, table.shape))
        if table.is_floating_point():
            table /= 255
        embeddings.pinyin_embeddings.letter_ids[1:] = torch.randint(32, (SYLLABLES, 8))
        embeddings.default_pinyin_ids.copy_(torch.randint(SYLLABLES + 1, (VOCABULARY,)))
    return model


def make_inputs(rows: int, length: int, seed: int = 1) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_ids": torch.randint(104, VOCABULARY, (rows, length), generator=generator),
        "pinyin_ids": torch.randint(SYLLABLES + 1, (rows, length), generator=generator),
    }


def make_labels(rows: int, length: int, share: float = 0.2, seed: int = 2) -> torch.Tensor:
    """Labels at so many of the places, in uneven numbers a row; the last row has none."""
    generator = torch.Generator().manual_seed(seed)
    masked = torch.rand(rows, length, generator=generator) < share * torch.linspace(2, 0, rows)[:, None]
    return torch.randint(104, VOCABULARY, (rows, length), generator=generator).masked_fill(~masked, IGNORE_INDEX)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_same_gradients(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(
            gradient, two[name], atol=1e-6, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture(scope="module")
def model() -> ChineseBertForMaskedLM:
    """A tiny model in evaluation mode. Do not change it: tests share it."""
    return make_model()


# --------------------------------------------------------------------------------------------------------------- shapes


def test_the_head_scores_the_vocabulary_at_every_place(model: ChineseBertForMaskedLM) -> None:
    assert model(**make_inputs(3, 10)).logits.shape == (3, 10, VOCABULARY)


def test_the_encoder_returns_a_vector_a_token_and_one_a_text() -> None:
    outputs = make_model(ChineseBertModel)(**make_inputs(3, 10))
    assert outputs.last_hidden_state.shape == (3, 10, 32)
    assert outputs.pooler_output.shape == (3, 32)


def test_pinyin_is_the_second_argument(model: ChineseBertForMaskedLM) -> None:
    inputs = make_inputs(2, 5)
    by_place = model(inputs["input_ids"], inputs["pinyin_ids"]).logits
    assert torch.equal(by_place, model(**inputs).logits)


def test_a_tuple_is_returned_on_request(model: ChineseBertForMaskedLM) -> None:
    inputs = make_inputs(2, 5)
    outputs = model(**inputs, labels=inputs["input_ids"], return_dict=False)
    assert [tuple(part.shape) for part in outputs] == [(), (2, 5, VOCABULARY)]


def test_hidden_states_of_every_layer_are_returned_on_request(model: ChineseBertForMaskedLM) -> None:
    outputs = model(**make_inputs(2, 5), output_hidden_states=True)
    assert [tuple(states.shape) for states in outputs.hidden_states] == [(2, 5, 32)] * 3


def test_attentions_are_returned_on_request() -> None:
    model = make_model()
    model.set_attn_implementation("eager")
    attentions = model(**make_inputs(2, 5), output_attentions=True).attentions
    assert [tuple(weights.shape) for weights in attentions] == [(2, 4, 5, 5)] * 2
    torch.testing.assert_close(attentions[0].sum(dim=-1), torch.ones(2, 4, 5))


@pytest.mark.parametrize("part", ["input_ids", "pinyin_ids", "position_ids"])
def test_every_input_makes_a_difference(model: ChineseBertForMaskedLM, part: str) -> None:
    inputs = make_inputs(1, 5) | {"position_ids": torch.arange(5)[None]}
    changed = inputs | {part: inputs[part].roll(1)}
    assert (model(**inputs).logits - model(**changed).logits).abs().max() > 1e-2


# --------------------------------------------------------------------------------------------------------------- pinyin


@pytest.mark.parametrize("rows", [1, 20], ids=["fewer tokens than syllables", "more tokens than syllables"])
@pytest.mark.parametrize("shape", ["letters", "flat letters"])
def test_letters_and_syllables_say_the_same(model: ChineseBertForMaskedLM, rows: int, shape: str) -> None:
    inputs = make_inputs(rows, 12)
    letters = model.bert.embeddings.pinyin_embeddings.letter_ids[inputs["pinyin_ids"]].long()
    if shape == "flat letters":
        letters = letters.flatten(start_dim=1)
    spelled = model(inputs["input_ids"], letters).logits
    torch.testing.assert_close(spelled, model(**inputs).logits, atol=1e-5, rtol=1e-5)


def test_the_syllables_of_a_batch_are_encoded_once_each(model: ChineseBertForMaskedLM) -> None:
    asked = []
    embedding = model.bert.embeddings.pinyin_embeddings
    embedding.register_forward_pre_hook(lambda module, arguments: asked.append(arguments[0]))
    model(torch.tensor([[5, 6, 7, 5]]), torch.tensor([[3, 1, 3, 1]]))
    assert [ids.tolist() for ids in asked] == [[1, 3]]


@pytest.mark.parametrize("rows", [1, 20], ids=["fewer tokens than syllables", "more tokens than syllables"])
def test_both_ways_of_encoding_give_the_same_gradients(rows: int) -> None:
    inputs = make_inputs(rows, 12)
    found = []
    for form in ("syllables", "letters"):
        model = make_model()
        embedding = model.bert.embeddings.pinyin_embeddings
        ids = inputs["pinyin_ids"] if form == "syllables" else embedding.letter_ids[inputs["pinyin_ids"]].long()
        model(inputs["input_ids"], ids, labels=inputs["input_ids"]).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


def test_pairs_of_letters_convolved_once_are_the_whole_convolution(model: ChineseBertForMaskedLM) -> None:
    encoder = model.bert.embeddings.pinyin_embeddings
    letters = encoder.letter_ids[torch.arange(SYLLABLES + 1)].long()
    whole = encoder.conv(encoder.embedding(letters).transpose(1, 2)).amax(dim=-1)
    torch.testing.assert_close(encoder(torch.arange(SYLLABLES + 1)), whole, atol=1e-6, rtol=1e-6)
    weights = list(encoder.parameters())
    by_pairs = torch.autograd.grad(encoder(letters[None], spelled=True).square().sum(), weights)
    torch.testing.assert_close(by_pairs, torch.autograd.grad(whole.square().sum(), weights), atol=1e-4, rtol=1e-4)


def test_without_pinyin_the_most_common_readings_are_used(model: ChineseBertForMaskedLM) -> None:
    input_ids = make_inputs(3, 10)["input_ids"]
    common = model.bert.embeddings.default_pinyin_ids[input_ids].long()
    assert torch.equal(model(input_ids).logits, model(input_ids, common).logits)


def test_missing_pinyin_is_warned_of_once(model: ChineseBertForMaskedLM, caplog: pytest.LogCaptureFixture) -> None:
    embeddings_chinesebert.logger.warning_once.cache_clear()
    input_ids = make_inputs(1, 5)["input_ids"]
    with caplog.at_level(logging.WARNING, logger=embeddings_chinesebert.logger.name):
        model(input_ids)
        model(input_ids)
    assert [record.message.startswith("No pinyin_ids were given") for record in caplog.records] == [True]


# The last three hold as many numbers as the letters would.
@pytest.mark.parametrize(
    "shape", [(2, 9), (3, 10), (2, 10, 7), (2, 70), (20,), (10, 2), (10, 2, 8), (16, 10), (160,)], ids=str
)
def test_pinyin_of_another_shape_is_refused(model: ChineseBertForMaskedLM, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pinyin_ids have shape .* \[2, 10\] .*\[2, 10, 8\] or \[2, 80\]"):
        model(make_inputs(2, 10)["input_ids"], torch.zeros(shape, dtype=torch.long))


# --------------------------------------------------------------------------------------------------------------- glyphs


def test_images_are_scaled_to_the_range_from_zero_to_one() -> None:
    embedding = make_model().bert.embeddings.glyph_embeddings
    embedding.embedding.weight[:3] = torch.tensor([[0], [51], [255]], dtype=torch.uint8)
    pixels = embedding(torch.tensor([[0, 1, 2]]), torch.float32)
    torch.testing.assert_close(pixels, torch.tensor([0.0, 0.2, 1.0])[None, :, None].expand(1, 3, 1728))


def test_images_are_not_trained() -> None:
    model = make_model()
    assert not [name for name, _ in model.named_parameters() if "glyph_embeddings" in name]
    assert model.state_dict()["bert.embeddings.glyph_embeddings.embedding.weight"].dtype == torch.uint8


def test_trainable_images_are_a_float_parameter() -> None:
    model = make_model(glyph_trainable=True)
    inputs = make_inputs(2, 5)
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    weight = dict(model.named_parameters())["bert.embeddings.glyph_embeddings.embedding.weight"]
    assert weight.dtype == torch.float32
    assert weight.grad.abs().sum(dim=1).nonzero().flatten().tolist() == inputs["input_ids"].unique().tolist()


def test_trainable_and_frozen_images_give_the_same_outputs() -> None:
    frozen, trained = make_model(), make_model(glyph_trainable=True)
    state = frozen.state_dict()
    name = "bert.embeddings.glyph_embeddings.embedding.weight"
    trained.load_state_dict(state | {name: state[name] / 255})
    inputs = make_inputs(2, 10)
    torch.testing.assert_close(trained(**inputs).logits, frozen(**inputs).logits, atol=1e-5, rtol=1e-5)


def test_images_stay_bytes_in_a_half_precision_model(tmp_path: Path) -> None:
    model = make_model()
    images = model.bert.embeddings.glyph_embeddings.embedding.weight.clone()
    model.save_pretrained(tmp_path)
    for half in (model.to(torch.bfloat16), ChineseBertForMaskedLM.from_pretrained(tmp_path, dtype=torch.bfloat16)):
        table = half.bert.embeddings.glyph_embeddings.embedding.weight
        assert table.dtype == torch.uint8
        assert torch.equal(table, images)
        assert half(**make_inputs(2, 5)).logits.dtype == torch.bfloat16


def make_glyphs(size: int) -> Glyphs:
    """Noise for images; like real ones, those of special tokens are blank."""
    images = np.random.default_rng(0).integers(256, size=(size, 3, 24, 24), dtype=np.uint8)
    images[: MASK + 1] = 0
    return Glyphs(images, np.zeros((size, 3), dtype=np.int8))


@pytest.fixture(scope="module")
def full_model(small_tokenizer: ChineseBertTokenizer) -> ChineseBertForMaskedLM:
    """A tiny model for the small vocabulary, with its character tables."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(small_tokenizer.tokens()), "num_syllables": len(small_tokenizer.readings.syllables)}
    model = ChineseBertForMaskedLM(tiny_config(**sizes)).eval()
    model.set_character_tables(small_tokenizer, make_glyphs(sizes["vocab_size"]))
    return model


@pytest.mark.parametrize("trainable", [False, True])
def test_character_tables_are_those_of_tokenizer_and_glyphs(
    small_tokenizer: ChineseBertTokenizer, trainable: bool
) -> None:
    size, syllables = len(small_tokenizer.tokens()), len(small_tokenizer.readings.syllables)
    model = ChineseBertModel(tiny_config(vocab_size=size, num_syllables=syllables, glyph_trainable=trainable))
    glyphs = make_glyphs(size)
    model.set_character_tables(small_tokenizer, glyphs)
    embeddings = model.embeddings
    pixels = embeddings.glyph_embeddings(torch.arange(size)[None], torch.float32)[0]
    np.testing.assert_allclose(pixels.detach(), glyphs.images.reshape(size, -1) / np.float32(255), atol=1e-6)
    assert np.array_equal(embeddings.pinyin_embeddings.letter_ids, small_tokenizer.readings.letter_ids())
    assert np.array_equal(embeddings.default_pinyin_ids, small_tokenizer.default_pinyin_ids())


def test_character_tables_of_other_sizes_are_refused(small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(ValueError, match="glyph images: shape"):
        make_model().set_character_tables(small_tokenizer, make_glyphs(len(small_tokenizer.tokens())))


# --------------------------------------------------------------------------------------------- padding, packed segments


ATTENTION = ["sdpa", "eager", pytest.param("flex_attention", marks=pytest.mark.slow)]


def pack(documents: list[Inputs], padding: int) -> Inputs:
    """Several one-row inputs as the segments of one packed row."""
    lengths = [document["input_ids"].shape[1] for document in documents]
    numbers = [torch.full((1, length), number) for number, length in enumerate(lengths, start=1)]
    packed = {name: torch.cat([document[name] for document in documents], dim=1) for name in documents[0]}
    packed["segment_ids"] = torch.cat(numbers, dim=1)
    packed["position_ids"] = torch.cat([torch.arange(length)[None] for length in lengths], dim=1)
    return {name: torch.nn.functional.pad(ids, (0, padding)) for name, ids in packed.items()}


@pytest.mark.parametrize("attention", ATTENTION)
@torch.no_grad()
def test_a_packed_document_reads_as_if_it_were_alone(attention: str) -> None:
    model = make_model()
    model.set_attn_implementation(attention)
    documents = [make_inputs(1, 10, seed=1), make_inputs(1, 17, seed=2), make_inputs(1, 3, seed=3)]
    packed = model(**pack(documents, padding=6)).logits
    place = 0
    for document in documents:
        alone = model(**document).logits
        length = alone.shape[1]
        torch.testing.assert_close(packed[:, place : place + length], alone, atol=1e-5, rtol=1e-5)
        place += length


@pytest.mark.parametrize("attention", ATTENTION)
@torch.no_grad()
def test_another_first_document_leaves_the_second_as_it_is(attention: str) -> None:
    model = make_model()
    model.set_attn_implementation(attention)
    second = make_inputs(1, 17, seed=2)
    one, two = (model(**pack([make_inputs(1, 10, seed=seed), second], padding=5)).logits for seed in (1, 7))
    assert not torch.equal(one[:, :10], two[:, :10])
    assert torch.equal(one[:, 10:27], two[:, 10:27])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_padding_changes_nothing(attention: str) -> None:
    model = make_model()
    model.set_attn_implementation(attention)
    inputs = make_inputs(2, 9)
    padded = {name: torch.nn.functional.pad(ids, (0, 7)) for name, ids in inputs.items()}
    mask = torch.nn.functional.pad(torch.ones(2, 9, dtype=torch.long), (0, 7))
    logits = model(**padded, attention_mask=mask).logits[:, :9]
    torch.testing.assert_close(logits, model(**inputs).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_segment_and_padding_is_what_an_attention_mask_says(model: ChineseBertForMaskedLM) -> None:
    inputs = {name: torch.nn.functional.pad(ids, (0, 7)) for name, ids in make_inputs(2, 9).items()}
    mask = torch.nn.functional.pad(torch.ones(2, 9, dtype=torch.long), (0, 7))
    by_mask, by_segment = model(**inputs, attention_mask=mask).logits, model(**inputs, segment_ids=mask).logits
    torch.testing.assert_close(by_segment[:, :9], by_mask[:, :9], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rows_of_padding_give_no_nan(attention: str) -> None:
    model = make_model().train()
    model.set_attn_implementation(attention)
    packed = pack([make_inputs(1, 10)], padding=10)
    inputs = {name: torch.cat([ids, torch.zeros_like(ids)]) for name, ids in packed.items()}
    labels = torch.where(inputs["segment_ids"] > 0, inputs["input_ids"], IGNORE_INDEX)
    outputs = model(**inputs, labels=labels, masked_only=False)
    outputs.loss.backward()
    assert outputs.logits.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


def test_token_types_are_refused_by_a_model_without_them(model: ChineseBertForMaskedLM) -> None:
    inputs = make_inputs(1, 5)
    zeros = torch.zeros(1, 5, dtype=torch.long)
    assert torch.equal(model(**inputs, token_type_ids=zeros).logits, model(**inputs).logits)
    with pytest.raises(ValueError, match="leave token_type_ids out"):
        model(**inputs, token_type_ids=zeros + 1)


def test_token_types_make_a_difference_to_a_model_that_has_them() -> None:
    model = make_model(type_vocab_size=2)
    inputs, zeros = make_inputs(1, 5), torch.zeros(1, 5, dtype=torch.long)
    first, second = (model(**inputs, token_type_ids=zeros + kind).logits for kind in (0, 1))
    assert torch.equal(first, model(**inputs).logits)
    assert (first - second).abs().max() > 1e-2


# ----------------------------------------------------------------------------------------------------------------- loss


def test_loss_is_the_mean_cross_entropy_of_the_masked_places(model: ChineseBertForMaskedLM) -> None:
    inputs, labels = make_inputs(4, 10), make_labels(4, 10)
    outputs = model(**inputs, labels=labels)
    wanted = torch.nn.functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(outputs.loss, wanted)


def test_the_head_runs_at_masked_places_only_while_training() -> None:
    inputs, labels = make_inputs(4, 10), make_labels(4, 10)
    count = int((labels != IGNORE_INDEX).sum())
    model = make_model()
    assert model(**inputs, labels=labels).logits.shape == (4, 10, VOCABULARY)
    assert model.train()(**inputs, labels=labels).logits.shape == (count, VOCABULARY)
    assert model(**inputs).logits.shape == (4, 10, VOCABULARY)


def test_the_head_at_masked_places_equals_the_head_everywhere() -> None:
    inputs, labels = make_inputs(4, 10), make_labels(4, 10)
    outputs, found = [], []
    for masked_only in (True, False):
        model = make_model()
        outputs.append(model(**inputs, labels=labels, masked_only=masked_only))
        outputs[-1].loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits[labels != IGNORE_INDEX], atol=1e-5, rtol=1e-5)
    assert_same_gradients(*found)


@pytest.mark.parametrize("micro_batches", [2, 8])
def test_gradients_do_not_depend_on_how_a_batch_is_split(micro_batches: int) -> None:
    inputs, labels = make_inputs(8, 12), make_labels(8, 12)
    count = (labels != IGNORE_INDEX).sum()
    found = []
    for parts in (1, micro_batches):
        model = make_model().train()
        for piece in torch.arange(8).chunk(parts):
            micro = {name: ids[piece] for name, ids in inputs.items()}
            model(**micro, labels=labels[piece], num_items_in_batch=count).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


@pytest.mark.parametrize("masked_only", [True, False])
def test_a_micro_batch_without_labels_has_loss_and_gradients_of_zero(masked_only: bool) -> None:
    model = make_model().train()
    nothing = torch.full((2, 5), IGNORE_INDEX)
    loss = model(**make_inputs(2, 5), labels=nothing, masked_only=masked_only).loss
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


@pytest.mark.parametrize("count", [0, torch.tensor(0)])
def test_a_global_batch_without_labels_has_loss_zero(count: torch.Tensor | int) -> None:
    model = make_model().train()
    nothing = torch.full((2, 5), IGNORE_INDEX)
    assert model(**make_inputs(2, 5), labels=nothing, num_items_in_batch=count).loss.item() == 0


def test_loss_of_half_precision_logits_is_computed_in_full_precision() -> None:
    logits = torch.randn(20, VOCABULARY).bfloat16()
    labels = torch.randint(VOCABULARY, (20,))
    loss = labelled_cross_entropy(logits, labels)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits.float(), labels))


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(reentrant: bool) -> None:
    inputs, labels = make_inputs(4, 10), make_labels(4, 10)
    found = []
    for checkpointing in (False, True):
        model = make_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        model(**inputs, labels=labels).loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


def test_a_tiny_model_learns_eight_rows_by_heart(
    corpus: PreparedCorpus, small_tokenizer: ChineseBertTokenizer, full_model: ChineseBertForMaskedLM
) -> None:
    tokenizer = small_tokenizer
    rows = MaskedRows(
        RowPlan([corpus], POSITIONS),
        RowDresser(POSITIONS, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
        Masking(tokenizer.mask_token_id, tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids()),
    )
    batch = model_inputs(collate(rows.__getitems__(range(8))))
    torch.manual_seed(0)
    model = ChineseBertForMaskedLM(ChineseBertConfig(**full_model.config.to_dict() | {"initializer_range": 0.1}))
    model.set_character_tables(tokenizer, make_glyphs(model.config.vocab_size))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(model.config.vocab_size), abs=0.5)
    _, counts = batch["labels"][batch["labels"] != IGNORE_INDEX].unique(return_counts=True)
    without_context = torch.distributions.Categorical(counts / counts.sum()).entropy().item()
    assert losses[-1] < without_context / 4


# ------------------------------------------------------------------------------------------------------ saving, loading


@pytest.fixture(scope="module")
def saved(
    full_model: ChineseBertForMaskedLM, small_tokenizer: ChineseBertTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory with a model and its tokenizer."""
    directory = tmp_path_factory.mktemp("saved")
    full_model.save_pretrained(directory)
    small_tokenizer.save_pretrained(directory)
    return directory


@torch.no_grad()
def test_a_loaded_model_gives_the_logits_of_the_saved_one(saved: Path, full_model: ChineseBertForMaskedLM) -> None:
    loaded = ChineseBertForMaskedLM.from_pretrained(saved)
    assert not loaded.training
    inputs = make_inputs(2, 10)
    assert torch.equal(loaded(**inputs).logits, full_model(**inputs).logits)
    assert torch.equal(loaded(inputs["input_ids"]).logits, full_model(inputs["input_ids"]).logits)


@pytest.mark.parametrize("kind", [ChineseBertForMaskedLM, AutoModelForMaskedLM])
def test_nothing_is_missing_or_left_over_when_loading(saved: Path, kind: Any) -> None:
    _, report = kind.from_pretrained(saved, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_decoder_is_tied_to_the_token_table_after_loading(saved: Path) -> None:
    loaded = ChineseBertForMaskedLM.from_pretrained(saved)
    decoder = loaded.cls.predictions.decoder
    assert decoder.weight is loaded.bert.embeddings.word_embeddings.weight
    assert decoder.bias is loaded.cls.predictions.bias


@torch.no_grad()
def test_auto_classes_find_configuration_and_encoder(saved: Path, full_model: ChineseBertForMaskedLM) -> None:
    assert isinstance(AutoConfig.from_pretrained(saved), ChineseBertConfig)
    encoder = AutoModel.from_pretrained(saved)
    assert isinstance(encoder, ChineseBertModel)
    inputs = make_inputs(2, 10)
    assert torch.equal(encoder(**inputs).last_hidden_state, full_model.bert(**inputs).last_hidden_state)


def test_configuration_survives_saving(saved: Path, full_model: ChineseBertForMaskedLM) -> None:
    ignored = {"_name_or_path", "architectures", "transformers_version", "dtype"}
    one, two = (config.to_dict() for config in (full_model.config, AutoConfig.from_pretrained(saved)))
    assert {k: v for k, v in one.items() if k not in ignored} == {k: v for k, v in two.items() if k not in ignored}


@pytest.mark.parametrize("trainable", [False, True])
def test_images_survive_saving(tmp_path: Path, trainable: bool) -> None:
    model = make_model(glyph_trainable=trainable)
    model.save_pretrained(tmp_path)
    loaded = ChineseBertForMaskedLM.from_pretrained(tmp_path)
    one, two = (m.bert.embeddings.glyph_embeddings.embedding.weight for m in (model, loaded))
    assert one.dtype == two.dtype
    assert torch.equal(one, two)


def test_fill_mask_pipeline_runs_on_a_saved_directory(saved: Path) -> None:
    fill = pipeline("fill-mask", model=str(saved), tokenizer=AutoTokenizer.from_pretrained(saved))
    answers = fill("今天天气很[MASK]。", top_k=4)
    assert len(answers) == 4
    assert answers[0]["score"] >= answers[-1]["score"] > 0


@torch.no_grad()
def test_fill_mask_pipeline_gives_the_answers_of_the_model(saved: Path, full_model: ChineseBertForMaskedLM) -> None:
    tokenizer = AutoTokenizer.from_pretrained(saved)
    text = "银行行长很[MASK]。"  # 行 is read in two ways: without pinyin_ids the answer would be another
    inputs = tokenizer(text, return_tensors="pt")
    scores = full_model(**inputs).logits[inputs["input_ids"] == tokenizer.mask_token_id].softmax(dim=-1)
    answers = pipeline("fill-mask", model=str(saved), tokenizer=tokenizer)(text, top_k=3)
    assert [answer["score"] for answer in answers] == pytest.approx(scores.topk(3).values[0].tolist(), rel=1e-4)


# -------------------------------------------------------------------------------------------------------------- compile


@pytest.mark.parametrize("packed", [False, True])
@torch.no_grad()
def test_the_encoder_compiles_without_a_graph_break(packed: bool) -> None:
    model = make_model(ChineseBertModel)
    inputs = pack([make_inputs(1, 20), make_inputs(1, 30)], padding=6) if packed else make_inputs(4, 20)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    wanted = model(**inputs).last_hidden_state
    torch.testing.assert_close(compiled(**inputs).last_hidden_state, wanted, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------- the original code


@dataclasses.dataclass
class Golden:
    """A checkpoint in the released layout with inputs and outputs of the original code."""

    model: ChineseBertForMaskedLM
    arrays: dict[str, torch.Tensor]

    def run(self, **extra: torch.Tensor) -> Any:
        names = ("input_ids", "pinyin_ids", "attention_mask")
        with torch.no_grad():
            return self.model(**{name: self.arrays[name] for name in names}, output_hidden_states=True, **extra)

    def assert_equal(self, ours: torch.Tensor, name: str) -> None:
        theirs = self.arrays[name]
        seen = self.arrays["attention_mask"][: len(theirs)].bool()
        torch.testing.assert_close(ours[: len(theirs)][seen], theirs[seen], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    if not (shared / "golden" / "outputs.npz").is_file():
        pytest.skip("the original's outputs are not in the folder of shared data")
    directory = shared / "golden" / "checkpoint"
    sizes = {"vocab_size": 644, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = ChineseBertConfig(**sizes, intermediate_size=192, type_vocab_size=2, glyph_trainable=True)
    model = ChineseBertForMaskedLM(config).eval()
    state = torch.load(directory / "pytorch_model.bin", weights_only=True)
    outcome = model.load_state_dict(state, strict=False)
    # The original keeps its positions as a buffer and a pooler that masked-LM does not use; our spellings are new.
    assert {name.removeprefix("bert.") for name in outcome.unexpected_keys} == {
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    }
    assert {name.removeprefix("bert.embeddings.") for name in outcome.missing_keys} == {
        "pinyin_embeddings.letter_ids",
        "default_pinyin_ids",
    }
    with np.load(shared / "golden" / "outputs.npz") as arrays:
        return Golden(model, {name: torch.from_numpy(arrays[name]) for name in arrays})


def test_embeddings_are_those_of_the_original(golden: Golden) -> None:
    golden.assert_equal(golden.run().hidden_states[0], "embeddings")


def test_hidden_states_are_those_of_the_original(golden: Golden) -> None:
    golden.assert_equal(golden.run().hidden_states[-1], "last_hidden_state")


def test_logits_are_those_of_the_original(golden: Golden) -> None:
    golden.assert_equal(golden.run().logits, "logits_first8")


def test_loss_is_that_of_the_original(golden: Golden) -> None:
    loss = golden.run(labels=golden.arrays["labels"]).loss
    assert loss.item() == pytest.approx(golden.arrays["loss"].item(), abs=1e-5)


def test_hidden_states_with_token_types_are_those_of_the_original(golden: Golden) -> None:
    states = golden.run(token_type_ids=golden.arrays["token_type_ids"]).hidden_states[-1]
    golden.assert_equal(states, "last_hidden_state_with_token_types")


def test_attention_weights_are_those_of_the_original(golden: Golden) -> None:
    golden.model.set_attn_implementation("eager")
    try:
        ours = golden.run(output_attentions=True).attentions[0]
    finally:
        golden.model.set_attn_implementation("sdpa")
    theirs = golden.arrays["attention_0_first8"]
    seen = golden.arrays["attention_mask"][: len(theirs)].bool()[:, None, :, None].expand_as(theirs)
    torch.testing.assert_close(ours[: len(theirs)][seen], theirs[seen], atol=1e-5, rtol=1e-5)
