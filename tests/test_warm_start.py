"""A plain Chinese BERT as a start: its outputs at first, and branches for glyph and pinyin that learn from there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    RobertaConfig,
)

from chinesebert import warm_start
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.glyph import Glyphs
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForQuestionAnswering,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertModel,
)
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKEN_IDS
from tests.test_modeling import one_thread  # noqa: F401  (a fixture that is used wherever it is known)

CHARACTERS = list("重庆银行长大的我爱北京天安门音乐快好，。")
VOCABULARY = [f"[unused{number}]" for number in range(104)] + CHARACTERS
for _token, _number in SPECIAL_TOKEN_IDS.items():
    VOCABULARY[_number] = _token
POSITIONS = 32
BRANCHES = ("pinyin_embeddings.embedding", "pinyin_embeddings.conv", "glyph_map")


def new_bert(kind: Any, **changes: Any) -> Any:
    """A tiny BERT in evaluation mode whose segment vectors, like all weights, are far from zero."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=POSITIONS, initializer_range=0.2, **changes,
    )  # fmt: skip
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert model.base_model.embeddings.token_type_embeddings.weight[0].abs().mean() > 0.1
    return model


def write_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")


def write_safetensors(directory: Path) -> BertForMaskedLM:
    """As MacBERT and whatever transformers saves: safetensors with a masked-language-model head."""
    model = new_bert(BertForMaskedLM)
    model.save_pretrained(directory)
    write_vocabulary(directory)
    return model


def write_old_pickle(directory: Path) -> BertForPreTraining:
    """As ``bert-base-chinese``: a pickle, normalisations named gamma and beta, a pooler and a next-sentence head."""
    model = new_bert(BertForPreTraining)
    state = {"bert.embeddings.position_ids": torch.arange(POSITIONS)[None]}
    for name, value in model.state_dict().items():
        if name != "cls.predictions.decoder.bias":  # younger than that checkpoint
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            state[name] = value
    torch.save(state, directory / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    leftovers = {
        "architectures": ["BertForMaskedLM"], "directionality": "bidi", "gradient_checkpointing": False,
        "output_past": True, "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform",
    }  # fmt: skip
    config = {name: value for name, value in model.config.to_dict().items() if value is not None}
    (directory / "config.json").write_text(json.dumps(config | leftovers), encoding="utf-8")
    settings = {"do_lower_case": False, "model_max_length": 512}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    write_vocabulary(directory)
    return model


def write_encoder(directory: Path) -> BertModel:
    """As an encoder saved alone: no prefix, no head."""
    model = new_bert(BertModel)
    model.save_pretrained(directory)
    write_vocabulary(directory)
    return model


LAYOUTS = pytest.mark.parametrize("write", [write_safetensors, write_old_pickle, write_encoder])
Writer = Callable[[Path], Any]


def make_batch() -> dict[str, torch.Tensor]:
    """Two texts of characters with padding; which pinyin they have must not matter."""
    generator = torch.Generator().manual_seed(1)
    input_ids = torch.randint(104, len(VOCABULARY), (2, 9), generator=generator)
    attention_mask = torch.ones(2, 9, dtype=torch.long)
    attention_mask[1, 6:] = 0
    return {"input_ids": input_ids.masked_fill(attention_mask == 0, 0), "attention_mask": attention_mask}


def random_pinyin() -> torch.Tensor:
    return torch.randint(1_000, (2, 9), generator=torch.Generator().manual_seed(2))


def make_glyphs(size: int = len(VOCABULARY)) -> Glyphs:
    images = np.random.default_rng(0).integers(256, size=(size, 3, 24, 24), dtype=np.uint8)
    return Glyphs(images, np.zeros((size, 3), dtype=np.int8))


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Compares ``[2, 9, …]`` where there is text."""
    seen = make_batch()["attention_mask"].bool()
    torch.testing.assert_close(ours[seen], theirs[seen], atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------- at first


@LAYOUTS
@pytest.mark.parametrize("glyphs", [None, make_glyphs()], ids=["blank", "drawn"])
@torch.no_grad()
def test_the_encoder_gives_at_first_what_that_bert_gives(write: Writer, glyphs: Glyphs | None, tmp_path: Path) -> None:
    bert, batch = write(tmp_path).base_model, make_batch()
    model = ChineseBertModel.from_pretrained(tmp_path, glyphs=glyphs)
    ours, theirs = model(**batch, pinyin_ids=random_pinyin()), bert(**batch)
    assert_same(ours.last_hidden_state, theirs.last_hidden_state)
    if theirs.pooler_output is not None:
        torch.testing.assert_close(ours.pooler_output, theirs.pooler_output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("write", [write_safetensors, write_old_pickle])
@torch.no_grad()
def test_the_head_predicts_at_first_what_that_bert_predicts(write: Writer, tmp_path: Path) -> None:
    bert, batch = write(tmp_path), make_batch()
    theirs = bert(**batch)
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path, glyphs=make_glyphs())
    ours = model(**batch, pinyin_ids=random_pinyin()).logits
    assert_same(ours, theirs.logits if "logits" in theirs else theirs.prediction_logits)
    decoder = model.cls.predictions.decoder
    assert decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert decoder.bias is model.cls.predictions.bias


@torch.no_grad()
def test_a_fine_tuned_bert_keeps_its_classifier(tmp_path: Path) -> None:
    bert = new_bert(BertForSequenceClassification, num_labels=4)
    bert.save_pretrained(tmp_path)
    write_vocabulary(tmp_path)
    model = ChineseBertForSequenceClassification.from_pretrained(tmp_path)
    batch = make_batch()
    torch.testing.assert_close(model(**batch).logits, bert(**batch).logits, atol=1e-5, rtol=1e-5)


@LAYOUTS
@pytest.mark.parametrize(
    "kind",
    [ChineseBertForSequenceClassification, ChineseBertForTokenClassification, ChineseBertForQuestionAnswering],
)
@torch.no_grad()
def test_a_new_head_stands_on_that_bert(write: Writer, kind: Any, tmp_path: Path) -> None:
    bert, batch = write(tmp_path).base_model, make_batch()
    model = kind.from_pretrained(tmp_path)
    assert_same(model.bert(**batch).last_hidden_state, bert(**batch).last_hidden_state)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@torch.no_grad()
def test_a_new_masked_language_head_is_tied_to_that_bert_s_words(tmp_path: Path) -> None:
    bert = write_encoder(tmp_path)
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(model.cls.predictions.decoder.weight, bert.embeddings.word_embeddings.weight)
    assert model(**make_batch()).logits.isfinite().all()


@pytest.mark.parametrize("write", [write_safetensors, write_old_pickle])
def test_nothing_but_the_new_branches_is_missing_and_nothing_left_over(write: Writer, tmp_path: Path) -> None:
    write(tmp_path)
    _, report = ChineseBertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    new = ("pinyin_embeddings", "glyph_embeddings", "glyph_map", "default_pinyin_ids")
    assert [name for name in report["missing_keys"] if not any(part in name for part in new)] == []
    assert not report["unexpected_keys"] and not report["mismatched_keys"]


def test_the_new_branches_begin_as_any_new_weights(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    for name, parameter in ChineseBertModel.from_pretrained(tmp_path).named_parameters():
        if any(branch in name for branch in BRANCHES):
            spread = 0.0 if name.endswith("bias") else 0.2  # the configuration's initializer_range
            if name.endswith("conv.weight"):
                spread = parameter[0].numel() ** -0.5
            elif name.endswith("glyph_map.weight"):
                spread = 0.2 / 11  # of the images
            assert parameter.std(correction=0).item() == pytest.approx(spread, rel=0.1), name


@pytest.mark.parametrize("write", [write_safetensors, write_old_pickle])
@torch.no_grad()
def test_a_warm_start_can_be_folded(write: Writer, tmp_path: Path) -> None:
    bert, batch = write(tmp_path).base_model, make_batch()
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path, folded=True)
    assert model.config.folded
    assert_same(model.bert(**batch).last_hidden_state, bert(**batch).last_hidden_state)


# -------------------------------------------------------------------------------------------------- characters


def test_characters_are_read_as_the_tokenizer_reads_them(tmp_path: Path) -> None:
    write_old_pickle(tmp_path)
    model, tokenizer = ChineseBertModel.from_pretrained(tmp_path), ChineseBertTokenizer.from_pretrained(tmp_path)
    embeddings = model.embeddings
    assert model.config.num_syllables == len(tokenizer.readings.syllables) == len(Readings.from_pypinyin().syllables)
    assert np.array_equal(embeddings.default_pinyin_ids, tokenizer.default_pinyin_ids())
    assert np.array_equal(embeddings.pinyin_embeddings.letter_ids, tokenizer.readings.letter_ids())
    read = dict(zip(CHARACTERS, tokenizer("".join(CHARACTERS), add_special_tokens=False)["pinyin_ids"], strict=True))
    assert tokenizer.convert_pinyin_ids_to_syllables([read["庆"], read["门"], read["。"]]) == ["qing4", "men2", ""]


@pytest.mark.parametrize("trainable", [False, True])
def test_images_are_those_that_were_passed(trainable: bool, tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    glyphs = make_glyphs()
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path, glyphs=glyphs, glyph_trainable=trainable)
    pixels = model.bert.embeddings.glyph_embeddings(torch.arange(len(VOCABULARY)), torch.float32)
    np.testing.assert_allclose(pixels.detach(), glyphs.images.reshape(len(VOCABULARY), -1) / 255, atol=1e-6)


def test_without_images_the_branch_is_blank_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_safetensors(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(warm_start.logger, "warning", lambda message, *_: said.append(message))
    model = ChineseBertModel.from_pretrained(tmp_path)
    assert not model.embeddings.glyph_embeddings.embedding.weight.any()
    assert len(said) == 1 and str(tmp_path) in said[0] and "python -m data_prep glyphs" in said[0]
    ChineseBertModel.from_pretrained(tmp_path, glyphs=make_glyphs())
    assert len(said) == 1


def test_images_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    with pytest.raises(InputError, match=r"glyphs: .* images of"):
        ChineseBertModel.from_pretrained(tmp_path, glyphs=make_glyphs(len(VOCABULARY) - 1))


@torch.no_grad()
def test_a_tokenizer_that_transformers_saved_will_do(tmp_path: Path) -> None:
    bert = write_safetensors(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    BertTokenizer(vocab={token: number for number, token in enumerate(VOCABULARY)}).save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    model, batch = ChineseBertForMaskedLM.from_pretrained(tmp_path), make_batch()
    assert_same(model(**batch).logits, bert(**batch).logits)
    assert model.bert.embeddings.default_pinyin_ids[VOCABULARY.index("庆")] > 0


def test_a_directory_of_a_bert_stays_a_bert_to_the_auto_classes(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    assert "pinyin_ids" not in AutoTokenizer.from_pretrained(tmp_path)("重庆")


# ---------------------------------------------------------------------------------------------------- from there


@pytest.fixture
def warm_model(tmp_path: Path) -> ChineseBertForMaskedLM:
    write_safetensors(tmp_path)
    model = ChineseBertForMaskedLM.from_pretrained(
        tmp_path, glyphs=make_glyphs(), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    return model.train()


def learn(model: Any, steps: int) -> list[dict[str, float]]:
    """Steps of SGD; the size of every gradient at each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch = make_batch()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    sizes = []
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch, pinyin_ids=random_pinyin(), labels=labels).loss.backward()
        sizes.append({name: parameter.grad.abs().max().item() for name, parameter in model.named_parameters()})
        optimizer.step()
    return sizes


def test_the_fusion_learns_at_once_and_the_branches_from_the_second_step(warm_model: ChineseBertForMaskedLM) -> None:
    fusion = warm_model.bert.embeddings.map_fc
    assert torch.equal(fusion.weight, torch.eye(32, 96))
    first, second = learn(warm_model, 2)
    of_word, of_pinyin, of_glyph = (fusion.weight - torch.eye(32, 96)).abs().chunk(3, dim=1)
    assert min(part.max().item() for part in (of_word, of_pinyin, of_glyph)) > 0
    branches = {name for name in first if any(branch in name for branch in BRANCHES)}
    assert len(branches) == 5
    assert {name for name, size in first.items() if size == 0} == branches
    assert {name for name, size in second.items() if size == 0} == set()


def test_pinyin_and_glyphs_make_a_difference_once_learned(warm_model: ChineseBertForMaskedLM) -> None:
    learn(warm_model, 3)
    warm_model.eval()
    batch = make_batch()
    with torch.no_grad():
        logits = warm_model(**batch, pinyin_ids=random_pinyin()).logits
        assert not torch.equal(warm_model(**batch, pinyin_ids=random_pinyin() + 1).logits, logits)
        warm_model.bert.embeddings.glyph_embeddings.embedding.weight.zero_()
        assert not torch.equal(warm_model(**batch, pinyin_ids=random_pinyin()).logits, logits)


@torch.no_grad()
def test_a_saved_warm_start_is_a_directory_of_this_package(tmp_path: Path) -> None:
    write_old_pickle(tmp_path)
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path, glyphs=make_glyphs())
    model.save_pretrained(tmp_path / "own")
    ChineseBertTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "own")
    loaded, report = ChineseBertForMaskedLM.from_pretrained(tmp_path / "own", output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch = AutoTokenizer.from_pretrained(tmp_path / "own")(["重庆银行", "好"], padding=True, return_tensors="pt")
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


# ----------------------------------------------------------------------------------------------------- arguments


def test_arguments_of_transformers_are_taken(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    model = ChineseBertForSequenceClassification.from_pretrained(
        tmp_path, num_labels=7, dtype=torch.bfloat16, attn_implementation="eager", classifier_dropout=0.3
    )
    assert model(**make_batch()).logits.shape == (2, 7)
    assert (model.dtype, model.config._attn_implementation, model.dropout.p) == (torch.bfloat16, "eager", 0.3)


def test_a_configuration_can_be_read_and_passed(tmp_path: Path) -> None:
    write_old_pickle(tmp_path)
    config = ChineseBertConfig.from_pretrained(tmp_path, num_labels=5)
    assert (config.model_type, config.type_vocab_size, config.vocab_size) == ("chinesebert", 0, len(VOCABULARY))
    model = ChineseBertForTokenClassification.from_pretrained(tmp_path, config=config)
    assert model(**make_batch()).logits.shape == (2, 9, 5)


# ------------------------------------------------------------------------------------------------------- refused


def test_a_directory_of_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    RobertaConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}: config.json is of a 'roberta' model"):
        ChineseBertModel.from_pretrained(tmp_path)


def test_relative_positions_are_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"position_embedding_type": "relative_key"}))
    with pytest.raises(InputError, match="relative positions"):
        ChineseBertModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["word_embeddings", "position_embeddings"])
def test_weights_without_a_table_of_bert_are_refused_by_name(name: str, tmp_path: Path) -> None:
    write_old_pickle(tmp_path)
    state = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    del state[f"bert.embeddings.{name}.weight"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=rf"{tmp_path}: the weights lack bert\.embeddings\.{name}\.weight"):
        ChineseBertModel.from_pretrained(tmp_path)


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"vocab\.txt: has {len(VOCABULARY) - 1} tokens"):
        ChineseBertModel.from_pretrained(tmp_path)


def test_a_directory_without_a_vocabulary_is_refused_and_says_so(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"vocab\.txt"):
        ChineseBertModel.from_pretrained(tmp_path)


@torch.no_grad()
def test_segments_that_are_asked_for_are_those_of_that_bert(tmp_path: Path) -> None:
    bert, batch = write_safetensors(tmp_path), make_batch()
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path, type_vocab_size=2)
    segments = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1]).expand(2, 9)
    assert_same(model(**batch, token_type_ids=segments).logits, bert(**batch, token_type_ids=segments).logits)
