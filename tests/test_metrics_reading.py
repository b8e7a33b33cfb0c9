"""EM and F1 of CMRC 2018: worked out by hand from the official script's definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.tasks.metrics.english_words import english_words
from chinesebert.tasks.metrics.reading import best_f1, exact_match, longest_common_run, reading_scores, units


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("光荣和ω-force", ["光", "荣", "和", "ωforce"]),
        ("《战国，无双》3", ["战", "国", "无", "双", "3"]),
        ("1,234.5人", ["1,234.5", "人"]),
        ("约5%，即3.5(三)", ["约", "5", "%", "即", "3.5", "(", "三", ")"]),
        ("Hong Kong岛", ["hong", "kong", "岛"]),
        ("等……", ["等", "……"]),  # an ellipsis is two characters, and the script compares one at a time
        ("㐀龦々", ["㐀龦々"]),  # outside of U+4E00–9FA5: "English"
        ("  A：B ", ["ab"]),  # the mark goes before words are cut
    ],
)
def test_characters_and_words_are_units(text: str, words: list[str]) -> None:
    assert units(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the u.s. navy", ["the", "u.s.", "navy"]),
        ("it's john's, isn't it?", ["it", "'s", "john", "'s", ",", "is", "n't", "it", "?"]),
        ("stop.", ["stop", "."]),
        ("one day. two days.", ["one", "day", ".", "two", "days", "."]),
        ("mr. smith", ["mr.", "smith"]),
        ('say "yes"', ["say", "``", "yes", "''"]),
        ("$3.88 & 1,000", ["$", "3.88", "&", "1,000"]),
        ("we cannot", ["we", "can", "not"]),
        ("a,b", ["a", ",", "b"]),
    ],
)
def test_english_is_cut_as_the_penn_treebank_is(text: str, words: list[str]) -> None:
    assert english_words(text) == words


def test_the_overlap_is_a_run_and_no_subsequence() -> None:
    # 光荣和力量 / 光荣力量: the longest run in both is 光荣 or 力量, two units, though four stand in both in order.
    assert longest_common_run(list("光荣和力量"), list("光荣力量")) == 2
    assert best_f1(["光荣和力量"], "光荣力量") == pytest.approx(2 * (2 / 4) * (2 / 5) / (2 / 4 + 2 / 5))


def test_words_of_a_common_run_are_whole() -> None:
    assert best_f1(["在1998年"], "1999年") == pytest.approx(2 * 1 / (3 + 2))  # 年 alone: 1998 and 1999 differ


def test_the_best_reference_counts() -> None:
    assert best_f1(["北京", "上海市", "上海"], "上海") == 1
    assert exact_match(["北京", "上海。"], "上海") == 1


@pytest.mark.parametrize(
    ("reference", "prediction", "equal"),
    [
        ("《红楼梦》", "红楼梦", 1),
        ("NBA", "nba ", 1),
        ("2-3", "23", 1),
        ("3.5", "35", 0),
        ("(甲)", "甲", 0),
        ("“甲”", "甲", 1),
        ("‘甲’", "甲", 0),  # of the single marks only the closing one is on the script's list
        ("甲 乙", "甲乙", 0),
    ],
)
def test_case_and_some_punctuation_do_not_matter(reference: str, prediction: str, equal: int) -> None:
    assert exact_match([reference], prediction) == equal


def test_a_prediction_without_anything_in_common_scores_nothing() -> None:
    assert best_f1(["甲"], "乙") == 0
    assert best_f1(["甲"], "") == 0
    assert best_f1(["，"], "，") == 0  # nothing is left of either
    assert exact_match(["，"], "。") == 1


def test_figures_are_means_over_the_questions() -> None:
    scores = reading_scores([["光荣"], ["北京市", "北京"], ["三国"]], ["光荣", "北京城", "无"])
    # F1: 1; with 北京 2·2/(2+3) = 0.8; 0. EM: 1, 0, 0.
    assert scores == pytest.approx({"em": 1 / 3, "f1": 1.8 / 3, "average": (1 / 3 + 0.6) / 2})


@given(st.text("甲乙丙ab，. 1", max_size=12), st.text("甲乙丙ab，. 1", max_size=12))
def test_scores_are_symmetric_shares(first: str, second: str) -> None:
    score = best_f1([first], second)
    assert score == best_f1([second], first)
    assert 0 <= score <= 1
    if units(first) and exact_match([first], second):
        assert score == 1
