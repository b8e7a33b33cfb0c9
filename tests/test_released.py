"""Released checkpoints: read exactly, written back, and the same as what the original code computes."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

from benchmarks.straightforward import StraightforwardChineseBert
from chinesebert import released
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.modeling_chinesebert import (
    MODEL_CLASSES,
    ChineseBertForMaskedLM,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertModel,
)
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.tiny_checkpoints import (
    FONTS,
    GLYPH_ROWS,
    PINYIN2TENSOR,
    PINYIN_MAP,
    VOCABULARY,
    State,
    font_images,
    reference_model,
    released_state,
    spelled,
    write_json,
    write_ported,
    write_released,
)

TEXTS = ["重庆的银行行长，我们喜欢猫", "犇狃ab1。", "[MASK]的要"]
Inputs = dict[str, torch.Tensor]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny matrices are not worth a second thread, and one thread adds up in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def reference() -> StraightforwardChineseBert:
    """What the tiny checkpoint computes, written down without any of this package's code."""
    return reference_model()


@pytest.fixture(scope="module")
def state(reference: StraightforwardChineseBert) -> State:
    return released_state(reference)


@pytest.fixture(scope="module")
def tiny(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny directory in the released layout. Do not change it: tests share it."""
    return write_released(tmp_path_factory.mktemp("released") / "tiny", state)


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny: Path) -> ChineseBertTokenizer:
    return ChineseBertTokenizer.from_pretrained(tiny)


@pytest.fixture(scope="module")
def inputs(tiny_tokenizer: ChineseBertTokenizer) -> Inputs:
    """Three texts of different lengths, with syllable ids."""
    return dict(tiny_tokenizer(TEXTS, padding=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def logits(reference: StraightforwardChineseBert, tiny_tokenizer: ChineseBertTokenizer, inputs: Inputs) -> torch.Tensor:
    """What the logits of these texts must be."""
    with torch.no_grad():
        return reference(
            inputs["input_ids"], letters(tiny_tokenizer, inputs["pinyin_ids"]), inputs["attention_mask"]
        ).logits


def letters(tokenizer: ChineseBertTokenizer, pinyin_ids: torch.Tensor) -> torch.Tensor:
    """Letter ids ``[B, L, 8]`` of syllable ids ``[B, L]``."""
    return torch.from_numpy(tokenizer.convert_pinyin_ids_to_letters(pinyin_ids.numpy()))


def run(model: Any, inputs: Inputs, **extra: Any) -> Any:
    with torch.no_grad():
        return model(**inputs | extra)


def assert_same_where_seen(ours: torch.Tensor, theirs: torch.Tensor, attention_mask: torch.Tensor) -> None:
    seen = attention_mask[: len(theirs)].bool()
    torch.testing.assert_close(ours[: len(theirs)][seen], theirs[seen], atol=1e-5, rtol=1e-5)


def assert_outputs(directory: Path, inputs: Inputs, logits: torch.Tensor) -> None:
    """Asserts that the masked language model of a directory gives these logits."""
    model = ChineseBertForMaskedLM.from_pretrained(directory)
    assert_same_where_seen(run(model, inputs).logits, logits, inputs["attention_mask"])


def with_weights(tiny: Path, directory: Path, weights: State) -> Path:
    """A copy of the tiny directory with other weights."""
    shutil.copytree(tiny, directory)
    torch.save(weights, directory / "pytorch_model.bin")
    return directory


# ----------------------------------------------------------------------------------------------------------- vocabulary


def test_every_token_keeps_the_number_of_its_line(tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert tiny_tokenizer.tokens() == VOCABULARY


def test_the_last_token_of_the_vocabulary_can_be_written(tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert tiny_tokenizer("狃", add_special_tokens=False)["input_ids"] == [len(VOCABULARY) - 1]


def test_a_line_separator_in_a_text_is_white_space_as_in_the_original(tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert tiny_tokenizer("我\u2028们")["input_ids"] == tiny_tokenizer("我 们")["input_ids"]


def test_a_vocabulary_with_windows_line_ends_is_the_same(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    content = (tiny / "vocab.txt").read_bytes()
    (tmp_path / "copy" / "vocab.txt").write_bytes(content.replace(b"\n", b"\r\n"))
    assert ChineseBertTokenizer.from_pretrained(tmp_path / "copy").tokens() == VOCABULARY


# ------------------------------------------------------------------------------------------------------------- readings


def syllables(tokenizer: ChineseBertTokenizer, text: str) -> str:
    """The syllables of a text as the released alphabet spells them, "-" for none."""
    numbers = tokenizer(text, add_special_tokens=False)["pinyin_ids"]
    rows = tokenizer.convert_pinyin_ids_to_letters(numbers)
    return " ".join("".join(PINYIN_MAP["idx2char"][letter] for letter in row if letter) or "-" for row in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("重庆的重要", "chong2 qing4 de5 zhong4 yao4"),
        # What begins as 银行行业 does is no 银行: later versions of pypinyin read hang2.
        ("银行行长", "yin2 xing2 xing2 zhang3"),
        ("银行的行长", "yin2 hang2 de5 xing2 zhang3"),
        ("我在银行", "wo3 zai4 yin2 hang2"),
        ("喜，欢a猫1", "xi3 - huan1 - mao1 -"),
    ],
)
def test_characters_are_read_as_by_the_pypinyin_of_the_original(
    tiny_tokenizer: ChineseBertTokenizer, text: str, expected: str
) -> None:
    assert syllables(tiny_tokenizer, text) == expected


def test_a_syllable_without_tone_is_spelled_as_the_table_says(tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert syllables(tiny_tokenizer, "的") == "de5"


def test_a_syllable_without_tone_that_is_not_in_the_table_has_no_digit(tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert syllables(tiny_tokenizer, "我们") == "wo3 men"


def with_table(tiny: Path, directory: Path, name: str, content: Any) -> Readings:
    """The readings of a copy of the tiny directory with another table."""
    shutil.copytree(tiny, directory)
    write_json(directory / "config" / f"{name}.json", content)
    return ChineseBertTokenizer.from_pretrained(directory).readings


def test_the_table_decides_how_a_syllable_is_spelled(tiny: Path, tmp_path: Path) -> None:
    table = PINYIN2TENSOR | {"mao1": spelled("miao4")}
    assert with_table(tiny, tmp_path / "copy", "pinyin2tensor", table).characters["猫"] == "miao4"


def test_all_zeros_in_the_table_is_no_reading(tiny: Path, tmp_path: Path) -> None:
    table = PINYIN2TENSOR | {"mao1": [0] * 8}
    assert "猫" not in with_table(tiny, tmp_path / "copy", "pinyin2tensor", table).characters


def test_a_syllable_with_a_letter_outside_the_alphabet_is_none(tiny: Path, tmp_path: Path) -> None:
    known = {letter: number for letter, number in PINYIN_MAP["char2idx"].items() if letter != "o"}
    readings = with_table(tiny, tmp_path / "copy", "pinyin_map", PINYIN_MAP | {"char2idx": known})
    assert "我" not in readings.characters  # wo3 is in no table
    assert readings.characters["猫"] == "mao1"  # in the table it is


def test_readings_do_not_hang_on_the_installed_pypinyin(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Readings, "from_pypinyin", lambda: pytest.fail("pypinyin was asked"))
    assert ChineseBertTokenizer.from_pretrained(tiny).readings.source == "pypinyin 0.38.1, as released"


def test_readings_that_are_given_are_used(tiny: Path) -> None:
    own = Readings({"猫": "miao4"}, {}, "own")
    assert ChineseBertTokenizer.from_pretrained(tiny, readings=own).readings is own


# -------------------------------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize("form", ["syllables", "letters", "flat letters"])
def test_outputs_are_those_of_an_independent_model(
    tiny: Path,
    tiny_tokenizer: ChineseBertTokenizer,
    inputs: Inputs,
    logits: torch.Tensor,
    form: str,
    folded: bool,
) -> None:
    model = ChineseBertForMaskedLM.from_pretrained(tiny, folded=folded)
    pinyin_ids = in_form(form, inputs["pinyin_ids"], tiny_tokenizer)
    found = run(model, inputs | {"pinyin_ids": pinyin_ids}).logits
    assert_same_where_seen(found, logits, inputs["attention_mask"])


def in_form(form: str, pinyin_ids: torch.Tensor, tokenizer: ChineseBertTokenizer) -> torch.Tensor:
    """Syllable ids ``[B, L]`` in one of the forms that models take."""
    if form == "syllables":
        return pinyin_ids
    spelled_out = letters(tokenizer, pinyin_ids)
    return spelled_out if form == "letters" else spelled_out.flatten(start_dim=1)


def test_token_types_are_those_of_an_independent_model(
    tiny: Path, tiny_tokenizer: ChineseBertTokenizer, reference: StraightforwardChineseBert, inputs: Inputs
) -> None:
    types = (torch.arange(inputs["input_ids"].shape[1]) > 3).long().expand_as(inputs["input_ids"])
    spelled_out = letters(tiny_tokenizer, inputs["pinyin_ids"])
    with torch.no_grad():
        theirs = reference.bert(inputs["input_ids"], spelled_out, inputs["attention_mask"], types)
    ours = run(ChineseBertModel.from_pretrained(tiny), inputs, token_type_ids=types).last_hidden_state
    assert_same_where_seen(ours, theirs, inputs["attention_mask"])


def test_the_pooler_has_its_weights(tiny: Path, state: State, inputs: Inputs) -> None:
    outputs = run(ChineseBertModel.from_pretrained(tiny), inputs)
    weight, bias = state["bert.pooler.dense.weight"], state["bert.pooler.dense.bias"]
    wanted = torch.tanh(outputs.last_hidden_state[:, 0] @ weight.T + bias)
    torch.testing.assert_close(outputs.pooler_output, wanted, atol=1e-5, rtol=1e-5)


def test_without_pinyin_the_most_common_released_readings_are_used(
    tiny: Path, tiny_tokenizer: ChineseBertTokenizer
) -> None:
    model = ChineseBertForMaskedLM.from_pretrained(tiny)
    alone = [tiny_tokenizer(token)["pinyin_ids"][1] for token in ("重", "的", "狃")]
    defaults = model.bert.embeddings.default_pinyin_ids[[VOCABULARY.index(token) for token in ("重", "的", "狃")]]
    assert defaults.tolist() == alone


def test_a_tokenizer_and_its_model_number_syllables_alike(tiny: Path, tiny_tokenizer: ChineseBertTokenizer) -> None:
    letter_ids = ChineseBertModel.from_pretrained(tiny).embeddings.pinyin_embeddings.letter_ids.numpy()
    np.testing.assert_array_equal(letter_ids, tiny_tokenizer.readings.letter_ids())


# ----------------------------------------------------------------------------------------------- what may be missing


def without(state: State, *names: str) -> State:
    assert state.keys() >= set(names)
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(
    "missing",
    [
        ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"),
        ("bert.pooler.dense.weight", "bert.pooler.dense.bias"),
        ("bert.embeddings.position_ids",),
    ],
    ids=["decoder", "pooler", "positions"],
)
def test_a_masked_language_model_needs_neither_copies_nor_pooler(
    tiny: Path, state: State, tmp_path: Path, inputs: Inputs, logits: torch.Tensor, missing: tuple[str, ...]
) -> None:
    assert_outputs(with_weights(tiny, tmp_path / "less", without(state, *missing)), inputs, logits)


def test_the_decoder_is_tied_to_the_word_table(tiny: Path, state: State, tmp_path: Path) -> None:
    lacking = without(state, "cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    model = ChineseBertForMaskedLM.from_pretrained(with_weights(tiny, tmp_path / "less", lacking))
    decoder = model.cls.predictions.decoder
    assert decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert decoder.bias is model.cls.predictions.bias


def test_nothing_is_reported_missing_or_left_over(tiny: Path) -> None:
    _, report = ChineseBertForMaskedLM.from_pretrained(tiny, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize("kept", [0, 2], ids=["no fonts", "a font missing"])
def test_the_images_in_the_weights_are_enough(
    tiny: Path, tmp_path: Path, inputs: Inputs, logits: torch.Tensor, kept: int
) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    for name in FONTS[kept:]:
        (tmp_path / "copy" / "config" / name).unlink()
    assert_outputs(tmp_path / "copy", inputs, logits)


def test_images_that_the_weights_lack_are_read_from_the_fonts(tiny: Path, state: State, tmp_path: Path) -> None:
    directory = with_weights(tiny, tmp_path / "less", without(state, GLYPH_ROWS))
    rows = ChineseBertModel.from_pretrained(directory).embeddings.glyph_embeddings.embedding.weight
    for number, images in enumerate(font_images()):
        shown = rows.view(len(VOCABULARY), len(FONTS), 24, 24)[:, number].detach().numpy()
        np.testing.assert_array_equal(shown, images)


# ---------------------------------------------------------------------------------------------------- forms of weights


def write_safetensors(directory: Path, state: State) -> None:
    save_file(state, directory / "model.safetensors")


def write_shards(directory: Path, state: State, stem: str, suffix: str, save: Callable[[State, Path], Any]) -> None:
    names = sorted(state)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"{stem}-0000{number}-of-00002.{suffix}"
        save({name: state[name] for name in part}, directory / shard)
        index |= dict.fromkeys(part, shard)
    write_json(directory / f"{stem}.{suffix}.index.json", {"metadata": {}, "weight_map": index})


FORMS: dict[str, Callable[[Path, State], None]] = {
    "safetensors": write_safetensors,
    "shards of safetensors": lambda d, s: write_shards(d, s, "model", "safetensors", save_file),
    "shards of pickles": lambda d, s: write_shards(d, s, "pytorch_model", "bin", torch.save),
    "a new pickle": lambda d, s: torch.save(s, d / "pytorch_model.bin"),
}


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_weights_are_read_in_every_form(
    tiny: Path,
    state: State,
    tmp_path: Path,
    inputs: Inputs,
    logits: torch.Tensor,
    write: Callable[[Path, State], None],
) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    (tmp_path / "copy" / "pytorch_model.bin").unlink()
    write(tmp_path / "copy", state)
    assert_outputs(tmp_path / "copy", inputs, logits)


def test_safetensors_are_preferred(tiny: Path, state: State, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    name = "bert.embeddings.glyph_map.bias"
    write_safetensors(tmp_path / "copy", state | {name: torch.full_like(state[name], 7)})
    assert ChineseBertModel.from_pretrained(tmp_path / "copy").embeddings.glyph_map.bias[0] == 7


def test_a_subfolder_is_read(tiny: Path, tmp_path: Path, inputs: Inputs, logits: torch.Tensor) -> None:
    shutil.copytree(tiny, tmp_path / "outer" / "inner")
    model = ChineseBertForMaskedLM.from_pretrained(tmp_path / "outer", subfolder="inner")
    assert_same_where_seen(run(model, inputs).logits, logits, inputs["attention_mask"])
    tokenizer = ChineseBertTokenizer.from_pretrained(tmp_path / "outer", subfolder="inner")
    assert torch.equal(tokenizer(TEXTS, padding=True, return_tensors="pt")["pinyin_ids"], inputs["pinyin_ids"])


def test_a_repository_of_the_hub_is_read(
    tiny: Path, state: State, tmp_path: Path, inputs: Inputs, logits: torch.Tensor
) -> None:
    repository, commit = tmp_path / "models--someone--tiny", "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    shutil.copytree(tiny, repository / "snapshots" / commit)
    where = {"cache_dir": str(tmp_path), "local_files_only": True}
    model = ChineseBertForMaskedLM.from_pretrained("someone/tiny", **where)
    assert_same_where_seen(run(model, inputs).logits, logits, inputs["attention_mask"])
    tokenizer = ChineseBertTokenizer.from_pretrained("someone/tiny", **where)
    assert tokenizer.tokens() == VOCABULARY
    torch.save(without(state, GLYPH_ROWS), repository / "snapshots" / commit / "pytorch_model.bin")
    table = ChineseBertModel.from_pretrained("someone/tiny", **where).embeddings.glyph_embeddings.embedding.weight
    assert table[5, 0] == font_images()[0][5, 0, 0]


def test_weights_are_loaded_in_the_wanted_type(tiny: Path) -> None:
    model = ChineseBertModel.from_pretrained(tiny, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.embeddings.pinyin_embeddings.letter_ids.dtype == torch.uint8


# ---------------------------------------------------------------------------------------------------- other classes


@pytest.mark.parametrize("kind", MODEL_CLASSES)
def test_every_model_class_has_the_encoder_of_the_checkpoint(tiny: Path, state: State, kind: Any) -> None:
    model = kind.from_pretrained(tiny)
    for name, value in model.base_model.encoder.state_dict().items():
        assert torch.equal(value, state[f"bert.encoder.{name}"]), name


def test_the_number_of_labels_is_that_asked_for(tiny: Path) -> None:
    assert ChineseBertForSequenceClassification.from_pretrained(tiny, num_labels=5).classifier.out_features == 5


def test_a_configuration_can_be_given(tiny: Path) -> None:
    config = ChineseBertConfig.from_pretrained(tiny, hidden_dropout_prob=0.5)
    assert ChineseBertModel.from_pretrained(tiny, config=config).config.hidden_dropout_prob == 0.5


# ----------------------------------------------------------------------------------------------------- saved and loaded


@pytest.fixture(scope="module")
def saved(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint in our layout; that it was made from is gone."""
    folder = tmp_path_factory.mktemp("saved")
    shutil.copytree(tiny, folder / "source")
    ChineseBertForMaskedLM.from_pretrained(folder / "source").save_pretrained(folder / "ours")
    ChineseBertTokenizer.from_pretrained(folder / "source").save_pretrained(folder / "ours")
    shutil.rmtree(folder / "source")
    return folder / "ours"


@pytest.mark.parametrize("loader", [ChineseBertForMaskedLM, AutoModelForMaskedLM])
def test_a_saved_model_gives_the_outputs_of_the_released(
    saved: Path, inputs: Inputs, logits: torch.Tensor, loader: Any
) -> None:
    model = loader.from_pretrained(saved)
    assert_same_where_seen(run(model, inputs).logits, logits, inputs["attention_mask"])


@pytest.mark.parametrize("loader", [ChineseBertTokenizer, AutoTokenizer])
def test_a_saved_tokenizer_gives_the_ids_of_the_released(
    saved: Path, tiny_tokenizer: ChineseBertTokenizer, loader: Any
) -> None:
    loaded = loader.from_pretrained(saved)
    assert loaded.tokens() == VOCABULARY
    assert dict(loaded(TEXTS)) == dict(tiny_tokenizer(TEXTS))


def test_nothing_of_the_released_layout_is_saved(saved: Path) -> None:
    names = {"config.json", "model.safetensors", "readings.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in saved.iterdir()} == names | {"vocab.txt"}
    assert "pooler_type" not in json.loads((saved / "config.json").read_text(encoding="utf-8"))


# ----------------------------------------------------------------------------------------------------- JunnYu's port


@pytest.fixture(scope="module", params=[False, True], ids=["vocab.txt", "vocab.txt and tokenizer.json"])
def ported(request: pytest.FixtureRequest, state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ported(tmp_path_factory.mktemp("ported") / "tiny", state, tokenizer_json=request.param)


def test_a_port_gives_the_same_outputs(ported: Path, inputs: Inputs, logits: torch.Tensor) -> None:
    assert_outputs(ported, inputs, logits)


def test_a_port_gives_the_same_ids(ported: Path, tiny_tokenizer: ChineseBertTokenizer) -> None:
    tokenizer = ChineseBertTokenizer.from_pretrained(ported)
    assert tokenizer.tokens() == VOCABULARY
    assert dict(tokenizer(TEXTS)) == dict(tiny_tokenizer(TEXTS))


def test_a_saved_port_needs_none_of_its_tables(
    ported: Path, tmp_path: Path, tiny_tokenizer: ChineseBertTokenizer
) -> None:
    ChineseBertTokenizer.from_pretrained(ported).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert not {"pinyin_map", "pinyin2tensor", "id2pinyin"} & settings.keys()
    assert dict(ChineseBertTokenizer.from_pretrained(tmp_path)(TEXTS)) == dict(tiny_tokenizer(TEXTS))


# --------------------------------------------------------------------------------------------------------------- export


@pytest.fixture(scope="module")
def exported(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes back when the tiny checkpoint is read, saved in our layout, and exported."""
    output = tmp_path_factory.mktemp("exported") / "theirs"
    released.export(saved, output)
    return output


def read_table(directory: Path, name: str) -> Any:
    return json.loads((directory / "config" / f"{name}.json").read_text(encoding="utf-8"))


def test_an_export_has_the_files_of_the_released_layout(exported: Path, tiny: Path) -> None:
    def names(directory: Path) -> set[str]:
        return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert names(exported) == names(tiny)


def test_an_export_has_the_weights_it_was_made_from(exported: Path, state: State) -> None:
    weights = torch.load(exported / "pytorch_model.bin", weights_only=True)
    assert weights.keys() == state.keys()
    differing = [name for name in state if not torch.equal(weights[name], state[name])]
    assert differing == []


def test_an_exported_pooler_has_the_shapes_of_a_pooler(exported: Path, state: State) -> None:
    weights = torch.load(exported / "pytorch_model.bin", weights_only=True)
    for name in ("bert.pooler.dense.weight", "bert.pooler.dense.bias"):
        assert weights[name].shape == state[name].shape


def test_an_exported_encoder_keeps_its_pooler(tiny: Path, state: State, tmp_path: Path) -> None:
    ChineseBertModel.from_pretrained(tiny).save_pretrained(tmp_path / "ours")
    ChineseBertTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "ours")
    released.export(tmp_path / "ours", tmp_path / "theirs")
    weights = torch.load(tmp_path / "theirs" / "pytorch_model.bin", weights_only=True)
    assert torch.equal(weights["pooler.dense.weight"], state["bert.pooler.dense.weight"])


def test_tied_weights_are_stored_once_in_an_export(exported: Path) -> None:
    weights = torch.load(exported / "pytorch_model.bin", weights_only=True)
    words, decoder = weights["bert.embeddings.word_embeddings.weight"], weights["cls.predictions.decoder.weight"]
    assert words.data_ptr() == decoder.data_ptr()


def test_an_export_is_a_pickle_that_old_versions_of_torch_read(exported: Path) -> None:
    assert (exported / "pytorch_model.bin").read_bytes()[:2] != b"PK"


def test_an_exported_vocabulary_is_the_same_bytes(exported: Path, tiny: Path) -> None:
    assert (exported / "vocab.txt").read_bytes() == (tiny / "vocab.txt").read_bytes()


def spelled_by_the_original(syllable: str, directory: Path) -> list[int]:
    """Eight letters as the original makes them: by the table, or else letter by letter."""
    table, char2idx = tables(directory)
    if syllable in table:
        return table[syllable]
    numbers = [char2idx[letter] for letter in syllable] if set(syllable) <= char2idx.keys() else []
    return numbers + [0] * (8 - len(numbers))


@functools.lru_cache
def tables(directory: Path) -> tuple[dict[str, list[int]], dict[str, int]]:
    return read_table(directory, "pinyin2tensor"), read_table(directory, "pinyin_map")["char2idx"]


def assert_same_spelling(ours: Path, theirs: Path) -> None:
    """Asserts that the original spells all that its pypinyin reads alike by the tables of two directories."""
    heard = [*Readings.load(released.READINGS).syllables, "ê1", "ê4"]
    differing = [s for s in heard if spelled_by_the_original(s, ours) != spelled_by_the_original(s, theirs)]
    assert differing == []


def test_exported_tables_spell_as_those_they_were_made_from(exported: Path, tiny: Path) -> None:
    assert_same_spelling(exported, tiny)


def test_an_exported_alphabet_is_the_released_one(exported: Path) -> None:
    assert read_table(exported, "pinyin_map") == PINYIN_MAP


def test_exported_readings_of_a_token_begin_with_the_most_common(exported: Path) -> None:
    readings = read_table(exported, "id2pinyin")
    assert list(readings) == [str(number) for number in range(len(VOCABULARY))]
    assert readings[str(VOCABULARY.index("重"))][:2] == [spelled("zhong4"), spelled("chong2")]
    assert readings[str(VOCABULARY.index("##行"))][0] == spelled("xing2")
    assert readings[str(VOCABULARY.index("，"))] == [[0] * 8]


def test_exported_fonts_are_the_images_in_the_weights(exported: Path, state: State) -> None:
    fonts = [np.load(exported / "config" / name) for name in FONTS]
    rows = state[GLYPH_ROWS].view(len(VOCABULARY), len(FONTS), 24, 24)
    for number, images in enumerate(fonts):
        np.testing.assert_array_equal(images, rows[:, number].double().numpy())


def test_an_export_loads_with_the_same_outputs(exported: Path, inputs: Inputs, logits: torch.Tensor) -> None:
    assert_outputs(exported, inputs, logits)


def test_an_exported_tokenizer_gives_the_same_ids(exported: Path, tiny_tokenizer: ChineseBertTokenizer) -> None:
    assert dict(ChineseBertTokenizer.from_pretrained(exported)(TEXTS)) == dict(tiny_tokenizer(TEXTS))


def test_other_people_s_code_reads_an_export(
    exported: Path, tiny_tokenizer: ChineseBertTokenizer, inputs: Inputs, logits: torch.Tensor
) -> None:
    weights = torch.load(exported / "pytorch_model.bin", weights_only=True)
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    sizes = {name: value for name, value in config.items() if name not in ("architectures", "model_type")}
    model = StraightforwardChineseBert(ChineseBertConfig(**sizes, attn_implementation="sdpa")).eval()
    model.load_weights(weights)
    with torch.no_grad():
        found = model(inputs["input_ids"], letters(tiny_tokenizer, inputs["pinyin_ids"]), inputs["attention_mask"])
    assert_same_where_seen(found.logits, logits, inputs["attention_mask"])


def test_the_configuration_names_the_original_s_class(exported: Path) -> None:
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    assert (config["architectures"], config["model_type"]) == (["GlyceBertForMaskedLM"], "bert")


def test_a_released_directory_can_be_exported_as_it_is(tiny: Path, state: State, tmp_path: Path) -> None:
    released.export(tiny, tmp_path / "theirs")
    weights = torch.load(tmp_path / "theirs" / "pytorch_model.bin", weights_only=True)
    assert weights.keys() == state.keys()


@dataclass
class OwnModel:
    """A model made by this package from scratch: frozen bytes as images, no segments, readings of today."""

    directory: Path
    exported: Path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> OwnModel:
    folder = tmp_path_factory.mktemp("own")
    tokenizer = ChineseBertTokenizer.from_vocabulary(tiny / "vocab.txt")
    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = ChineseBertConfig(
        **sizes,
        vocab_size=len(VOCABULARY),
        num_syllables=len(tokenizer.readings.syllables),
        initializer_range=0.2,
    )
    model = ChineseBertForMaskedLM(config).eval()
    model.set_character_tables(tokenizer, RandomGlyphs())
    model.save_pretrained(folder / "ours")
    tokenizer.save_pretrained(folder / "ours")
    released.export(folder / "ours", folder / "theirs")
    return OwnModel(folder / "ours", folder / "theirs")


class RandomGlyphs:
    """Images of any kind for the tiny vocabulary."""

    @property
    def images(self) -> NDArray[np.uint8]:
        return np.random.default_rng(14).integers(0, 256, (len(VOCABULARY), 3, 24, 24)).astype(np.uint8)


def test_a_model_of_ours_gives_the_same_outputs_after_its_export(own: OwnModel) -> None:
    tokenizer = ChineseBertTokenizer.from_pretrained(own.directory)
    inputs = dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))
    wanted = run(ChineseBertForMaskedLM.from_pretrained(own.directory), inputs).logits
    spelled_out = letters(tokenizer, inputs["pinyin_ids"])  # the two number their syllables differently
    found = run(ChineseBertForMaskedLM.from_pretrained(own.exported), inputs, pinyin_ids=spelled_out).logits
    assert_same_where_seen(found, wanted, inputs["attention_mask"])


def test_an_export_of_ours_is_what_other_people_s_code_expects(own: OwnModel, state: State) -> None:
    weights = torch.load(own.exported / "pytorch_model.bin", weights_only=True)
    assert weights.keys() == state.keys()
    assert {name: value.dtype for name, value in weights.items()} == {n: v.dtype for n, v in state.items()}
    assert not weights["bert.embeddings.token_type_embeddings.weight"].any()


def test_exported_tables_of_ours_spell_every_syllable_of_ours(own: OwnModel) -> None:
    readings = ChineseBertTokenizer.from_pretrained(own.directory).readings
    found = [spelled_by_the_original(syllable, own.exported) for syllable in readings.syllables]
    assert found == readings.letter_ids()[1:].tolist()


def test_a_classifier_keeps_its_head_and_labels(tiny: Path, tmp_path: Path) -> None:
    model = ChineseBertForSequenceClassification.from_pretrained(tiny, num_labels=3, id2label={0: "a", 1: "b", 2: "c"})
    model.save_pretrained(tmp_path / "ours")
    ChineseBertTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "ours")
    released.export(tmp_path / "ours", tmp_path / "theirs")
    loaded = ChineseBertForSequenceClassification.from_pretrained(tmp_path / "theirs")
    assert torch.equal(loaded.classifier.weight, model.classifier.weight)
    assert loaded.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_a_token_classifier_keeps_the_head_of_the_original(tiny: Path, tmp_path: Path) -> None:
    model = ChineseBertForTokenClassification.from_pretrained(tiny, num_labels=3, token_classifier_mlp=True)
    model.save_pretrained(tmp_path / "ours")
    ChineseBertTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "ours")
    released.export(tmp_path / "ours", tmp_path / "theirs")
    loaded = ChineseBertForTokenClassification.from_pretrained(tmp_path / "theirs")
    assert loaded.classifier.state_dict().keys() == model.classifier.state_dict().keys()


def test_a_folded_model_is_not_exported(tiny: Path, tmp_path: Path) -> None:
    ChineseBertForMaskedLM.from_pretrained(tiny, folded=True).save_pretrained(tmp_path / "folded")
    ChineseBertTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "folded")
    with pytest.raises(InputError, match=r"folded: is folded.*export the directory it was made from"):
        released.export(tmp_path / "folded", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_a_model_with_more_tokens_than_its_tokenizer_is_not_exported(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "ours")
    model = ChineseBertForMaskedLM.from_pretrained(saved)
    model.resize_token_embeddings(len(VOCABULARY) + 1)
    model.save_pretrained(tmp_path / "ours")
    with pytest.raises(InputError, match=f"{len(VOCABULARY)} tokens, but the model has {len(VOCABULARY) + 1}"):
        released.export(tmp_path / "ours", tmp_path / "theirs")


def test_an_existing_output_is_left_alone(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"exists already.*--overwrite"):
        released.export(tiny, tmp_path)
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == "mine"


def test_an_existing_output_is_replaced_on_request(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "old.txt").write_text("old", encoding="utf-8")
    released.export(tiny, tmp_path / "old", overwrite=True)
    assert {path.name for path in (tmp_path / "old").iterdir()} == {
        *("config", "config.json", "pytorch_model.bin", "vocab.txt"),
    }


# -------------------------------------------------------------------------------------------------------------- program


def program(root: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chinesebert.released", *map(str, arguments)],
        cwd=root,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_program_exports(root: Path, saved: Path, state: State, tmp_path: Path) -> None:
    done = program(root, "export", saved, tmp_path / "theirs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'theirs'}: config, config.json, pytorch_model.bin, vocab.txt"
    assert torch.load(tmp_path / "theirs" / "pytorch_model.bin", weights_only=True).keys() == state.keys()


def test_the_program_says_in_one_line_what_is_wrong(root: Path, tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "damaged")
    weights = tmp_path / "damaged" / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    done = program(root, "convert", tmp_path / "damaged", tmp_path / "ours")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {weights}: cannot be read as weights")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ours").exists()


def test_the_command_line_converts(
    tiny: Path, tmp_path: Path, inputs: Inputs, logits: torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert released.main(["convert", str(tiny), str(tmp_path / "ours")]) == 0
    names = "config.json, model.safetensors, readings.json, tokenizer.json, tokenizer_config.json, vocab.txt"
    assert capsys.readouterr().out.splitlines()[-1] == f"{tmp_path / 'ours'}: {names}"
    assert_outputs(tmp_path / "ours", inputs, logits)


def test_the_command_line_replaces_an_output_on_request_only(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    assert released.main(["convert", str(tiny), str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert released.main(["convert", str(tiny), str(tmp_path), "--overwrite"]) == 0
    assert (tmp_path / "config.json").is_file()


# ---------------------------------------------------------------------------------------------------- the original code


@dataclass
class GoldenTexts:
    """Texts with the token ids and letters of the original."""

    texts: list[str]
    input_ids: list[list[int]]
    letters: list[list[list[int]]]
    tokenizer: ChineseBertTokenizer

    def found(self, encoded: Any) -> tuple[list[list[int]], list[list[list[int]]]]:
        spelled_out = [self.tokenizer.convert_pinyin_ids_to_letters(ids).tolist() for ids in encoded["pinyin_ids"]]
        return encoded["input_ids"], spelled_out


@pytest.fixture(scope="module")
def golden_texts(shared: Path) -> GoldenTexts:
    directory = shared / "golden"
    if not (directory / "tokenization.jsonl").is_file():
        pytest.skip("the original's tokens are not in the folder of shared data")
    lines = (directory / "tokenization.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    tokenizer = ChineseBertTokenizer.from_pretrained(directory / "tokenizer")
    assert len(rows) == 417
    return GoldenTexts(*([row[key] for row in rows] for key in ("text", "input_ids", "pinyin_ids")), tokenizer)


def differing(texts: list[str], ours: list[Any], theirs: list[Any]) -> list[str]:
    return [text for text, one, other in zip(texts, ours, theirs, strict=True) if one != other]


@pytest.fixture(scope="module", params=[False, True], ids=["one by one", "in one batch"])
def tokenized(request: pytest.FixtureRequest, golden_texts: GoldenTexts) -> tuple[list[Any], list[Any]]:
    """Our token ids and letters."""
    tokenizer, texts = golden_texts.tokenizer, golden_texts.texts
    if request.param:
        return golden_texts.found(tokenizer(texts))
    alone = [tokenizer(text) for text in texts]
    return golden_texts.found({name: [encoded[name] for encoded in alone] for name in ("input_ids", "pinyin_ids")})


def test_golden_token_ids_come_out(golden_texts: GoldenTexts, tokenized: tuple[list[Any], list[Any]]) -> None:
    assert differing(golden_texts.texts, tokenized[0], golden_texts.input_ids) == []


def test_golden_letters_come_out(golden_texts: GoldenTexts, tokenized: tuple[list[Any], list[Any]]) -> None:
    assert differing(golden_texts.texts, tokenized[1], golden_texts.letters) == []


def test_golden_letters_come_out_of_a_saved_tokenizer(golden_texts: GoldenTexts, tmp_path: Path) -> None:
    golden_texts.tokenizer.save_pretrained(tmp_path)
    loaded = ChineseBertTokenizer.from_pretrained(tmp_path)
    assert (loaded.tokens(), len(loaded.tokens())) == (golden_texts.tokenizer.tokens(), 23_236)
    _, ours = golden_texts.found(loaded(golden_texts.texts))
    assert differing(golden_texts.texts, ours, golden_texts.letters) == []


def test_the_released_readings_of_every_token_come_out(golden_texts: GoldenTexts, shared: Path) -> None:
    # What the authors wrote down for each of the 23,236 tokens, made with their version of pypinyin.
    theirs = read_table(shared / "golden" / "tokenizer", "id2pinyin")
    tokenizer = golden_texts.tokenizer
    ours = tokenizer.convert_pinyin_ids_to_letters(tokenizer.default_pinyin_ids()).tolist()
    assert differing(tokenizer.tokens(), ours, [theirs[str(number)][0] for number in range(len(theirs))]) == []


@dataclass
class GoldenOutputs:
    """The small golden checkpoint, with inputs and outputs of the original code."""

    directory: Path
    texts: list[str]
    arrays: dict[str, torch.Tensor]
    tokenizer: ChineseBertTokenizer

    def inputs(self, form: str = "letters") -> Inputs:
        names = ("input_ids", "pinyin_ids", "attention_mask")
        if form == "syllables":
            return dict(self.tokenizer(self.texts, padding=True, return_tensors="pt"))
        given = {name: self.arrays[name] for name in names}
        if form == "flat letters":
            given["pinyin_ids"] = given["pinyin_ids"].flatten(start_dim=1)
        return given

    def assert_equal(self, ours: torch.Tensor, name: str) -> None:
        assert_same_where_seen(ours, self.arrays[name], self.arrays["attention_mask"])


@pytest.fixture(scope="module")
def golden(shared: Path) -> GoldenOutputs:
    directory = shared / "golden"
    if not (directory / "outputs.npz").is_file():
        pytest.skip("the original's outputs are not in the folder of shared data")
    with np.load(directory / "outputs.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays}
    texts = json.loads((directory / "sentences.json").read_text(encoding="utf-8"))
    tokenizer = ChineseBertTokenizer.from_pretrained(directory / "checkpoint")
    return GoldenOutputs(directory / "checkpoint", texts, tensors, tokenizer)


def test_the_tokenizer_makes_the_golden_batch(golden: GoldenOutputs) -> None:
    ours = golden.inputs("syllables")
    assert torch.equal(ours["input_ids"], golden.arrays["input_ids"])
    assert torch.equal(ours["attention_mask"], golden.arrays["attention_mask"])
    assert torch.equal(letters(golden.tokenizer, ours["pinyin_ids"]), golden.arrays["pinyin_ids"])


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize("form", ["syllables", "letters", "flat letters"])
def test_golden_outputs_of_the_encoder(golden: GoldenOutputs, form: str, folded: bool) -> None:
    model = ChineseBertModel.from_pretrained(golden.directory, folded=folded)
    outputs = run(model, golden.inputs(form), output_hidden_states=True)
    golden.assert_equal(outputs.hidden_states[0], "embeddings")
    golden.assert_equal(outputs.last_hidden_state, "last_hidden_state")
    torch.testing.assert_close(outputs.pooler_output, golden.arrays["pooler_output"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize("form", ["syllables", "letters", "flat letters"])
def test_golden_outputs_of_the_masked_language_model(golden: GoldenOutputs, form: str, folded: bool) -> None:
    model = ChineseBertForMaskedLM.from_pretrained(golden.directory, folded=folded)
    outputs = run(model, golden.inputs(form), labels=golden.arrays["labels"])
    golden.assert_equal(outputs.logits, "logits_first8")
    assert outputs.loss.item() == pytest.approx(golden.arrays["loss"].item(), abs=1e-5)


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
def test_golden_outputs_with_token_types(golden: GoldenOutputs, folded: bool) -> None:
    model = ChineseBertModel.from_pretrained(golden.directory, folded=folded)
    outputs = run(model, golden.inputs(), token_type_ids=golden.arrays["token_type_ids"])
    golden.assert_equal(outputs.last_hidden_state, "last_hidden_state_with_token_types")


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
def test_golden_attention_weights(golden: GoldenOutputs, folded: bool) -> None:
    model = ChineseBertModel.from_pretrained(golden.directory, folded=folded, attn_implementation="eager")
    ours = run(model, golden.inputs(), output_attentions=True).attentions[0]
    theirs = golden.arrays["attention_0_first8"]
    of_tokens = golden.arrays["attention_mask"][: len(theirs)].bool()[:, None, :, None].expand_as(theirs)
    torch.testing.assert_close(ours[: len(theirs)][of_tokens], theirs[of_tokens], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def golden_export(golden: GoldenOutputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint, read, saved in our layout, and exported from there."""
    folder = tmp_path_factory.mktemp("golden")
    released.convert(golden.directory, folder / "ours")
    released.export(folder / "ours", folder / "theirs")
    shutil.rmtree(folder / "ours")
    return folder / "theirs"


def test_golden_weights_come_back_from_an_export(golden: GoldenOutputs, golden_export: Path) -> None:
    theirs = torch.load(golden.directory / "pytorch_model.bin", weights_only=True)
    ours = torch.load(golden_export / "pytorch_model.bin", weights_only=True)
    assert {name: (v.shape, v.dtype) for name, v in ours.items()} == {n: (v.shape, v.dtype) for n, v in theirs.items()}
    assert [n for n in theirs if not torch.equal(ours[n], theirs[n])] == []


def test_golden_vocabulary_comes_back_from_an_export(golden: GoldenOutputs, golden_export: Path) -> None:
    assert (golden_export / "vocab.txt").read_bytes() == (golden.directory / "vocab.txt").read_bytes()


def test_golden_tables_spell_alike_after_an_export(golden: GoldenOutputs, golden_export: Path) -> None:
    assert_same_spelling(golden_export, golden.directory)


def test_golden_letters_come_out_after_an_export(golden: GoldenOutputs, golden_export: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_pretrained(golden_export)
    pinyin_ids = tokenizer(golden.texts, padding=True, return_tensors="pt")["pinyin_ids"]
    assert torch.equal(letters(tokenizer, pinyin_ids), golden.arrays["pinyin_ids"])


def test_golden_outputs_come_out_after_an_export(golden: GoldenOutputs, golden_export: Path) -> None:
    outputs = run(ChineseBertModel.from_pretrained(golden_export), golden.inputs())
    golden.assert_equal(outputs.last_hidden_state, "last_hidden_state")


def test_golden_outputs_come_out_of_an_export_in_other_people_s_code(
    golden: GoldenOutputs, golden_export: Path
) -> None:
    config = ChineseBertConfig.from_pretrained(golden_export, attn_implementation="sdpa")
    model = StraightforwardChineseBert(config).eval()
    model.load_weights(torch.load(golden_export / "pytorch_model.bin", weights_only=True))
    given = golden.inputs()
    with torch.no_grad():
        states = model.bert(*given.values(), None)
    golden.assert_equal(states, "last_hidden_state")


def test_a_converted_masked_language_model_keeps_the_pooler_for_others(
    tiny: Path, state: State, tmp_path: Path
) -> None:
    released.convert(tiny, tmp_path / "ours")
    pooler = ChineseBertModel.from_pretrained(tmp_path / "ours").pooler
    assert torch.equal(pooler.dense.weight, state["bert.pooler.dense.weight"])


def test_the_pooler_of_a_masked_language_model_is_not_trained(tiny: Path) -> None:
    model = ChineseBertForMaskedLM.from_pretrained(tiny).train()
    inputs = torch.tensor([[2, 5, 6, 3]])
    model(inputs, torch.zeros_like(inputs), labels=inputs).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_a_tokenizer_truncates_to_the_positions_of_the_model_beside_it(tiny: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_pretrained(tiny)
    positions = json.loads((tiny / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    assert len(tokenizer("我" * 2 * positions, truncation=True)["input_ids"]) == positions


def test_a_saved_tokenizer_that_lost_its_readings_is_refused(tiny: Path, tmp_path: Path) -> None:
    ChineseBertTokenizer.from_pretrained(tiny).save_pretrained(tmp_path)
    (tmp_path / "readings.json").unlink()
    with pytest.raises(InputError, match=r"readings\.json"):
        ChineseBertTokenizer.from_pretrained(tmp_path)


def test_letters_are_refused_for_ids_that_are_none(tiny: Path) -> None:
    with pytest.raises(ValueError, match="pinyin_ids run from -1"):
        ChineseBertTokenizer.from_pretrained(tiny).convert_pinyin_ids_to_letters([0, -1])
