"""Pinyin: the reading of every character in its context, and the inventory of syllables.

A *syllable* is written as the released checkpoints write it: letters, ``v`` for ü, the tone as a digit at the end
(``zhong4``, ``lv4``); a neutral tone has no digit (``de``), or a 5 where a released checkpoint has one. A *syllable id*
is its place in the inventory, from 1; 0 means "no pinyin" (special tokens, anything that is not a Han character, masked
positions).

Which reading a character has is decided as pypinyin decides it: its phrase dictionary is matched against the text from
left to right, longest phrase first, and a character outside any phrase takes its most common reading. Here one
Aho-Corasick automaton does the matching, which gives pypinyin's first readings at a multiple of its speed
(``tests/test_pinyin.py`` compares the two).
"""

import difflib
import functools
import gzip
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_file
from .errors import InputError
from .phrases import LongestBeginnings, LongestPhrases
from .vocabulary import han_character

# The released 32-symbol alphabet: ten-less digits for tones, then letters. 0 pads and means "no pinyin".
PINYIN_ALPHABET = "012345abcdefghijklmnopqrstuvwxyz"
# Letters and tone of one syllable fill at most 8 places: the length that the released checkpoints use.
PINYIN_LENGTH = 8

# Unicode's combining macron, acute, caron and grave.
_TONE_MARKS = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}

READINGS_FILE = "readings.json"
_READINGS_FORMAT = 2
_GZIP = b"\x1f\x8b"
_SYLLABLE = re.compile(r"[a-z]{1,7}[1-5]?")
# How a text is cut into phrases; see ``phrases.py``.
SEGMENTATIONS: dict[str, type[LongestPhrases] | type[LongestBeginnings]] = {
    "longest phrases": LongestPhrases,
    "longest beginnings": LongestBeginnings,
}


def is_syllable(text: str) -> bool:
    """Whether this is how a syllable is written: letters, then a tone digit or none."""
    return _SYLLABLE.fullmatch(text) is not None


@dataclass(frozen=True)
class Readings:
    """A reading dictionary: characters and phrases with their syllables, and the inventory these make up.

    Attributes:
        characters: a Han character -> its most common syllable.
        phrases: a phrase of Han characters -> its syllables, one a character (``""`` = none).
        source: where the dictionary comes from, e.g. ``"pypinyin 0.55.0"``.
        segmentation: how a text is cut into phrases, a key of ``SEGMENTATIONS``.
        syllables: the inventory in alphabetical order; the id of ``syllables[i]`` is ``i + 1``.
    """

    characters: Mapping[str, str]
    phrases: Mapping[str, tuple[str, ...]]
    source: str
    segmentation: str = "longest phrases"
    syllables: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.segmentation not in SEGMENTATIONS:
            raise InputError(f"{self.source}: unknown segmentation {self.segmentation!r}; update this program")
        for phrase, syllables in self.phrases.items():
            if len(phrase) != len(syllables):
                raise InputError(f"{self.source}: {phrase} has {len(phrase)} characters but {len(syllables)} syllables")
        inventory = set(self.characters.values()).union(*self.phrases.values()) - {""}
        for syllable in inventory:
            if not _SYLLABLE.fullmatch(syllable):
                raise InputError(
                    f"{self.source}: {syllable!r} is not a syllable (letters, then a tone digit 1-5 or none)"
                )
        object.__setattr__(self, "syllables", tuple(sorted(inventory)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the automaton, which cannot be pickled.
        return Readings, (self.characters, self.phrases, self.source, self.segmentation)

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
    def _phrase_finder(self) -> LongestPhrases | LongestBeginnings:
        return SEGMENTATIONS[self.segmentation](list(self.phrases))

    def syllable_ids(self, text: str) -> list[int]:
        """The syllable id of every character of ``text`` in context: length ``len(text)``, 0 where there is none."""
        ids = list(map(self._character_ids.get, map(ord, text)))
        for phrase, start, end in self._phrase_finder.find(text):
            ids[start:end] = self._phrase_ids[phrase]
        return [number or 0 for number in ids]

    def character_syllable_id(self, character: str) -> int:
        """The id of the most common reading of one character, without any context; 0 where there is none."""
        return self._character_ids.get(ord(character), 0)

    def default_ids(self, tokens: Iterable[str]) -> NDArray[np.int16]:
        """For every token the id of its character's most common reading, 0 where it has none: int16 ``[V]``."""
        characters = map(han_character, tokens)
        return np.array([self.character_syllable_id(c) if c else 0 for c in characters], dtype=np.int16)

    def letter_ids(self) -> NDArray[np.uint8]:
        """How each syllable id is spelled: uint8 ``[S + 1, 8]`` over ``PINYIN_ALPHABET``; row 0 is all zeros."""
        table = np.zeros((len(self.syllables) + 1, PINYIN_LENGTH), dtype=np.uint8)
        for number, syllable in enumerate(self.syllables, start=1):
            table[number, : len(syllable)] = [PINYIN_ALPHABET.index(letter) for letter in syllable]
        return table

    def with_overrides(self, path: str | os.PathLike[str]) -> "Readings":
        """These readings with those of a file on top: a word a line, then a syllable for each of its characters.

        ``重庆 chong2 qing4``: tone as a digit, 5 or none for the neutral one, ``v`` for ü; ``#`` begins a comment. A
        longer phrase of the dictionary still goes first where both match.

        Raises:
            InputError: the file cannot be read, or a line of it; or it names a syllable that this dictionary never
                uses: ids of syllables would change, and it is a slip of the pen as a rule.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot read the readings ({error}); give a UTF-8 file, a word a line") from error
        content = ((number, line.split("#")[0].split()) for number, line in enumerate(lines, start=1))
        known = set(self.syllables)
        overrides = dict(_override(path, number, fields, known) for number, fields in content if fields)
        if not overrides:
            raise InputError(f"{path}: holds no readings; write lines such as: 重庆 chong2 qing4")
        characters = {word: syllables[0] for word, syllables in overrides.items() if len(word) == 1}
        phrases = {word: syllables for word, syllables in overrides.items() if len(word) > 1}
        digest = hashlib.sha256(repr(sorted(overrides.items())).encode()).hexdigest()[:12]
        source = f"{self.source} with {len(overrides)} override{'' if len(overrides) == 1 else 's'} ({digest})"
        return Readings({**self.characters, **characters}, {**self.phrases, **phrases}, source, self.segmentation)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the dictionary's content: equal for equal readings, wherever they were made."""
        return hashlib.sha256(self._to_json().encode()).hexdigest()

    def _to_json(self) -> str:
        content = {
            "format": _READINGS_FORMAT,
            "source": self.source,
            "segmentation": self.segmentation,
            "characters": dict(sorted(self.characters.items())),
            "phrases": {phrase: " ".join(s or "-" for s in self.phrases[phrase]) for phrase in sorted(self.phrases)},
        }
        return json.dumps(content, ensure_ascii=False, indent=0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the dictionary as JSON, compressed where the name ends in ``.gz``."""
        content = self._to_json().encode()
        with atomic_file(path) as unfinished:
            # Without a time stamp, so that equal dictionaries are equal files.
            unfinished.write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Readings":
        """Reads what ``save`` wrote. Raises ``InputError`` for a file that is missing or something else."""
        return _load_readings(str(Path(path).resolve()), os.stat(path).st_mtime_ns if os.path.exists(path) else 0)

    @classmethod
    def from_pypinyin(cls) -> "Readings":
        """The dictionary of the installed pypinyin: first reading of each character and phrase in TONE3 style."""
        return _pypinyin_readings()


def _override(
    path: str | os.PathLike[str], number: int, fields: list[str], known: set[str]
) -> tuple[str, tuple[str, ...]]:
    word, syllables = fields[0], tuple(_as_known(syllable, known) for syllable in fields[1:])
    if len(word) != len(syllables):
        raise InputError(
            f"{path}:{number}: {word!r} differs in its numbers of characters ({len(word)}) and of syllables "
            f"({len(syllables)}); write one for each, such as: 重庆 chong2 qing4"
        )
    for character in word:
        if not han_character(character):
            raise InputError(f"{path}:{number}: {character!r} is not a Han character; only these have readings")
    for syllable in syllables:
        if syllable not in known:
            with_digit = _with_tone_digit(syllable)
            close = [with_digit] if with_digit in known else difflib.get_close_matches(with_digit, known, n=3)
            remedy = f"did you mean {' or '.join(close)}?" if close else "write letters (v for ü) and a tone digit 1-4"
            raise InputError(f"{path}:{number}: {syllable!r} is no syllable of this reading dictionary; {remedy}")
    return word, syllables


def _as_known(syllable: str, known: set[str]) -> str:
    """``lü5`` as the dictionary writes it: ``lv``, or ``lv5`` where it marks the neutral tone."""
    syllable = syllable.lower().replace("ü", "v")
    return syllable if syllable in known else syllable.removesuffix("5")


def _with_tone_digit(syllable: str) -> str:
    """``háng`` as ``hang2``, ``lǜ`` as ``lv4``."""
    parts = unicodedata.normalize("NFD", syllable).replace("u\u0308", "v")  # letters, and marks of their own
    return "".join(part for part in parts if part not in _TONE_MARKS) + "".join(
        _TONE_MARKS.get(part, "") for part in parts
    )


@functools.lru_cache(maxsize=4)
def _load_readings(path: str, modified: int) -> Readings:
    try:
        content = json.loads(gzip.decompress(data) if (data := Path(path).read_bytes())[:2] == _GZIP else data)
        if content["format"] != _READINGS_FORMAT:
            raise InputError(f"format {content['format']}, this program reads {_READINGS_FORMAT}; update it")
        phrases = {
            phrase: tuple("" if syllable == "-" else syllable for syllable in syllables.split(" "))
            for phrase, syllables in content["phrases"].items()
        }
        return Readings(content["characters"], phrases, content["source"], content["segmentation"])
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
    try:
        import pypinyin
        from pypinyin.constants import PHRASES_DICT, PINYIN_DICT, RE_HANS
    except ImportError as error:
        raise InputError(
            f"there is no {READINGS_FILE} to read pinyin with, and pypinyin is not installed: pip install pypinyin"
        ) from error

    # A character outside pypinyin's idea of Han is passed through by it even where its table has a reading.
    characters = {
        chr(code): _first_syllable(readings.split(","))
        for code, readings in PINYIN_DICT.items()
        if RE_HANS.match(chr(code))
    }
    # pypinyin matches phrases within runs of Han characters, so one with another sign in it is never met.
    phrases = {
        phrase: tuple(map(_first_syllable, readings))
        for phrase, readings in PHRASES_DICT.items()
        if RE_HANS.match(phrase)
    }
    return Readings(
        {character: syllable for character, syllable in characters.items() if syllable},
        phrases,
        source=f"pypinyin {pypinyin.__version__}",
        segmentation="longest phrases" if _version(pypinyin.__version__) >= (0, 55) else "longest beginnings",
    )


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name)[:2])


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
