"""Damaged, hostile and mismatched input: each is refused with the name of what is wrong and advice, and never run."""

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from chinesebert import released
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertModel
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.tiny_checkpoints import (
    FONTS,
    GLYPH_ROWS,
    PINYIN2TENSOR,
    POSITIONS,
    VOCABULARY,
    State,
    reference_model,
    released_state,
    spelled,
    write_json,
    write_ported,
    write_released,
)

READERS: dict[str, Callable[[Path], Any]] = {
    "model": ChineseBertForMaskedLM.from_pretrained,
    "tokenizer": ChineseBertTokenizer.from_pretrained,
}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 134217728\n"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!DOCTYPE html><html><title>Not Found</title></html>",
}
# What a message may tell a user to do.
ADVICE = (
    "download|restore|delete|git lfs pull|give |get the weights|save |load |choose|leave |truncate|remove|"
    "build one|is it the right directory"
)
MAP, TENSORS, FONT = "config/pinyin_map.json", "config/pinyin2tensor.json", f"config/{FONTS[0]}"
BIN, SAFETENSORS = "pytorch_model.bin", "model.safetensors"


@pytest.fixture(scope="module")
def state() -> State:
    return released_state(reference_model())


@pytest.fixture(scope="module")
def tiny(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny directory in the released layout. Do not change it: tests share it."""
    return write_released(tmp_path_factory.mktemp("released") / "tiny", state)


@pytest.fixture(scope="module")
def saved(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in our layout. Do not change it: tests share it."""
    directory = tmp_path_factory.mktemp("saved") / "ours"
    released.convert(tiny, directory)
    return directory


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the released directory, to be damaged."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture
def saved_copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of ours, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def refusal(action: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The message with which an action is refused."""
    with pytest.raises(InputError) as caught:
        action(*arguments, **named)
    return str(caught.value)


def assert_refused(name: str | Path, action: Callable[..., Any], *arguments: Any, advice: str = ADVICE) -> None:
    """Asserts that an action is refused in one line that names the file and says what to do."""
    message = refusal(action, *arguments)
    assert str(name) in message
    assert re.search(advice, message, re.IGNORECASE), message
    assert "\n" not in message


# ----------------------------------------------------------------------------------------------------- released layout

# Which files of a released directory each of the two needs. Fonts are looked at where they are there at all.
NEEDED = [
    *(("model", name) for name in ("config.json", "vocab.txt", MAP, TENSORS, BIN)),
    *(("tokenizer", name) for name in ("vocab.txt", MAP, TENSORS)),
]
READ = [*NEEDED, ("model", FONT), ("tokenizer", "config.json")]


@pytest.mark.parametrize(("reader", "name"), NEEDED)
def test_a_missing_file_is_named(copy: Path, reader: str, name: str) -> None:
    (copy / name).unlink()
    assert_refused(name, READERS[reader], copy)


@pytest.mark.parametrize(("reader", "name"), READ)
def test_a_git_lfs_pointer_is_told_from_the_file(copy: Path, reader: str, name: str) -> None:
    (copy / name).write_bytes(POINTER)
    assert_refused(copy / name, READERS[reader], copy, advice="git lfs pull")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(("reader", "name"), READ)
def test_a_damaged_file_is_named(copy: Path, reader: str, name: str, damage: Callable[[bytes], bytes]) -> None:
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    assert_refused(copy / name, READERS[reader], copy)


@pytest.mark.parametrize("content", [[], {}, {"char2idx": [1]}, {"char2idx": {"a": "x"}}, {"char2idx": {"a": 99}}])
def test_an_alphabet_that_is_none_is_refused(copy: Path, content: Any) -> None:
    write_json(copy / MAP, content)
    assert_refused("pinyin_map.json", READERS["tokenizer"], copy)


@pytest.mark.parametrize(
    "row",
    [[9, 10, 5], [9, 10, 5, 0, 0, 0, 0, 99], [-1] * 8, "de5", None, [5, 9, 10, 0, 0, 0, 0, 0]],
    ids=["too short", "no such letter", "negative", "text", "nothing", "tone first"],
)
def test_a_spelling_that_is_none_is_refused(copy: Path, row: Any) -> None:
    write_json(copy / TENSORS, PINYIN2TENSOR | {"de": row})
    assert_refused(copy / TENSORS, READERS["tokenizer"], copy)


def test_a_table_without_a_spelling_is_refused(copy: Path) -> None:
    # Every syllable would be spelled letter by letter: not as the weights know it where it has no tone.
    write_json(copy / TENSORS, {})
    assert_refused(copy / TENSORS, READERS["tokenizer"], copy)


def test_a_pickle_in_place_of_a_font_is_not_run(copy: Path, tmp_path: Path) -> None:
    images = np.array([Hostile(tmp_path / "ran")], dtype=object)
    np.save(copy / FONT, images, allow_pickle=True)
    assert_refused(copy / FONT, READERS["model"], copy)
    assert not (tmp_path / "ran").exists()


def test_a_font_of_another_vocabulary_is_refused(copy: Path) -> None:
    np.save(copy / FONT, np.zeros((7, 24, 24)))
    assert "[7, 24, 24]" in refusal(READERS["model"], copy)
    assert_refused(copy / FONT, READERS["model"], copy)


def test_a_font_that_the_weights_do_not_make_up_for_is_named(copy: Path, state: State) -> None:
    torch.save({name: value for name, value in state.items() if name != GLYPH_ROWS}, copy / BIN)
    (copy / FONT).unlink()
    assert_refused(FONTS[0], READERS["model"], copy)


def test_a_missing_table_of_readings_is_named(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released, "READINGS", tmp_path / "readings.json.gz")
    released._respelled.cache_clear()
    assert_refused(tmp_path / "readings.json.gz", READERS["tokenizer"], tiny, advice="reinstall")


# ----------------------------------------------------------------------------------------------------------- vocabulary


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", [-1, 1], ids=["a token less", "a token more"])
def test_a_vocabulary_of_another_size_than_the_weights_is_refused(copy: Path, reader: str, change: int) -> None:
    tokens = VOCABULARY[:-1] if change < 0 else [*VOCABULARY, "穩"]
    (copy / "vocab.txt").write_bytes(("\n".join(tokens) + "\n").encode())
    message = refusal(READERS[reader], copy)
    assert {str(len(VOCABULARY)), str(len(tokens))} <= set(message.replace("(", " ").split())
    assert_refused(copy / "vocab.txt", READERS[reader], copy)


@pytest.mark.parametrize("reader", READERS)
def test_a_vocabulary_that_lost_its_line_separator_is_refused(copy: Path, reader: str) -> None:
    # An editor that takes U+2028 for a line end, or strips lines, leaves an empty line, of which there is one already.
    (copy / "vocab.txt").write_bytes((copy / "vocab.txt").read_text(encoding="utf-8").replace("\u2028", "").encode())
    assert_refused(copy / "vocab.txt", READERS[reader], copy)


@pytest.mark.parametrize("reader", READERS)
def test_a_vocabulary_in_another_encoding_is_refused(copy: Path, reader: str) -> None:
    (copy / "vocab.txt").write_bytes("\n".join(VOCABULARY).encode("gb18030"))
    assert_refused(copy / "vocab.txt", READERS[reader], copy, advice="UTF-8")


# -------------------------------------------------------------------------------------------------------------- weights


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


PICKLES: dict[str, Callable[[Any, Path], Any]] = {
    "new form of torch": torch.save,
    "old form of torch": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "plain pickle": lambda content, path: path.write_bytes(pickle.dumps(content)),
    "oldest pickle": lambda content, path: path.write_bytes(pickle.dumps(content, protocol=0)),
}


@pytest.fixture(params=["released layout", "our layout"])
def pickled(request: pytest.FixtureRequest, tmp_path: Path, tiny: Path, saved: Path) -> Path:
    """A directory whose weights are to be replaced by a pickle."""
    directory = Path(shutil.copytree(tiny if "released" in request.param else saved, tmp_path / "copy"))
    (directory / SAFETENSORS).unlink(missing_ok=True)
    return directory


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", PICKLES.values(), ids=PICKLES)
def test_code_in_a_pickle_is_never_run(pickled: Path, tmp_path: Path, write: Callable[[Any, Path], Any]) -> None:
    write({"bert.embeddings.LayerNorm.weight": Hostile(tmp_path / "ran")}, pickled / BIN)
    assert_refused(pickled / BIN, READERS["model"], pickled, advice="source you trust")
    assert not (tmp_path / "ran").exists()


def test_the_hostile_pickle_would_do_harm(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Hostile(tmp_path / "ran"))).close()
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [["a", "list"], {"state_dict": {}}, {"epoch": 3}, {1: torch.zeros(1)}], ids=str)
def test_something_else_than_weights_is_refused(pickled: Path, content: Any) -> None:
    torch.save(content, pickled / BIN)
    assert_refused(pickled / BIN, READERS["model"], pickled, advice=r"save model\.state_dict\(\)")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_pickle_is_named(pickled: Path, state: State, damage: Callable[[bytes], bytes]) -> None:
    torch.save(state, pickled / BIN)
    (pickled / BIN).write_bytes(damage((pickled / BIN).read_bytes()))
    assert_refused(pickled / BIN, READERS["model"], pickled)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_safetensors_file_is_named(copy: Path, state: State, damage: Callable[[bytes], bytes]) -> None:
    save_file(state, copy / SAFETENSORS)
    (copy / SAFETENSORS).write_bytes(damage((copy / SAFETENSORS).read_bytes()))
    assert_refused(copy / SAFETENSORS, READERS["model"], copy)


def write_shards(directory: Path, state: State) -> tuple[Path, Path]:
    """Puts the weights into two shards; returns the second, and the index."""
    (directory / BIN).unlink()
    names = sorted(state)
    shards = [directory / f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for shard, part in zip(shards, (names[::2], names[1::2]), strict=True):
        torch.save({name: state[name] for name in part}, shard)
    index = {name: shards[number % 2].name for number, name in enumerate(names)}
    write_json(directory / f"{BIN}.index.json", {"metadata": {}, "weight_map": index})
    return shards[1], directory / f"{BIN}.index.json"


def test_a_missing_shard_is_named(copy: Path, state: State) -> None:
    shard, _ = write_shards(copy, state)
    shard.unlink()
    assert_refused(shard.name, READERS["model"], copy)


def test_a_shard_that_is_a_pointer_is_named(copy: Path, state: State) -> None:
    shard, _ = write_shards(copy, state)
    shard.write_bytes(POINTER)
    assert_refused(shard, READERS["model"], copy, advice="git lfs pull")


def test_a_shard_that_is_cut_short_is_named(copy: Path, state: State) -> None:
    shard, _ = write_shards(copy, state)
    shard.write_bytes(shard.read_bytes()[:1000])
    assert_refused(shard, READERS["model"], copy)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"weight_map": []}'])
def test_a_damaged_index_is_named(copy: Path, state: State, content: str) -> None:
    _, index = write_shards(copy, state)
    index.write_text(content, encoding="utf-8")
    assert_refused(index, READERS["model"], copy)


def test_sizes_that_the_weights_do_not_have_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    write_json(copy / "config.json", config | {"intermediate_size": 128})
    assert_refused("config.json", READERS["model"], copy, advice="of different checkpoints")


@pytest.mark.parametrize(
    "weights",
    [
        lambda state: {},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {name: value for name, value in state.items() if "layer.1.attention.self.query" not in name},
        lambda state: {name: value for name, value in state.items() if "pinyin_embeddings.conv" not in name},
    ],
    ids=["none", "other names", "a layer incomplete", "no pinyin"],
)
def test_an_encoder_without_its_weights_is_refused(copy: Path, state: State, weights: Callable[[State], State]) -> None:
    # It would be loaded with random weights in their places, and be quietly wrong.
    torch.save(weights(state), copy / BIN)
    assert_refused(copy, READERS["model"], copy)


# --------------------------------------------------------------------------------------------------- JunnYu's layout


@pytest.fixture
def ported(state: State, tmp_path: Path) -> Path:
    """JunnYu's layout, to be damaged."""
    return write_ported(tmp_path / "ported", state, tokenizer_json=True)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_settings_of_a_port_are_named(ported: Path, reader: str, damage: Callable[[bytes], bytes]) -> None:
    path = ported / "tokenizer_config.json"
    path.write_bytes(damage(path.read_bytes()))
    assert_refused(path, READERS[reader], ported)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("table", ["pinyin_map", "pinyin2tensor"])
def test_a_table_that_a_port_lacks_is_named(ported: Path, reader: str, table: str) -> None:
    settings = json.loads((ported / "tokenizer_config.json").read_text(encoding="utf-8"))
    write_json(ported / "tokenizer_config.json", {name: value for name, value in settings.items() if name != table})
    assert_refused(table, READERS[reader], ported)


def test_a_damaged_tokenizer_json_is_named(ported: Path) -> None:
    (ported / "tokenizer.json").write_bytes(POINTER)
    assert_refused(ported / "tokenizer.json", READERS["tokenizer"], ported, advice="git lfs pull")


# ----------------------------------------------------------------------------------------------------------- our layout

OURS = [
    *(("model", name) for name in ("config.json", SAFETENSORS)),
    *(("tokenizer", name) for name in ("readings.json", "tokenizer.json", "tokenizer_config.json")),
]


@pytest.mark.parametrize(("reader", "name"), OURS)
def test_a_pointer_in_place_of_a_saved_file_is_named(saved_copy: Path, reader: str, name: str) -> None:
    (saved_copy / name).write_bytes(POINTER)
    assert_refused(saved_copy / name, READERS[reader], saved_copy, advice="git lfs pull")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(("reader", "name"), OURS)
def test_a_damaged_saved_file_is_named(
    saved_copy: Path, reader: str, name: str, damage: Callable[[bytes], bytes]
) -> None:
    (saved_copy / name).write_bytes(damage((saved_copy / name).read_bytes()))
    assert_refused(saved_copy / name, READERS[reader], saved_copy)


@pytest.mark.parametrize(
    ("reader", "name"), [("model", "config.json"), ("model", SAFETENSORS), ("tokenizer", "readings.json")]
)
def test_a_missing_saved_file_is_named(saved_copy: Path, reader: str, name: str) -> None:
    (saved_copy / name).unlink()
    assert_refused(name, READERS[reader], saved_copy)


def test_a_saved_model_without_its_tables_is_refused(saved_copy: Path, state: State) -> None:
    save_file(state, saved_copy / SAFETENSORS)
    assert_refused("default_pinyin_ids", READERS["model"], saved_copy)


@pytest.mark.parametrize("reader", READERS)
def test_an_empty_directory_is_refused(tmp_path: Path, reader: str) -> None:
    assert_refused(tmp_path, READERS[reader], tmp_path)


@pytest.mark.parametrize("reader", READERS)
def test_a_directory_that_is_not_there_is_refused(tmp_path: Path, reader: str) -> None:
    with pytest.raises((InputError, OSError), match="nowhere"):
        READERS[reader](tmp_path / "nowhere")


@pytest.mark.parametrize("reader", READERS)
def test_a_repository_that_is_not_there_is_refused(tmp_path: Path, reader: str) -> None:
    kind = {"model": ChineseBertForMaskedLM, "tokenizer": ChineseBertTokenizer}[reader]
    with pytest.raises((InputError, OSError)):  # not a tokenizer that knows five tokens
        kind.from_pretrained("someone/nothing", cache_dir=str(tmp_path), local_files_only=True)


def test_a_model_of_another_kind_is_refused(saved_copy: Path) -> None:
    config = json.loads((saved_copy / "config.json").read_text(encoding="utf-8"))
    write_json(saved_copy / "config.json", config | {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
    assert_refused("'gpt2'", READERS["model"], saved_copy)


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.fixture(scope="module", params=[False, True], ids=["unfolded", "folded"])
def model(request: pytest.FixtureRequest, tiny: Path) -> ChineseBertModel:
    """The encoder. Do not change it: tests share it."""
    return ChineseBertModel.from_pretrained(tiny, folded=request.param)


IDS = torch.tensor([[2, 7, 8, 3]])


def complaint(model: ChineseBertModel, **arguments: torch.Tensor) -> str:
    with pytest.raises(ValueError) as caught:
        model(**arguments)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (1, 4, 7), (4,), (1, 4, 8, 1), (1, 31)], ids=str)
def test_pinyin_of_a_wrong_shape_is_refused(model: ChineseBertModel, shape: tuple[int, ...]) -> None:
    message = complaint(model, input_ids=IDS, pinyin_ids=torch.zeros(shape, dtype=torch.long))
    assert str(list(shape)) in message
    assert "pinyin_ids" in message and "[1, 4, 8] or [1, 32]" in message


@pytest.mark.parametrize("number", [-1, 10_000], ids=["negative", "too large"])
def test_a_syllable_out_of_range_is_refused(model: ChineseBertModel, number: int) -> None:
    message = complaint(model, input_ids=IDS, pinyin_ids=torch.full_like(IDS, number))
    assert f"pinyin_ids run from {number} to {number}" in message
    assert "does the tokenizer belong to this model?" in message


@pytest.mark.parametrize("number", [-1, 32, 127, 1 << 40])
def test_a_letter_out_of_range_is_refused(model: ChineseBertModel, number: int) -> None:
    message = complaint(model, input_ids=IDS, pinyin_ids=torch.full((1, 4, 8), number))
    assert "pinyin_ids (letters)" in message


def test_a_spelling_that_a_folded_model_does_not_know_is_refused(tiny: Path) -> None:
    folded = ChineseBertModel.from_pretrained(tiny, folded=True)
    unheard = torch.tensor(spelled("qqqq1")).expand(1, 4, 8)
    assert "folded=False" in complaint(folded, input_ids=IDS, pinyin_ids=unheard)


@pytest.mark.parametrize("given", ["the tokenizer's output", "ids alone"])
def test_too_long_input_is_refused(model: ChineseBertModel, tiny: Path, given: str) -> None:
    text = dict(ChineseBertTokenizer.from_pretrained(tiny)("我" * POSITIONS, return_tensors="pt"))
    length = text["input_ids"].shape[1]
    message = complaint(model, **(text if "output" in given else {"input_ids": text["input_ids"]}))
    assert f"{length} tokens, but the model has {POSITIONS} positions" in message
    assert f"truncation=True, max_length={POSITIONS}" in message


def test_truncated_input_is_taken(model: ChineseBertModel, tiny: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_pretrained(tiny)
    text = tokenizer("我" * POSITIONS, truncation=True, max_length=POSITIONS, return_tensors="pt")
    with torch.no_grad():
        assert model(**text).last_hidden_state.shape[1] == POSITIONS


def test_a_token_that_the_model_does_not_have_is_refused(model: ChineseBertModel) -> None:
    message = complaint(model, input_ids=IDS + len(VOCABULARY), pinyin_ids=IDS)
    assert "input_ids run from" in message and f"0 … {len(VOCABULARY) - 1}" in message


@pytest.mark.parametrize(("name", "number"), [("token_type_ids", 2), ("position_ids", POSITIONS)])
def test_a_place_or_type_that_the_model_does_not_have_is_refused(
    model: ChineseBertModel, name: str, number: int
) -> None:
    message = complaint(model, input_ids=IDS, pinyin_ids=IDS, **{name: torch.full_like(IDS, number)})
    assert message.startswith(f"{name} run from {number} to {number}")


# -------------------------------------------------------------------------------------------------------------- options


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of ours with frozen images, 0 … 255."""
    directory = tmp_path_factory.mktemp("frozen")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(15)
    model = ChineseBertModel(ChineseBertConfig(**sizes, vocab_size=50, num_syllables=9, initializer_range=0.2))
    table = model.embeddings.glyph_embeddings.embedding.weight
    table.copy_(torch.randint(256, table.shape))
    model.save_pretrained(directory)
    return directory


def assert_same_or_refused(directory: Path, glyph_trainable: bool) -> None:
    """Asserts that images are not quietly others when they are loaded as the kind that they are not."""
    wanted = ChineseBertModel.from_pretrained(directory)
    try:
        found = ChineseBertModel.from_pretrained(directory, glyph_trainable=glyph_trainable)
    except InputError as error:
        assert str(directory) in str(error) and "glyph_trainable" in str(error)
        return
    with torch.no_grad():
        states = [model(IDS, IDS).last_hidden_state for model in (wanted, found)]
    torch.testing.assert_close(*states)


def test_trained_images_are_not_cut_down_to_bytes(tiny: Path) -> None:
    assert_same_or_refused(tiny, glyph_trainable=False)


def test_trained_images_of_ours_are_not_cut_down_to_bytes(saved: Path) -> None:
    assert_same_or_refused(saved, glyph_trainable=False)


def test_bytes_are_not_taken_for_trained_images(frozen: Path) -> None:
    assert_same_or_refused(frozen, glyph_trainable=True)


def test_a_folded_directory_is_not_unfolded(tiny: Path, tmp_path: Path) -> None:
    ChineseBertModel.from_pretrained(tiny, folded=True).save_pretrained(tmp_path / "folded")
    message = refusal(ChineseBertModel.from_pretrained, tmp_path / "folded", folded=False)
    assert str(tmp_path / "folded") in message and "load the directory it was made from" in message


@pytest.mark.parametrize("name", ["vocab.txt", "config/id2pinyin.json", "config/pinyin2tensor.json"])
def test_a_pointer_in_place_of_any_table_is_told_to_the_tokenizer(name: str, tmp_path: Path) -> None:
    directory = write_released(tmp_path / "released", released_state(reference_model()))
    (directory / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match=f"{name}: is a Git LFS pointer"):
        ChineseBertTokenizer.from_pretrained(directory)


def test_an_attention_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = ChineseBertModel.from_pretrained(write_released(tmp_path / "released", released_state(reference_model())))
    ids = torch.ones(1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"attention_mask has shape \[2, 3\]"):
        model(ids, torch.zeros_like(ids), attention_mask=torch.ones(2, 3))
