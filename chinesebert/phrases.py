"""Cutting a text into the phrases of a dictionary, as pypinyin cuts it: from left to right, long phrases first.

What "long phrases first" means has changed with pypinyin's versions, and what a phrase does to the readings of its
characters with it; so there are two ways here, and a reading dictionary names the one it was made for.
"""

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .vocabulary import HAN

Match = tuple[int, int, int]  # number of the phrase, start, end
_HAN_CHARACTER = re.compile(f"[{HAN}]")
# What pypinyin 0.38 takes for a run of Han characters.
_HAN_RUN_0_38 = re.compile(
    "[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a703-\U0002b73f\U0002b740-\U0002b81d\U0002f80a-\U0002fa1f]+"
)


class LongestPhrases:
    """pypinyin from 0.55 on: where phrases begin, the longest of them is taken.

    One exception is kept: at the end of a run of Han characters, having read on in the hope of a phrase whose beginning
    is all that is left, pypinyin gives up on all of these characters at once, where elsewhere it gives up on the first
    alone. 长 in 放长线 is zhang3 to it, in 放长线吧 chang2.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self._longest = _longest_matches(phrases)
        tails = {
            phrase[:length] for phrase in phrases for length in range(3, len(phrase)) if self._longest(phrase[1:length])
        }
        self._tails = _all_matches(sorted(filter(self._begins_without_phrase, tails)))

    def _begins_without_phrase(self, beginning: str) -> bool:
        return all(start > 0 for _, start, _ in self._longest(beginning))

    def find(self, text: str) -> list[Match]:
        """The phrases of the text, in their order; none overlap."""
        matches = self._longest(text)
        for _, start, end in self._tails(text):
            if _is_given_up(text, start, end, matches):
                matches = [match for match in matches if not start <= match[1] < end]
        return matches


def _is_given_up(text: str, start: int, end: int, matches: list[Match]) -> bool:
    """Whether pypinyin arrives at ``start`` and finds but the beginning of a phrase up to the end of the run."""
    if _HAN_CHARACTER.match(text, end):
        return False
    place = bisect.bisect_left(matches, start, key=lambda match: match[1]) - 1  # the last phrase that began before
    return place < 0 or matches[place][2] <= start


class LongestBeginnings:
    """pypinyin before 0.55: the longest beginning of any phrase is read, and taken only if it is a phrase itself.

    So 银行 is a phrase in 银行的, but not in 银行行长, which begins as 银行行业 does; 银 is then read alone. Released
    checkpoints were trained on such readings.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self._numbers = {phrase: number for number, phrase in enumerate(phrases)}
        self._beginnings = {phrase[:end] for phrase in phrases for end in range(1, len(phrase) + 1)}

    def find(self, text: str) -> list[Match]:
        """The phrases of the text, in their order; none overlap."""
        return [match for run in _HAN_RUN_0_38.finditer(text) for match in self._find_in_run(text, *run.span())]

    def _find_in_run(self, text: str, start: int, end: int) -> Iterator[Match]:
        beginnings, numbers = self._beginnings, self._numbers
        while start < end:
            stop = start + 1
            while stop <= end and text[start:stop] in beginnings:
                stop += 1
            stop -= 1
            number = numbers.get(text[start:stop])
            if number is not None:
                yield number, start, stop
                start = stop
            elif stop == end:  # gives up on all that is left, as ``LongestPhrases`` does
                return
            else:
                start += 1


def _longest_matches(phrases: Sequence[str]) -> Callable[[str], list[Match]]:
    """What finds the phrases met from left to right, the longest that begins at a place first."""
    automaton = _automaton(phrases, leftmost_longest=True)
    if automaton is not None:
        return automaton.find_matches_as_indexes
    beginning_at = _beginning_at(phrases)

    def find(text: str) -> list[Match]:
        matches: list[Match] = []
        start = 0
        while start < len(text):
            found = list(beginning_at(text, start))
            matches += found[-1:]
            start = found[-1][2] if found else start + 1
        return matches

    return find


def _all_matches(phrases: Sequence[str]) -> Callable[[str], list[Match]]:
    """What finds all phrases of a text, overlapping ones too."""
    automaton = _automaton(phrases, leftmost_longest=False)
    if automaton is not None:
        return lambda text: automaton.find_matches_as_indexes(text, overlapping=True)
    beginning_at = _beginning_at(phrases)
    return lambda text: [match for start in range(len(text)) for match in beginning_at(text, start)]


def _automaton(phrases: Sequence[str], leftmost_longest: bool) -> Any:
    """An Aho-Corasick automaton; None where its library is missing, as it may be on machines that only use a model."""
    try:
        import ahocorasick_rs
    except ImportError:
        return None
    kinds = ahocorasick_rs.MatchKind
    kind = kinds.LeftmostLongest if leftmost_longest else kinds.Standard
    return ahocorasick_rs.AhoCorasick(list(phrases), matchkind=kind)


def _beginning_at(phrases: Sequence[str]) -> Callable[[str, int], Iterable[Match]]:
    """What finds the phrases that begin at a place, shortest first: the automaton's work at a fraction of its speed."""
    numbers = {phrase: number for number, phrase in enumerate(phrases)}
    beginnings = {phrase[:end] for phrase in phrases for end in range(1, len(phrase) + 1)}

    def find(text: str, start: int) -> Iterator[Match]:
        for end in range(start + 1, len(text) + 1):
            phrase = text[start:end]
            if phrase not in beginnings:
                return
            if phrase in numbers:
                yield numbers[phrase], start, end

    return find
