"""Words are jieba's, and they cover the text character by character."""

import itertools

import jieba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chinesebert.words import cut_words, segmenter_version, word_starts

MIXED = st.lists(
    st.sampled_from(
        ["我爱北京天安门", "南京市长江大桥", "Python3.5", "C++", " ", "\u3000", "\r\n", "😀", "ＡＢ", "𠮷野家", "，"]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
).map("".join)


def starts_of(words: list[str]) -> list[int]:
    return list(itertools.accumulate(map(len, words), initial=0))[:-1]


@settings(deadline=None)  # the first example loads jieba's dictionary
@given(MIXED)
def test_the_words_joined_are_the_text(text: str) -> None:
    assert "".join(cut_words(text)) == text


def test_words_start_where_jieba_cuts_the_sample_text(sample_paragraphs: list[str]) -> None:
    for text in sample_paragraphs[:200]:
        assert word_starts(text).nonzero()[0].tolist() == starts_of(jieba.lcut(text, HMM=True)), text


def test_words_outside_the_dictionary_are_found() -> None:
    assert cut_words("他来到了网易杭研大厦") == ["他", "来到", "了", "网易", "杭研", "大厦"]  # 杭研: by jieba's HMM


def test_a_latin_word_and_a_number_are_one_word_each() -> None:
    assert word_starts("用Python跑3.5次").nonzero()[0].tolist() == [0, 1, 7, 8, 11]


def test_a_character_outside_the_bmp_takes_one_place() -> None:
    starts = word_starts("😀𠮷好")
    assert starts.shape == (3,)
    assert starts.tolist() == [True, True, True]


def test_an_empty_text_has_no_words() -> None:
    assert word_starts("").shape == (0,)


@pytest.mark.parametrize("text", [" ", "   ", "\u3000\u3000", "\t \n"])
def test_a_text_of_spaces_still_starts_with_a_word(text: str) -> None:
    starts = word_starts(text)
    assert len(starts) == len(text)
    assert starts[0]


def test_the_segmenter_is_named_with_its_version() -> None:
    assert segmenter_version() == f"jieba {jieba.__version__}"


def test_a_word_taught_to_the_callers_jieba_does_not_change_the_words() -> None:
    text = "蓝莓布丁配方"
    before = cut_words(text)
    assert text not in before
    jieba.add_word(text)
    try:
        assert cut_words(text) == before
    finally:
        jieba.del_word(text)
