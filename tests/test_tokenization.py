"""Every token carries its pinyin, however the tokenizer is called, and a saved tokenizer is the same for ever."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, DataCollatorWithPadding

import chinesebert  # noqa: F401  (registers the tokenizer with AutoTokenizer)
from chinesebert.errors import InputError
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKENS

TEXTS = [
    "重庆的重要银行行长在长大。",
    "他在Python3.5里写😀，ＡＢ１２𠮷野家龘。",
    "",
    "   ",
    "Hello, world! café",
    "一个[MASK]不是",
    "豈㐀〇\u2028か👨‍👩‍👧é",
]
TEXT = TEXTS[0]


def syllables(tokenizer: ChineseBertTokenizer, pinyin_ids: list[int]) -> list[str]:
    """Spells syllable ids; "" for 0."""
    return [tokenizer.readings.syllables[number - 1] if number else "" for number in pinyin_ids]


def tokens_with_pinyin(tokenizer: ChineseBertTokenizer, text: str) -> list[tuple[str, str]]:
    encoded = tokenizer(text, add_special_tokens=False)
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    return list(zip(tokens, syllables(tokenizer, encoded["pinyin_ids"]), strict=True))


# ------------------------------------------------------------------------------------------------------------ alignment


def test_every_character_carries_its_reading_in_context(tokenizer: ChineseBertTokenizer) -> None:
    assert tokens_with_pinyin(tokenizer, "重庆的重要银行。") == [
        ("重", "chong2"),
        ("庆", "qing4"),
        ("的", "de"),
        ("重", "zhong4"),
        ("要", "yao4"),
        ("银", "yin2"),
        ("行", "hang2"),
        ("。", ""),
    ]


def test_pinyin_stays_aligned_through_english_digits_emoji_and_full_width_forms(
    small_tokenizer: ChineseBertTokenizer,
) -> None:
    found = tokens_with_pinyin(small_tokenizer, "重庆 Pythoning 2025😀银行ＡＢ１２👨‍👩‍👧长大")
    assert [pair for pair in found if pair[1]] == [
        ("重", "chong2"),
        ("庆", "qing4"),
        ("银", "yin2"),
        ("行", "hang2"),
        ("长", "zhang3"),
        ("大", "da4"),
    ]
    assert ("python", "") in found and ("##ing", "") in found


def test_an_unknown_character_keeps_its_pinyin(small_tokenizer: ChineseBertTokenizer) -> None:
    assert tokens_with_pinyin(small_tokenizer, "龘好") == [("[UNK]", "da2"), ("好", "hao3")]


def test_characters_outside_the_bmp_do_not_shift_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    found = tokens_with_pinyin(tokenizer, "𠮷😀重庆𪜎行走")
    read = {token: syllable for token, syllable in found if token in "重庆行走"}
    assert read == {"重": "chong2", "庆": "qing4", "行": "xing2", "走": "zou3"}


def test_a_character_that_is_not_one_to_one_with_its_letters_has_no_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    found = tokens_with_pinyin(tokenizer, "e\u0301重庆ﬃ长大")  # a combining accent; one sign that stands for three
    assert [syllable for _, syllable in found if syllable] == ["chong2", "qing4", "zhang3", "da4"]


def test_special_tokens_have_no_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    encoded = tokenizer("重庆", "长大")
    special = [number for number, mask in enumerate(encoded["input_ids"]) if mask in tokenizer.all_special_ids]
    assert [encoded["pinyin_ids"][number] for number in special] == [0, 0, 0]


def test_a_mask_in_the_text_is_the_mask_token_without_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    assert tokens_with_pinyin(tokenizer, "重[MASK]庆") == [("重", "zhong4"), ("[MASK]", ""), ("庆", "qing4")]


@pytest.mark.parametrize("text", TEXTS)
def test_there_is_one_pinyin_id_for_every_token(tokenizer: ChineseBertTokenizer, text: str) -> None:
    encoded = tokenizer(text)
    assert len(encoded["pinyin_ids"]) == len(encoded["input_ids"]) == len(encoded["attention_mask"])


# ------------------------------------------------------------------------------------------------------ ways of calling


def test_a_batch_gives_what_its_texts_give_alone(tokenizer: ChineseBertTokenizer) -> None:
    batch = tokenizer(TEXTS)
    for number, text in enumerate(TEXTS):
        assert {key: values[number] for key, values in batch.items()} == dict(tokenizer(text)), text


def test_both_texts_of_a_pair_carry_their_own_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    pair = tokenizer("重要", "重庆银行")
    assert syllables(tokenizer, pair["pinyin_ids"]) == [
        *["", "zhong4", "yao4", ""],
        *["chong2", "qing4", "yin2", "hang2", ""],
    ]


@pytest.mark.parametrize("second", ["", "重庆"])
def test_a_list_of_tuples_is_a_batch_of_pairs(tokenizer: ChineseBertTokenizer, second: str) -> None:
    tuples = tokenizer([("重要", second), ("行走", "银行")])
    assert dict(tuples) == dict(tokenizer(["重要", "行走"], [second, "银行"]))


def test_pairs_alone_and_in_a_batch_are_the_same(tokenizer: ChineseBertTokenizer) -> None:
    batch = tokenizer(["重要", "行走"], ["重庆", "银行"])
    assert batch["pinyin_ids"][1] == tokenizer("行走", "银行")["pinyin_ids"]


def test_a_truncated_text_keeps_the_readings_of_the_whole(tokenizer: ChineseBertTokenizer) -> None:
    encoded = tokenizer("重庆", truncation=True, max_length=3)
    assert syllables(tokenizer, encoded["pinyin_ids"]) == ["", "chong2", ""]  # 重 alone would be zhong4


def test_truncation_from_the_left_cuts_pinyin_from_the_left(small_vocabulary: Path) -> None:
    left = ChineseBertTokenizer.from_vocabulary(small_vocabulary, truncation_side="left")
    encoded = left("我爱重庆", truncation=True, max_length=4)
    assert syllables(left, encoded["pinyin_ids"]) == ["", "chong2", "qing4", ""]


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
def test_a_truncated_pair_keeps_pinyin_beside_its_tokens(tokenizer: ChineseBertTokenizer, strategy: str) -> None:
    encoded = tokenizer("重要的音乐", "重庆银行很长", truncation=strategy, max_length=10)
    readings = {"重": {"zhong4", "chong2"}, "要": {"yao4"}, "的": {"de"}, "音": {"yin1"}, "乐": {"yue4"}}
    readings |= {"庆": {"qing4"}, "银": {"yin2"}, "行": {"hang2"}, "很": {"hen3"}, "长": {"chang2", "zhang3"}}
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert len(tokens) == 10
    for token, syllable in zip(tokens, syllables(tokenizer, encoded["pinyin_ids"]), strict=True):
        assert syllable in readings.get(token, {""})


@pytest.mark.parametrize("flag", [{"padding": True}, {"padding": "max_length", "max_length": 24}], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_adds_zeros_on_the_asked_side(tokenizer: ChineseBertTokenizer, side: str, flag: dict[str, Any]) -> None:
    texts = ["重庆", "重庆的银行行长"]
    padded = tokenizer(texts, padding_side=side, **flag)
    for row, text in enumerate(texts):
        alone = tokenizer(text)["pinyin_ids"]
        zeros = [0] * (len(padded["input_ids"][row]) - len(alone))
        assert padded["pinyin_ids"][row] == (zeros + alone if side == "left" else alone + zeros)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_afterwards_equals_padding_at_once(tokenizer: ChineseBertTokenizer, side: str) -> None:
    texts = ["重庆", "重庆的银行行长", ""]
    at_once = tokenizer(texts, padding=True, pad_to_multiple_of=8, padding_side=side)
    afterwards = tokenizer.pad(
        [tokenizer(text) for text in texts], padding=True, pad_to_multiple_of=8, padding_side=side
    )
    assert dict(afterwards) == dict(at_once)


def test_the_padding_collator_makes_one_tensor_of_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    batch = DataCollatorWithPadding(tokenizer)([tokenizer("重庆"), tokenizer("重庆的银行")])
    assert batch["pinyin_ids"].dtype == torch.int64
    assert batch["pinyin_ids"].tolist() == tokenizer(["重庆", "重庆的银行"], padding=True)["pinyin_ids"]


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_tensors_hold_what_lists_hold(tokenizer: ChineseBertTokenizer, kind: str) -> None:
    one = tokenizer(TEXT, return_tensors=kind)
    assert {key: value.tolist() for key, value in one.items()} == {k: [v] for k, v in tokenizer(TEXT).items()}
    many = tokenizer([TEXT, "重"], padding=True, return_tensors=kind)
    assert many["pinyin_ids"].tolist() == tokenizer([TEXT, "重"], padding=True)["pinyin_ids"]


def test_offsets_point_at_the_characters(tokenizer: ChineseBertTokenizer) -> None:
    text = "😀重庆Python"
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
    assert pieces[:3] == ["😀", "重", "庆"]
    assert "".join(pieces) == text
    assert encoded.char_to_token(1) == 1


WORDS = st.lists(
    st.sampled_from(["重", "庆", "重庆", "银", "行", "长大", "的", "，", "龘", "𠮷"]), min_size=1, max_size=8
)


@settings(deadline=None)
@given(words=WORDS)
def test_words_of_a_split_text_are_read_as_the_joined_text(
    small_tokenizer: ChineseBertTokenizer, words: list[str]
) -> None:
    assert dict(small_tokenizer(words, is_split_into_words=True)) == dict(small_tokenizer("".join(words)))


def test_split_texts_work_in_batches_and_pairs(tokenizer: ChineseBertTokenizer) -> None:
    first, second = [["重", "要"], ["行", "走"]], [["重", "庆"], ["银行"]]
    joined = dict(tokenizer(["重要", "行走"], ["重庆", "银行"]))
    assert dict(tokenizer(first, second, is_split_into_words=True)) == joined
    assert dict(tokenizer(list(zip(first, second, strict=True)), is_split_into_words=True)) == joined
    assert dict(tokenizer(first[0], second[0], is_split_into_words=True)) == dict(tokenizer("重要", "重庆"))


def test_a_word_of_several_tokens_keeps_its_pinyin(tokenizer: ChineseBertTokenizer) -> None:
    encoded = tokenizer(["Hello，重庆", "长大"], is_split_into_words=True, add_special_tokens=False)
    read = [syllable for syllable in syllables(tokenizer, encoded["pinyin_ids"]) if syllable]
    assert read == ["chong2", "qing4", "zhang3", "da4"]


def test_overflowing_parts_carry_the_pinyin_of_their_tokens(tokenizer: ChineseBertTokenizer) -> None:
    texts = ["重庆的重要银行行长在长大", "好", "音乐快乐，重庆"]
    whole = [tokenizer(text, add_special_tokens=False)["pinyin_ids"] for text in texts]
    parts = tokenizer(
        texts, truncation=True, max_length=7, stride=2, return_overflowing_tokens=True, return_offsets_mapping=True
    )
    assert len(parts["pinyin_ids"]) > len(texts)
    for sample, pinyin_ids, offsets in zip(
        parts["overflow_to_sample_mapping"], parts["pinyin_ids"], parts["offset_mapping"], strict=True
    ):
        start, end = offsets[1][0], offsets[-2][1]  # each of these characters is one token
        assert pinyin_ids == [0, *whole[sample][start:end], 0]


def test_overflow_of_a_single_text_is_a_list_of_parts(tokenizer: ChineseBertTokenizer) -> None:
    parts = tokenizer("重庆的重要", truncation=True, max_length=5, return_overflowing_tokens=True)
    assert [len(ids) for ids in parts["pinyin_ids"]] == [len(ids) for ids in parts["input_ids"]] == [5, 4]


# ------------------------------------------------------------------------------------------------------- saved for good


@pytest.fixture(scope="module")
def own_readings(tmp_path_factory: pytest.TempPathFactory) -> tuple[ChineseBertTokenizer, Path]:
    """A tokenizer that reads as no pypinyin does, with traps in its vocabulary, and where it was saved and moved to."""
    folder = tmp_path_factory.mktemp("saved")
    tokens = [*SPECIAL_TOKENS, "重", "庆", "", "\u2028", "a", "##b", "B", "，"]
    (folder / "vocab.txt").write_bytes(("\n".join(tokens) + "\n").encode())
    readings = Readings({"重": "xi1", "庆": "ha4"}, {"重庆": ("la1", "")}, "invented")
    tokenizer = ChineseBertTokenizer.from_vocabulary(folder / "vocab.txt", readings, do_lower_case=False)
    tokenizer.save_pretrained(folder / "first")
    shutil.move(folder / "first", folder / "moved")
    (folder / "vocab.txt").unlink()
    return tokenizer, folder / "moved"


@pytest.mark.parametrize("loader", [ChineseBertTokenizer, AutoTokenizer])
def test_a_saved_tokenizer_loads_equal_from_its_directory_alone(
    own_readings: tuple[ChineseBertTokenizer, Path], loader: Any
) -> None:
    tokenizer, directory = own_readings
    loaded = loader.from_pretrained(directory)
    texts = ["重庆重，庆", "ab B 重[MASK]", ""]
    assert type(loaded) is ChineseBertTokenizer
    assert dict(loaded(texts)) == dict(tokenizer(texts))
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.tokens() == tokenizer.tokens()


def test_a_tokenizer_saved_twice_is_the_same_bytes(
    own_readings: tuple[ChineseBertTokenizer, Path], tmp_path: Path
) -> None:
    _, directory = own_readings
    ChineseBertTokenizer.from_pretrained(directory).save_pretrained(tmp_path)
    for name in ("vocab.txt", "readings.json", "tokenizer.json"):
        assert (tmp_path / name).read_bytes() == (directory / name).read_bytes(), name


def test_saving_names_the_files_it_wrote(small_tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    saved = small_tokenizer.save_pretrained(tmp_path)
    assert {Path(name).name for name in saved} >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("change", [{"do_lower_case": False}, {"strip_accents": False}], ids=str)
def test_another_normalisation_is_another_fingerprint(
    small_vocabulary: Path, small_tokenizer: ChineseBertTokenizer, change: dict[str, bool]
) -> None:
    assert ChineseBertTokenizer.from_vocabulary(small_vocabulary, **change).fingerprint != small_tokenizer.fingerprint


def test_another_vocabulary_or_readings_is_another_fingerprint(
    small_vocabulary: Path, small_tokenizer: ChineseBertTokenizer, tokenizer: ChineseBertTokenizer
) -> None:
    other = ChineseBertTokenizer.from_vocabulary(small_vocabulary, Readings({"重": "xi1"}, {}, "other"))
    assert len({other.fingerprint, small_tokenizer.fingerprint, tokenizer.fingerprint}) == 3


def test_a_saved_directory_with_damaged_readings_is_refused_by_name(
    small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    small_tokenizer.save_pretrained(tmp_path)
    (tmp_path / "readings.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=str(tmp_path / "readings.json")):
        ChineseBertTokenizer.from_pretrained(tmp_path)


def test_a_used_tokenizer_can_be_sent_to_another_process(small_tokenizer: ChineseBertTokenizer) -> None:
    before = dict(small_tokenizer(TEXTS))
    sent = pickle.loads(pickle.dumps(small_tokenizer))
    assert dict(sent(TEXTS)) == before
    assert sent.fingerprint == small_tokenizer.fingerprint


# -------------------------------------------------------------------------------------------------------- what it tells


def test_tokens_are_listed_by_id(small_tokenizer: ChineseBertTokenizer, small_vocabulary: Path) -> None:
    assert small_tokenizer.tokens() == small_vocabulary.read_text(encoding="utf-8").split("\n")[:-1]


def test_tables_about_tokens_are_indexed_by_id(small_tokenizer: ChineseBertTokenizer) -> None:
    def number(token: str) -> int:
        return small_tokenizer.convert_tokens_to_ids(token)

    defaults = small_tokenizer.default_pinyin_ids()
    assert syllables(small_tokenizer, [defaults[number(token)] for token in ("重", "，", "[MASK]", "python")]) == [
        *["zhong4", "", "", ""]
    ]
    ordinary = set(small_tokenizer.ordinary_token_ids().tolist())
    assert {number("重"), number("##ing"), number("，")} <= ordinary
    assert ordinary & {number("[MASK]"), number("[unused7]"), number("[UNK]")} == set()
    continuations = small_tokenizer.continuation_tokens()
    assert (continuations[number("##ing")], continuations[number("重")]) == (True, False)


# ------------------------------------------------------------------------------------------------------------- released


@pytest.fixture(scope="module")
def released(shared: Path) -> ChineseBertTokenizer:
    return ChineseBertTokenizer.from_vocabulary(shared / "golden" / "tokenizer" / "vocab.txt")


def test_the_original_s_token_ids_come_out(released: ChineseBertTokenizer, shared: Path) -> None:
    lines = (shared / "golden" / "tokenization.jsonl").read_text(encoding="utf-8").split("\n")
    golden = [json.loads(line) for line in lines if line]
    assert len(golden) == 417
    found = released([sentence["text"] for sentence in golden])["input_ids"]
    assert [s["text"] for s, ids in zip(golden, found, strict=True) if s["input_ids"] != ids] == []


def test_the_released_vocabulary_keeps_its_ids_when_saved(released: ChineseBertTokenizer, tmp_path: Path) -> None:
    released.save_pretrained(tmp_path)
    assert ChineseBertTokenizer.from_pretrained(tmp_path).tokens() == released.tokens()
    assert len(released.tokens()) == 23_236
