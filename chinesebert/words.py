"""Word boundaries: where jieba's words begin in a text, character by character.

The words are those of jieba's accurate mode with its HMM for unknown words, found by its compiled twin rjieba
(jieba-rs). The two cut Chinese alike wherever one way to cut is likelier than all others. Where several are equally
likely, as with pieces that stand three times or more in a row (江江江江江), rounding decides, and now and then
differently in each. Latin words and numbers (``key-value``, ``4.6.2``) they cut differently: jieba's own rule for
these is applied afterwards. Where rjieba is not installed, jieba does it all, at an eighth of the speed.
"""

import functools
import itertools
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.errors import InputError

# The characters that jieba looks up in its dictionary (re_han_default of jieba 0.42.1); it cuts around all others.
_DICTIONARY_SIGNS = r"a-zA-Z0-9+#&._%\-"
_OUTSIDE_DICTIONARY = re.compile(rf"[^\u4E00-\u9FD5{_DICTIONARY_SIGNS}]")
# How jieba cuts what its dictionary does not know and is not Han (re_skip of jieba.finalseg).
_LATIN_OR_NUMBER = re.compile(r"([a-zA-Z0-9]+(?:\.\d+)?%?)")
_ASCII_RUN = re.compile(rf"[{_DICTIONARY_SIGNS}]{{2,}}")
# jieba's total of frequencies grows by the whole frequency of a word that it knew already, the twin's by the
# difference. What is missing is given to a word that cannot occur: private-use characters are outside the dictionary's.
_BALANCE = "\ue000\ue001"
_USER_WORD = re.compile(r"^(.+?)(?: ([0-9]+))?(?: [a-z]+)?$")  # re_userdict of jieba


@dataclass(frozen=True)
class UserWords:
    """Words of a user dictionary, with the frequencies and the total that jieba gives them.

    Attributes:
        frequencies: word -> frequency, as a sorted tuple of pairs.
        balance: what the twin's total of frequencies lacks.
    """

    frequencies: tuple[tuple[str, int], ...] = ()
    balance: int = 0

    @classmethod
    def load(cls, path: str | os.PathLike[str], skipped: list[str] | None = None) -> "UserWords":
        """Reads a jieba user dictionary: ``word [frequency] [tag]`` a line; without a frequency jieba chooses one.

        Args:
            path: the file.
            skipped: gets what is wrong with each line that cannot be used; without it, the first one is an error.

        Raises:
            InputError: the file cannot be read, or holds no word that jieba could find.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot read the words ({error}); give a UTF-8 file, a word a line") from error
        words = []
        for number, line in enumerate(lines, 1):
            try:
                words += [_user_word(path, number, line.strip())] if line.strip() else []
            except InputError as error:
                if skipped is None:
                    raise
                skipped.append(str(error))
        if not words:
            raise InputError(skipped[0] if skipped else f"{path}: holds no words; write one a line")
        return cls.of(words)

    @classmethod
    def of(cls, words: Sequence[tuple[str, int | None]]) -> "UserWords":
        """Words with their frequencies; None lets jieba choose one that makes the word win."""
        jieba = _new_jieba()
        known = {word: jieba.FREQ.get(word, 0) for word, _ in words}
        total = jieba.total
        for word, frequency in words:
            jieba.add_word(word, frequency)
        frequencies = {word: jieba.FREQ[word] for word in known}
        grown = sum(frequencies[word] - known[word] for word in known)
        return cls(tuple(sorted(frequencies.items())), jieba.total - total - grown)


def _user_word(path: str | os.PathLike[str], number: int, line: str) -> tuple[str, int | None]:
    match = _USER_WORD.match(line)
    assert match is not None  # any line matches as a word
    word, frequency = match.groups()
    outside = _OUTSIDE_DICTIONARY.search(word)
    if outside:
        raise InputError(
            f"{path}:{number}: jieba cuts at {outside.group()!r}, so it would never find {word!r}; a line is "
            "'word [frequency] [tag]', the word of Han characters U+4E00-9FD5, letters, digits and + # & . _ % -"
        )
    if frequency is not None and int(frequency) < 1:
        raise InputError(f"{path}:{number}: the frequency of {word!r} is {frequency}; give at least 1, or none")
    return word, int(frequency) if frequency else None


class Segmenter:
    """Cuts texts into jieba's words.

    Args:
        user_words: of a domain, on top of jieba's dictionary.
    """

    def __init__(self, user_words: UserWords | None = None) -> None:
        self._user_words = user_words or UserWords()

    def __reduce__(self) -> tuple[Any, ...]:
        return Segmenter, (self._user_words,)  # the compiled dictionary cannot be pickled

    @property
    def version(self) -> str:
        """For the manifest of a corpus: e.g. ``"jieba 0.42.1"``; user words add their number."""
        import jieba

        words = len(self._user_words.frequencies)
        return f"jieba {jieba.__version__}" + (f" with {words} user word{'s' if words > 1 else ''}" if words else "")

    def cut(self, text: str) -> list[str]:
        """The words of a text; joined they are the text again."""
        bounds = [*np.flatnonzero(self.word_starts(text)).tolist(), len(text)]
        return [text[start:end] for start, end in itertools.pairwise(bounds)]

    def word_starts(self, text: str) -> NDArray[np.bool_]:
        """Marks the first character of every word: bool ``[len(text)]``."""
        if self._twin is None:
            return _mark_starts(self._jieba.cut(text, HMM=True), len(text))
        plain = _OUTSIDE_DICTIONARY.sub("\n", text)
        starts = _mark_starts(self._twin.cut(plain, True), len(text))
        for match in _ASCII_RUN.finditer(plain):
            run, (begin, end) = match.group(), match.span()
            if not run.isalnum() or starts[begin + 1 : end].any():  # otherwise it is one word already
                self._cut_ascii(starts, run, begin, end)
        _mark_around(starts, text, plain)
        return starts

    def _cut_ascii(self, starts: NDArray[np.bool_], run: str, begin: int, end: int) -> None:
        """Cuts a run of Latin letters, digits and signs as jieba does, but for the words of its dictionary in it."""
        inner = np.flatnonzero(starts[begin + 1 : end]) + begin + 1
        bounds = [begin, *inner.tolist(), end]
        unknown = begin
        for first, last in itertools.pairwise(bounds):
            # Where a word goes on into the Han characters beside the run, it is one of the dictionary: T恤.
            inside = starts[first] and (last == len(starts) or last < end or starts[last])
            if not inside or (last - first > 1 and self._twin.has_word(run[first - begin : last - begin])):
                _cut_unknown(starts, run[unknown - begin : first - begin], unknown)
                unknown = last
        _cut_unknown(starts, run[unknown - begin :], unknown)

    @functools.cached_property
    def _twin(self) -> Any:
        try:
            import rjieba
        except ImportError:
            return None
        twin = rjieba.Jieba()
        for word, frequency in self._user_words.frequencies:
            twin.add_word(word, frequency, None)
        if self._user_words.balance:
            twin.add_word(_BALANCE, self._user_words.balance, None)
        return twin

    @functools.cached_property
    def _jieba(self) -> Any:
        jieba = _new_jieba()
        for word, frequency in self._user_words.frequencies:
            jieba.add_word(word, frequency)
        return jieba


def _new_jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)  # it announces the loading of its dictionary on stderr
    segmenter = jieba.Tokenizer()
    segmenter.initialize()
    return segmenter


def _mark_starts(words: Any, length: int) -> NDArray[np.bool_]:
    ends = np.cumsum(np.fromiter(map(len, words), dtype=np.int64))
    starts = np.zeros(length + 1, dtype=np.bool_)
    starts[0] = True
    starts[ends] = True
    return starts[:length]


def _cut_unknown(starts: NDArray[np.bool_], piece: str, begin: int) -> None:
    if len(piece) < 2:
        return
    starts[begin + 1 : begin + len(piece)] = False
    for word in _LATIN_OR_NUMBER.split(piece):
        if word:
            starts[begin] = True
            begin += len(word)


def _mark_around(starts: NDArray[np.bool_], text: str, plain: str) -> None:
    """A character outside jieba's dictionary is a word of its own, but for CR LF, which is one."""
    outside = np.frombuffer(plain.encode("utf-32-le"), dtype=np.uint32) == ord("\n")
    starts |= outside
    starts[1:] |= outside[:-1]
    line_end = text.find("\r\n")
    while line_end >= 0:
        starts[line_end + 1] = False
        line_end = text.find("\r\n", line_end + 2)
