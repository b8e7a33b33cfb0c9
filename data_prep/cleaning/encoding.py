"""Repairs text that was decoded wrongly where that can be undone, and drops it where it cannot."""

import re
from collections.abc import Callable

from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Share

# Lost or without a meaning outside the font they were made for: U+FFFD, private use, halves of surrogate pairs,
# code points that are no characters.
_UNREADABLE = "\ufffd\ue000-\uf8ff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff"
# Control characters, zero-width and directional marks, byte order marks, variation selectors, tags.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_SPACES = "\t\xa0\u1680\u2000-\u200a\u202f\u205f"  # not U+3000, the full-width space: Chinese typography uses it
_LINE_ENDS = "\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"

_ODD = re.compile(f"[{_UNREADABLE}{_INVISIBLE}{_SPACES}{_LINE_ENDS}]")
_UNREADABLE_CHARACTER = re.compile(f"[{_UNREADABLE}]")
_LINE_END = re.compile(f"\r\n|[{_LINE_ENDS}]")
_SPACE = re.compile(f"[{_SPACES}]")
_TO_REMOVE = re.compile(f"[{_UNREADABLE}{_INVISIBLE}]")

# The first byte of a character in UTF-8 and one of the bytes after it, as Windows-1252 or Latin-1 shows them.
_UTF8_AS_LATIN = re.compile(
    "[\xc2-\xf4][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201a\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)
_NEITHER_ASCII_NOR_CHINESE = re.compile("[^\x00-\x7f\u2010-\u2027\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]")

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
# A mended line may hold so many different emoji, letters with accents … for each Han character.
_MOST_OTHERS = 0.25

# ， 的 。 “ are EF BC 8C, E7 9A 84, E3 80 82, E2 80 9C in UTF-8, a byte order mark is EF BB BF: read as GBK, two of
# their bytes make these characters, which hardly occur otherwise.
_UTF8_AS_GBK = ("锛", "紝", "鐨", "殑", "銆", "鈥", "锘")
_LATIN_SUPPLEMENT = re.compile("[\x80-\xff]")
# Fewer signs of damage (and as many unreadable characters) are no reason to drop a text, however short it is.
_FEW = 2
# Two U+FFFD in UTF-8, and memory that a Windows debugger has filled with 0xCC or 0xCD, all read as GBK.
_LOST = ("锟斤拷", "烫烫烫烫", "屯屯屯屯")
# The characters of GB 2312's first level, the 3,755 most used, take these bytes.
_COMMON_HAN = re.compile(b"[\xb0-\xd7][\xa1-\xfe]")


class Encoding(CleaningStep):
    """Undoes wrong decoding, takes out what cannot be seen, and drops what cannot be read.

    Full-width forms, curly quotes and compatibility ideographs stay as they are.

    Args:
        max_unreadable_share: of all characters, that are U+FFFD or for private use; up to it they are taken out.
        max_misread_share: of all characters, that only come about when UTF-8 is read as GBK.
        max_latin_supplement_share: of all characters, from U+0080 to U+00FF, which what is read as Latin-1 consists of.
        max_lost_share: of all characters, in 锟斤拷, 烫烫烫烫 and 屯屯屯屯.
    """

    name = "encoding"

    def __init__(
        self,
        *,
        max_unreadable_share: Share = 0.02,
        max_misread_share: Share = 0.01,
        max_latin_supplement_share: Share = 0.2,
        max_lost_share: Share = 0.1,
    ) -> None:
        super().__init__()
        self.max_unreadable_share = max_unreadable_share
        self.max_misread_share = max_misread_share
        self.max_latin_supplement_share = max_latin_supplement_share
        self.max_lost_share = max_lost_share

    def clean(self, text: str) -> str | Dropped:
        """The readable text, or one of four reasons."""
        for repair in (self._misread_as_gbk, self._misread_as_latin, self._lost, self._odd_characters):
            outcome = repair(text)
            if isinstance(outcome, Dropped):
                return outcome
            text = outcome
        return text

    def _misread_as_gbk(self, text: str) -> str | Dropped:
        found = sum(map(text.count, _UTF8_AS_GBK))
        if found < _FEW or found <= self.max_misread_share * len(text):
            return text
        repaired = _decode_again(text, "gb18030", "utf-8")
        return repaired or Dropped("UTF-8 read as GBK", f"{found / len(text):.1%} of its marks")

    def _misread_as_latin(self, text: str) -> str | Dropped:
        if _UTF8_AS_LATIN.search(text):
            text = _by_line(text, _repair_latin)
        found = len(_LATIN_SUPPLEMENT.findall(text))
        if found <= self.max_latin_supplement_share * len(text):
            return text
        for wrong in ("latin-1", "cp1252"):
            repaired = _decode_again(text, wrong, "gb18030")
            if repaired and _is_common_han(repaired):
                return repaired
        return Dropped("read as Latin-1", f"{found / len(text):.1%} of the characters are U+0080 to U+00FF")

    def _lost(self, text: str) -> str | Dropped:
        found = sum(text.count(marks) * len(marks) for marks in _LOST)
        if found > self.max_lost_share * len(text):
            return Dropped("lost in decoding (锟斤拷)", f"{found / len(text):.1%} of the characters")
        return text

    def _odd_characters(self, text: str) -> str | Dropped:
        if not _ODD.search(text):
            return text
        unreadable = len(_UNREADABLE_CHARACTER.findall(text))
        if unreadable > max(_FEW, self.max_unreadable_share * len(text)):
            return Dropped("unreadable characters", f"{unreadable / len(text):.1%} are U+FFFD or for private use")
        return _TO_REMOVE.sub("", _SPACE.sub(" ", _LINE_END.sub("\n", text)))


def _decode_again(text: str, wrong: str, right: str) -> str | None:
    try:
        return text.encode(wrong).decode(right)
    except UnicodeError:
        return None


def _is_common_han(text: str) -> bool:
    encoded = text.encode("gb18030")
    return 2 * len(_COMMON_HAN.findall(encoded)) > 0.5 * len(encoded)


def _by_line(text: str, repair: Callable[[str], str]) -> str:
    return "\n".join(map(repair, text.split("\n")))


def _repair_latin(line: str) -> str:
    """The line as ``ftfy`` mends it, where that makes Chinese of it and hardly anything else.

    Left alone, ftfy turns ÖÐ¹ú (中国 in GBK, read as Latin-1) into Öйú.
    """
    if not _UTF8_AS_LATIN.search(line):
        return line
    import ftfy

    mended = ftfy.fix_encoding(line)
    foreign = set(_NEITHER_ASCII_NOR_CHINESE.findall(mended)) - set(_NEITHER_ASCII_NOR_CHINESE.findall(line))
    gained = len(_HAN.findall(mended)) - len(_HAN.findall(line))
    return mended if len(foreign - {"\ufffd"}) <= gained * _MOST_OTHERS else line
