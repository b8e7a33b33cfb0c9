"""Texts are cut into phrases as pypinyin cuts them, old or new, with and without the library that makes it fast."""

import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chinesebert import phrases
from chinesebert.phrases import LongestBeginnings, LongestPhrases, Match

# Few characters, so that phrases overlap and begin alike; two of them are not Han.
CHARACTERS = "一二三x，"
Find = Callable[[str], list[Match]]


def cut(finder: LongestPhrases | LongestBeginnings, known: list[str], text: str) -> list[str]:
    """The phrases of a text."""
    found = finder.find(text)
    assert all(text[start:end] == known[number] for number, start, end in found)
    return [known[number] for number, _, _ in found]


# ------------------------------------------------------------------------------------------------- without the library


@pytest.mark.parametrize("make", [phrases._all_matches, phrases._longest_matches, lambda p: LongestPhrases(p).find])
@given(
    known=st.lists(st.text("一二三", min_size=1, max_size=5), min_size=1, max_size=8, unique=True),
    text=st.text(CHARACTERS, max_size=20),
)
@example(known=["一二三", "二三"], text="一二三，一二")
@example(known=["一二三一", "二三"], text="一二三")
def test_plain_python_finds_what_the_automaton_finds(
    make: Callable[[list[str]], Find], known: list[str], text: str
) -> None:
    with_automaton = make(known)(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrases, "_automaton", lambda *_, **__: None)
        without = make(known)(text)
    assert sorted(without) == sorted(with_automaton)


def test_a_missing_library_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)  # makes its import fail
    known = ["银行", "行长"]
    assert cut(LongestPhrases(known), known, "银行行长") == known


# -------------------------------------------------------------------------------------------------- longest beginnings

BANKS = ["银行", "银行行业", "行长", "长线", "放长线钓大鱼"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("银行", ["银行"]),
        ("银行的", ["银行"]),
        ("银行行业", ["银行行业"]),
        # 银行行 begins a phrase, and is none: 银 is read alone, and so is 行, which begins 行长 but not 行行.
        ("银行行长", ["行长"]),
        ("长线", ["长线"]),
        ("放长线吧", ["长线"]),
        # At the end of the run all that could have become a phrase is given up at once.
        ("放长线", []),
        ("放长线，", []),
        ("放长线 银行", ["银行"]),
        ("的银行x行长", ["银行", "行长"]),
        ("", []),
    ],
)
def test_the_longest_beginning_is_taken_if_it_is_a_phrase(text: str, expected: list[str]) -> None:
    assert cut(LongestBeginnings(BANKS), BANKS, text) == expected


@pytest.mark.parametrize(("text", "expected"), [("银行行长", ["银行", "行长"]), ("放长线吧", ["长线"]), ("放长线", [])])
def test_new_versions_take_the_longest_phrase(text: str, expected: list[str]) -> None:
    assert cut(LongestPhrases(BANKS), BANKS, text) == expected


@given(
    known=st.lists(st.text("一二三", min_size=1, max_size=4), min_size=1, max_size=8, unique=True),
    text=st.text(CHARACTERS, max_size=20),
)
def test_found_phrases_are_in_order_and_apart(known: list[str], text: str) -> None:
    for finder in (LongestBeginnings(known), LongestPhrases(known)):
        found = finder.find(text)
        ends = [0, *(end for _, _, end in found)]
        assert all(start >= end for (_, start, _), end in zip(found, ends, strict=False))
        assert all(known[number] == text[start:end] for number, start, end in found)
