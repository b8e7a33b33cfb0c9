"""Pinyin: the reading of every character in its context, and the inventory of syllables.

A *syllable* is written as the released checkpoints write it: letters, ``v`` for ü, the tone as a digit at the end
(``zhong4``, ``lv4``); a neutral tone has no digit (``de``). A *syllable id* is its place in the inventory, from 1;
0 means "no pinyin" (special tokens, anything that is not a Han character, masked positions).

Which reading a character has is decided as pypinyin decides it: its phrase dictionary is matched against the text from
left to right, longest phrase first, and a character outside any phrase takes its most common reading. Here one
Aho-Corasick automaton does the matching, which gives pypinyin's first readings at a multiple of its speed
(``tests/test_pinyin.py`` compares the two).
"""

import bisect
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.vocabulary import HAN

# The released 32-symbol alphabet: ten-less digits for tones, then letters. 0 pads and means "no pinyin".
PINYIN_ALPHABET = "012345abcdefghijklmnopqrstuvwxyz"
# Letters and tone of one syllable fill at most 8 places: the length that the released checkpoints use.
PINYIN_LENGTH = 8

READINGS_FILE = "readings.json"
_READINGS_FORMAT = 1
_SYLLABLE = re.compile(r"[a-z]{1,7}[1-4]?")
_HAN_CHARACTER = re.compile(f"[{HAN}]")


@dataclass(frozen=True)
class Readings:
    """A reading dictionary: characters and phrases with their syllables, and the inventory these make up.

    Attributes:
        characters: a Han character -> its most common syllable.
        phrases: a phrase of Han characters -> its syllables, one a character (``""`` = none).
        source: where the dictionary comes from, e.g. ``"pypinyin 0.55.0"``.
        syllables: the inventory in alphabetical order; the id of ``syllables[i]`` is ``i + 1``.
    """

    characters: Mapping[str, str]
    phrases: Mapping[str, tuple[str, ...]]
    source: str
    syllables: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for phrase, syllables in self.phrases.items():
            if len(phrase) != len(syllables):
                raise InputError(f"{self.source}: {phrase} has {len(phrase)} characters but {len(syllables)} syllables")
        inventory = set(self.characters.values()).union(*self.phrases.values()) - {""}
        for syllable in inventory:
            if not _SYLLABLE.fullmatch(syllable):
                raise InputError(
                    f"{self.source}: {syllable!r} is not a syllable (letters, then a tone digit 1-4 or none)"
                )
        object.__setattr__(self, "syllables", tuple(sorted(inventory)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Readings, (self.characters, self.phrases, self.source)  # without the automaton, which cannot be pickled

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {"": 0} | {syllable: number for number, syllable in enumerate(self.syllables, start=1)}

    @functools.cached_property
    def _character_ids(self) -> dict[int, int]:
        return {ord(character): self._ids[syllable] for character, syllable in self.characters.items()}

    @functools.cached_property
    def _phrase_ids(self) -> list[list[int]]:
        return [[self._ids[syllable] for syllable in syllables] for syllables in self.phrases.values()]

    @functools.cached_property
    def _automaton(self) -> Any:
        import ahocorasick_rs

        return ahocorasick_rs.AhoCorasick(list(self.phrases), matchkind=ahocorasick_rs.MatchKind.LeftmostLongest)

    @functools.cached_property
    def _tails(self) -> Any:
        """An automaton of the beginnings of phrases that pypinyin reads character by character; see ``_reads_tail``."""
        import ahocorasick_rs

        tails = {
            phrase[:length]
            for phrase in self.phrases
            for length in range(3, len(phrase))
            if self._automaton.find_matches_as_indexes(phrase[1:length])
        }
        return ahocorasick_rs.AhoCorasick(sorted(filter(self._is_tail, tails)))

    def _is_tail(self, beginning: str) -> bool:
        """Whether no phrase begins where ``beginning`` does, so that nothing of it is read as a phrase at once."""
        return all(start > 0 for _, start, _ in self._automaton.find_matches_as_indexes(beginning))

    def syllable_ids(self, text: str) -> list[int]:
        """The syllable id of every character of ``text`` in context: length ``len(text)``, 0 where there is none."""
        singles = list(map(self._character_ids.get, map(ord, text)))
        ids = singles.copy()
        matches = self._automaton.find_matches_as_indexes(text)
        for phrase, start, end in matches:
            ids[start:end] = self._phrase_ids[phrase]
        for _, start, end in self._tails.find_matches_as_indexes(text, overlapping=True):
            if _reads_tail(text, start, end, matches):
                ids[start:end] = singles[start:end]
        return [number or 0 for number in ids]

    def character_syllable_id(self, character: str) -> int:
        """The id of the most common reading of one character, without any context; 0 where there is none."""
        return self._character_ids.get(ord(character), 0)

    def letter_ids(self) -> NDArray[np.uint8]:
        """How each syllable id is spelled: uint8 ``[S + 1, 8]`` over ``PINYIN_ALPHABET``; row 0 is all zeros."""
        table = np.zeros((len(self.syllables) + 1, PINYIN_LENGTH), dtype=np.uint8)
        for number, syllable in enumerate(self.syllables, start=1):
            table[number, : len(syllable)] = [PINYIN_ALPHABET.index(letter) for letter in syllable]
        return table

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the dictionary's content: equal for equal readings, wherever they were made."""
        return hashlib.sha256(self._to_json().encode()).hexdigest()

    def _to_json(self) -> str:
        content = {
            "format": _READINGS_FORMAT,
            "source": self.source,
            "characters": dict(sorted(self.characters.items())),
            "phrases": {phrase: " ".join(s or "-" for s in self.phrases[phrase]) for phrase in sorted(self.phrases)},
        }
        return json.dumps(content, ensure_ascii=False, indent=0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the dictionary as JSON."""
        with atomic_file(path) as unfinished:
            unfinished.write_text(self._to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Readings":
        """Reads what ``save`` wrote. Raises ``InputError`` for a file that is missing or something else."""
        return _load_readings(str(Path(path).resolve()), os.stat(path).st_mtime_ns if os.path.exists(path) else 0)

    @classmethod
    def from_pypinyin(cls) -> "Readings":
        """The dictionary of the installed pypinyin: first reading of each character and phrase in TONE3 style."""
        return _pypinyin_readings()


def _reads_tail(text: str, start: int, end: int, matches: list[tuple[int, int, int]]) -> bool:
    """Whether pypinyin reads ``text[start:end]``, the beginning of a phrase that does not come, without any phrases.

    It does at the end of a run of Han characters: having read on in the hope of the whole phrase, it gives up on all of
    these characters at once, where elsewhere it gives up on the first alone. 长 in 放长线 is zhang3 to it, in 放长线吧
    chang2. The readings of released checkpoints have this too.
    """
    if _HAN_CHARACTER.match(text, end):
        return False
    place = bisect.bisect_left(matches, start, key=lambda match: match[1]) - 1  # the last phrase that began before
    return place < 0 or matches[place][2] <= start


@functools.lru_cache(maxsize=4)
def _load_readings(path: str, modified: int) -> Readings:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != _READINGS_FORMAT:
            raise InputError(f"format {content['format']}, this program reads {_READINGS_FORMAT}; update it")
        phrases = {
            phrase: tuple("" if syllable == "-" else syllable for syllable in syllables.split(" "))
            for phrase, syllables in content["phrases"].items()
        }
        return Readings(content["characters"], phrases, content["source"])
    except OSError as error:
        raise InputError(f"{path}: cannot read the reading dictionary ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{path}: is not a reading dictionary ({error}); restore {READINGS_FILE} of this tokenizer"
        ) from error


@functools.lru_cache(maxsize=1)
def _pypinyin_readings() -> Readings:
    import pypinyin
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT, RE_HANS

    # A character outside pypinyin's idea of Han is passed through by it even where its table has a reading.
    characters = {
        chr(code): _first_syllable(readings.split(","))
        for code, readings in PINYIN_DICT.items()
        if RE_HANS.match(chr(code))
    }
    phrases = {phrase: tuple(map(_first_syllable, readings)) for phrase, readings in PHRASES_DICT.items()}
    return Readings(
        {character: syllable for character, syllable in characters.items() if syllable},
        phrases,
        source=f"pypinyin {pypinyin.__version__}",
    )


def _first_syllable(readings: Iterable[str]) -> str:
    """The first reading (with a tone mark over a vowel) that is not empty, in TONE3 style; "" where there is none."""
    first = next((reading for reading in readings if reading), "")
    syllable = _to_tone3(first)
    return syllable if _SYLLABLE.fullmatch(syllable) else ""


@functools.lru_cache(maxsize=4096)
def _to_tone3(reading: str) -> str:
    from pypinyin import Style
    from pypinyin.style import convert

    return convert(reading, Style.TONE3, strict=True, default=reading).replace("ü", "v")
