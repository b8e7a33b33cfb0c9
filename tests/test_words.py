"""Words are jieba's, with or without its compiled twin, and they cover the text character by character."""

import gzip
import itertools
import math
import pickle
import sys
from pathlib import Path

import jieba
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jieba import re_han_default

from chinesebert.errors import InputError
from chinesebert.words import Segmenter, UserWords

SEGMENTER = Segmenter()
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
    assert "".join(SEGMENTER.cut(text)) == text


def test_words_start_where_jieba_cuts_the_sample_text(sample_paragraphs: list[str]) -> None:
    for text in sample_paragraphs[:200]:
        assert SEGMENTER.word_starts(text).nonzero()[0].tolist() == starts_of(jieba.lcut(text, HMM=True)), text


def test_words_outside_the_dictionary_are_found() -> None:
    assert SEGMENTER.cut("他来到了网易杭研大厦") == ["他", "来到", "了", "网易", "杭研", "大厦"]  # 杭研: by jieba's HMM


def test_a_latin_word_and_a_number_are_one_word_each() -> None:
    assert SEGMENTER.word_starts("用Python跑3.5次").nonzero()[0].tolist() == [0, 1, 7, 8, 11]


def test_a_character_outside_the_bmp_takes_one_place() -> None:
    starts = SEGMENTER.word_starts("😀𠮷好")
    assert starts.shape == (3,)
    assert starts.tolist() == [True, True, True]


def test_an_empty_text_has_no_words() -> None:
    assert SEGMENTER.word_starts("").shape == (0,)


@pytest.mark.parametrize("text", [" ", "   ", "\u3000\u3000", "\t \n"])
def test_a_text_of_spaces_still_starts_with_a_word(text: str) -> None:
    starts = SEGMENTER.word_starts(text)
    assert len(starts) == len(text)
    assert starts[0]


def test_the_segmenter_is_named_with_its_version() -> None:
    assert SEGMENTER.version == f"jieba {jieba.__version__}"


def test_a_word_taught_to_the_callers_jieba_does_not_change_the_words() -> None:
    text = "蓝莓布丁配方"
    before = SEGMENTER.cut(text)
    assert text not in before
    jieba.add_word(text)
    try:
        assert SEGMENTER.cut(text) == before
    finally:
        jieba.del_word(text)


# ------------------------------------------------------------------------------------------------------ equal to jieba

HAN_PIECES = [
    *["我爱北京天安门", "南京市长江大桥", "他来到了网易杭研大厦", "研究生命起源", "卡拉OK", "T恤", "阿Q正传", "B超"],
    *["龘靐", "〇", "㐀", "豈", "𠮷野家", "重庆", "的", "一", "了"],
]
OTHER_PIECES = [
    *["Python3.5", "C++", "C#", "AT&T", "key-value", "4.6.2", "3.14%", "100%", "50.", ".5", "a.b.c", "x_y", "2026年"],
    *["https://a.b/c?d=1&e=2", "user@example.com", "IPv6", "5G", "ＡＢ", "２０２６", "é", "か", "Ω", "Ⅷ"],
    *["#", "&", "+", "-", ".", "_", "%", "--", "..", "%%", "+-", "&#", "a+", "-1", "1-"],
    *[
        " ",
        "  ",
        "\u3000",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\n\r",
        "\r\r\n",
        "\x85",
        "\u2028",
        "\0",
        "，",
        "。",
        "“",
        "😀",
        "👨‍👩‍👧",
    ],
]
MIXTURES = st.lists(
    st.sampled_from(HAN_PIECES)
    | st.sampled_from(OTHER_PIECES)
    | st.text("abcZ019+#&._%-", max_size=6)
    | st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=3)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=2),
    max_size=8,
).map("".join)


def is_ambiguous(segmenter: jieba.Tokenizer, text: str) -> bool:
    """Whether two ways to cut are equally likely (一一|一, 一|一一): which one wins is then a matter of rounding."""
    for block in re_han_default.split(text):
        ends = segmenter.get_DAG(block)
        route: dict[int, tuple[float, int]] = {}
        segmenter.calc(block, ends, route)
        for start, places in ends.items():
            words = [(block[start : end + 1], end + 1) for end in places]
            scores = sorted(math.log(segmenter.FREQ.get(word) or 1) + route[end][0] for word, end in words)
            if len(scores) > 1 and scores[-1] - scores[-2] < 1e-6:
                return True
    return False


@settings(max_examples=1000)
@given(MIXTURES)
@example("网易杭研C++大厦3.5%")
@example("T恤-shirt_1.2.3%%")
@example("\r\n\r\n好\r\n")
def test_any_mixture_is_cut_as_jieba_cuts_it(text: str) -> None:
    assume(not is_ambiguous(jieba.dt, text))
    assert SEGMENTER.cut(text) == jieba.lcut(text, HMM=True)


def test_a_corpus_is_cut_as_jieba_cuts_it(shared: Path) -> None:
    with gzip.open(shared / "data" / "corpus" / "small.txt.gz") as file:
        text = file.read(600_000).decode("utf-8", errors="ignore")
    differing = [line for line in text.split("\n") if SEGMENTER.cut(line) != jieba.lcut(line, HMM=True)]
    assert differing == []


@pytest.mark.slow
@settings(max_examples=20_000)
@given(MIXTURES)
def test_very_many_mixtures_are_cut_as_jieba_cuts_them(text: str) -> None:
    assume(not is_ambiguous(jieba.dt, text))
    assert SEGMENTER.cut(text) == jieba.lcut(text, HMM=True)


# ----------------------------------------------------------------------------------------------------- without the twin


@pytest.fixture
def without_rjieba(monkeypatch: pytest.MonkeyPatch) -> None:
    """rjieba is not installed."""
    monkeypatch.setitem(sys.modules, "rjieba", None)


def test_without_its_twin_jieba_itself_cuts(without_rjieba: None, sample_paragraphs: list[str]) -> None:
    segmenter = Segmenter()
    assert segmenter._twin is None
    for text in sample_paragraphs[:30]:
        assert segmenter.cut(text) == SEGMENTER.cut(text)


def test_without_its_twin_user_words_are_found(without_rjieba: None) -> None:
    words = UserWords.of([("蓝莓布丁配方", None)])
    assert Segmenter(words).cut("蓝莓布丁配方好") == ["蓝莓布丁配方", "好"]


def test_the_version_does_not_tell_the_twins_apart(without_rjieba: None) -> None:
    assert Segmenter().version == SEGMENTER.version  # they cut alike, so corpora of both belong together


# ---------------------------------------------------------------------------------------------------------- user words


def jieba_with(lines: str, folder: Path) -> jieba.Tokenizer:
    """jieba, told the words in its own way."""
    path = folder / "jieba.txt"
    path.write_text(lines, encoding="utf-8")
    segmenter = jieba.Tokenizer()
    segmenter.load_userdict(str(path))
    return segmenter


def segmenter_with(lines: str, folder: Path) -> Segmenter:
    """Ours, from a file of the same lines."""
    path = folder / "words.txt"
    path.write_text(lines, encoding="utf-8")
    return Segmenter(UserWords.load(path))


def test_a_user_word_is_a_word_wherever_it_stands(tmp_path: Path) -> None:
    segmenter = segmenter_with("蓝莓布丁配方\n", tmp_path)
    assert segmenter.cut("一份蓝莓布丁配方。") == ["一份", "蓝莓布丁配方", "。"]


def test_a_low_frequency_keeps_a_word_from_winning(tmp_path: Path) -> None:
    assert segmenter_with("江大桥 1 n\n", tmp_path).cut("南京市长江大桥") == SEGMENTER.cut("南京市长江大桥")


def test_a_high_frequency_makes_a_word_win(tmp_path: Path) -> None:
    assert "江大桥" in segmenter_with("江大桥 99999999 nr\n市长 99999999\n", tmp_path).cut("南京市长江大桥")


@pytest.mark.parametrize(
    "lines",
    [
        "蓝莓布丁配方",
        "云计算 5\n李小福 2 nr\n创新办 3 i\neasy_install 3 eng\n好用 300\n韩玉赏鉴 3 nz\n八一双鹿 3 nz\n台中\n凱特琳",
        "的 1\n我 99999999",
        "C++编程\nT恤衫 10\nkey-value\n4.6.2 100\nx&y\n50%",
        "重庆\n重庆\n重庆 7",
        "  银行行长  \n\n\n长江大 nz\n",
        "北京天安 100000\n安门 100000\n",
    ],
    ids=["one", "example of jieba", "known", "Latin", "repeated", "blank", "against the dictionary"],
)
def test_user_words_are_those_of_jiebas_own_dictionary_file(
    lines: str, tmp_path: Path, sample_paragraphs: list[str]
) -> None:
    ours, theirs = segmenter_with(lines, tmp_path), jieba_with(lines.replace("  ", ""), tmp_path)
    texts = ["".join(pieces) for pieces in itertools.permutations(lines.replace("\n", " ").split()[:4])]
    for text in [*texts, "我爱北京天安门，用C++编程，穿T恤衫，key-value和4.6.2的50%，x&y。", *sample_paragraphs[:20]]:
        assert ours.cut(text) == theirs.lcut(text, HMM=True), text


WORDS = st.lists(
    st.tuples(
        st.sampled_from(["江大桥", "市长", "蓝莓布丁", "研究生", "T恤衫", "C++", "key-value", "4.6", "的了", "龘龘"])
        | st.text("重庆银行长江大桥aB1+-.", min_size=1, max_size=4),
        st.none() | st.integers(1, 200_000),
    ),
    min_size=1,
    max_size=8,
)
TEXTS = st.lists(MIXTURES | st.text("重庆银行长江大桥aB1+-.", max_size=12), min_size=10, max_size=60)


@settings(max_examples=3)  # jieba takes a second to load its dictionary
@given(words=WORDS, texts=TEXTS)
def test_any_user_words_give_the_words_of_jieba(words: list[tuple[str, int | None]], texts: list[str]) -> None:
    check_user_words(words, texts)


def check_user_words(words: list[tuple[str, int | None]], texts: list[str]) -> None:
    """Ours and jieba cut the same words where there is one best way."""
    theirs = jieba.Tokenizer()
    theirs.initialize()
    for word, frequency in words:
        theirs.add_word(word, frequency)
    ours = Segmenter(UserWords.of(words))
    for text in [*texts, *(word for word, _ in words)]:
        if is_ambiguous(theirs, text):
            continue
        assert ours.cut(text) == theirs.lcut(text, HMM=True), text


@pytest.mark.slow
@settings(max_examples=40)
@given(words=WORDS, texts=TEXTS)
def test_very_many_user_words_give_the_words_of_jieba(words: list[tuple[str, int | None]], texts: list[str]) -> None:
    check_user_words(words, texts)


def test_user_words_are_counted_in_the_version(tmp_path: Path) -> None:
    assert segmenter_with("蓝莓布丁\n", tmp_path).version == f"jieba {jieba.__version__} with 1 user word"
    assert segmenter_with("蓝莓布丁\n江大桥 1\n", tmp_path).version.endswith(" with 2 user words")


def test_a_segmenter_with_user_words_can_be_pickled(tmp_path: Path) -> None:
    segmenter = segmenter_with("蓝莓布丁配方\n", tmp_path)
    assert pickle.loads(pickle.dumps(segmenter)).cut("蓝莓布丁配方") == segmenter.cut("蓝莓布丁配方")


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path) -> None:
    assert [word for word, _ in segmenter_with("\ufeff蓝莓布丁\n", tmp_path)._user_words.frequencies] == ["蓝莓布丁"]


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    assert UserWords.load(write(tmp_path, "蓝莓布丁 3 n\r\n".encode())).frequencies == (("蓝莓布丁", 3),)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "words.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("蓝莓\n蓝莓，布丁\n".encode(), ":2: jieba cuts at '，', so it would never find '蓝莓，布丁'"),
        ("Edu Trust认证 2000\n".encode(), ":1: jieba cuts at ' '"),
        ("蓝莓 0\n".encode(), ":1: the frequency of '蓝莓' is 0; give at least 1, or none"),
        (b"\n \n", ": holds no words; write one a line"),
        ("蓝莓".encode("gbk"), ": cannot read the words"),
        ("𠮷野家\n".encode(), ":1: jieba cuts at '𠮷'"),
    ],
    ids=["comma", "space", "frequency", "empty", "encoding", "rare"],
)
def test_a_file_of_words_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError) as error:
        UserWords.load(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_a_missing_file_of_words_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none'}: cannot read the words"):
        UserWords.load(tmp_path / "none")
