"""Wrong decoding is undone where it can be, and dropped where not; nothing else is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cleaning.encoding import Encoding
from data_prep.cleaning.step import Dropped

SENTENCE = "中国人民的“生活”，越来越好……2021年的秋天，我们都知道这是一个很长的句子，其中有很多的字。"


def outcome(text: str) -> str | Dropped:
    return Encoding().outcome(text)


def reason(text: str) -> str:
    dropped = outcome(text)
    assert isinstance(dropped, Dropped), dropped
    return dropped.reason


@pytest.mark.parametrize(
    "text",
    [
        "ＡＢＣ，１２３！？：；（）",
        "“他说：‘好’”……——·",
        "豈更車賈滑串句",  # compatibility ideographs
        "①②③ ㎡ ﬁ ½ № Ⅳ",
        "姓名　年龄　住址",
        "café、naïve、Ångström 和 Dvořák",
        "𠮷野家的“𠮷”字",
        "程序员所说的“锟斤拷”和“烫烫烫”都是转换编码时出的错，锘是一种化学元素的名字，这些字在文章里出现一两次并不要紧。",
    ],
)
def test_good_characters_stay_as_they_are(text: str) -> None:
    assert outcome(text) == text.strip()


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=5))
def test_any_han_text_with_punctuation_survives(text: str) -> None:
    rare = set("锛紝鐨殑銆鈥锘锟斤拷烫屯")
    if not rare & set(text):
        assert outcome(f"“{text}”，。") == f"“{text}”，。"


@pytest.mark.parametrize("wrong", ["latin-1", "sloppy-windows-1252"])
def test_utf_8_read_as_latin_is_repaired(wrong: str) -> None:
    import ftfy.bad_codecs  # noqa: F401  registers the codec

    assert outcome(SENTENCE.encode().decode(wrong)) == SENTENCE


def test_utf_8_read_as_latin_is_repaired_in_one_line_among_good_ones() -> None:
    import ftfy.bad_codecs  # noqa: F401

    broken = SENTENCE.encode().decode("sloppy-windows-1252")
    assert outcome(f"{SENTENCE}\n{broken}\n{SENTENCE}") == f"{SENTENCE}\n{SENTENCE}\n{SENTENCE}"


def test_gbk_read_as_latin_is_repaired_where_nothing_is_lost() -> None:
    assert outcome(SENTENCE.encode("gbk").decode("latin-1")) == SENTENCE


def test_gbk_read_as_latin_is_dropped_where_characters_are_lost() -> None:
    damaged = SENTENCE.encode("gbk").decode("latin-1").replace("Ö", "?").replace("\xad", "")
    assert reason(damaged) == "read as Latin-1"


def test_short_stretch_of_gbk_is_not_turned_into_other_letters() -> None:
    text = f"{SENTENCE}文件名是 ÖÐ¹ú.txt。"
    assert outcome(text) == text


def test_utf_8_read_as_gbk_is_dropped() -> None:
    assert reason(SENTENCE.encode().decode("gbk", "replace")) == "UTF-8 read as GBK"


def test_utf_8_read_as_gbk_is_repaired_where_nothing_is_lost() -> None:
    text = "\n".join(["他说好，我说不好"] * 3)
    assert outcome(text.encode().decode("gb18030")) == text


def test_lost_characters_read_as_gbk_are_dropped() -> None:
    assert reason("锟斤拷锟斤拷天锟斤拷锟斤拷，锟斤拷锟斤拷锟斤拷。") == "lost in decoding (锟斤拷)"


def test_memory_filled_by_a_debugger_is_dropped() -> None:
    assert reason("结果是烫烫烫烫烫烫烫烫烫烫烫烫烫烫烫") == "lost in decoding (锟斤拷)"


def test_text_full_of_replacement_characters_is_dropped() -> None:
    assert reason("他说\ufffd\ufffd\ufffd天\ufffd\ufffd去\ufffd\ufffd\ufffd。") == "unreadable characters"


def test_few_unreadable_characters_are_taken_out() -> None:
    assert outcome(f"\ue601{SENTENCE}\ud800") == SENTENCE


def test_invisible_characters_are_taken_out() -> None:
    assert (
        outcome("\ufeff零\u200b宽\u200d字\u2060符\x00和\xad软\u202e连字符\U000e0101、\ufe0f。")
        == "零宽字符和软连字符、。"
    )


def test_line_separators_become_paragraphs_and_odd_spaces_plain_ones() -> None:
    assert outcome("第一\u2028第二\r\n第三\x85第四\xa0四\t四") == "第一\n第二\n第三\n第四 四 四"


def test_share_decides() -> None:
    text = SENTENCE + "\ufffd" * 5
    assert isinstance(Encoding(max_unreadable_share=0.01).outcome(text), Dropped)
    assert Encoding(max_unreadable_share=0.5).outcome(text) == SENTENCE
