"""Drops advertising for gambling, sex, fraud and forged papers: texts that are full of its vocabulary."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

from chinesebert.errors import InputError
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Count, OptionalFile, Share

SHIPPED_WORDS = Path(__file__).with_name("bad_words.txt")


class BadWords(CleaningStep):
    """Removes lines that are full of the words of a list, and drops a text in which they are many and a large part.

    Sites are broken into, and a line of such words is written above the text. A report, a statute or a novel may have
    some of them.

    Args:
        max_bad_word_share: of all characters, in words of the list.
        max_bad_word_share_of_line: of the characters of a line, so; with more, the line is removed.
        min_different_words: with fewer different words of the list, the text, or line, is kept.
        max_removed_share: of all characters, in lines that were removed.
        words_file: a list of words, one a line, ``#`` begins a comment; instead of the one that comes with the step.

    Raises:
        InputError: the list cannot be read or is empty.
    """

    name = "bad_words"

    def __init__(
        self,
        *,
        max_bad_word_share: Share = 0.08,
        max_bad_word_share_of_line: Share = 0.2,
        min_different_words: Count = 4,
        max_removed_share: Share = 0.5,
        words_file: OptionalFile = None,
    ) -> None:
        super().__init__()
        self.max_bad_word_share = max_bad_word_share
        self.max_bad_word_share_of_line = max_bad_word_share_of_line
        self.min_different_words = min_different_words
        self.max_removed_share = max_removed_share
        self.words_file = words_file
        self.words = read_words(words_file or SHIPPED_WORDS)

    def clean(self, text: str) -> str | Dropped:
        """``text`` without such lines, or ``bad words``."""
        if not self._is_full_of_words(text, 0.0):
            return text
        lines = text.split("\n")
        kept = "\n".join(line for line in lines if not self._is_full_of_words(line, self.max_bad_word_share_of_line))
        removed = len(text) - len(kept)
        if removed > self.max_removed_share * len(text) or self._is_full_of_words(kept, self.max_bad_word_share):
            return Dropped("bad words", ", ".join(sorted(set(self._found(text)))[:5]))
        return kept if removed else text

    def _is_full_of_words(self, text: str, share: float) -> bool:
        found = self._found(text)
        return len(set(found)) >= max(self.min_different_words, 1) and sum(map(len, found)) > share * len(text)

    def _found(self, text: str) -> list[str]:
        matches = _automaton(self.words).find_matches_as_indexes(text.lower())
        return [self.words[number] for number, _, _ in matches]

    def settings(self) -> dict[str, Any]:
        """The list counts by what is in it, not by where it is."""
        digest = hashlib.sha256("\n".join(self.words).encode()).hexdigest()
        return {**super().settings(), "words_file": f"sha256:{digest}"}


def read_words(path: str | Path) -> tuple[str, ...]:
    """The words of a list, sorted, each once, in lower case.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or holds no word.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot read the list of words ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the list of words is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    words = {line.split("#")[0].strip().lower() for line in lines} - {""}
    if not words:
        raise InputError(f"{path}: no words in it; write one a line, or leave out words_file")
    return tuple(sorted(words))


@lru_cache  # not an attribute of the step: an automaton cannot be sent to another process
def _automaton(words: tuple[str, ...]) -> AhoCorasick:
    return AhoCorasick(words, matchkind=MatchKind.LeftmostLongest)
