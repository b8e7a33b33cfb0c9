"""Takes out what is left of HTML and forum markup: tags, entities, style sheets, scripts and lines of code."""

import html
import re

from data_prep.cleaning.character_classes import count_characters
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Share

# With the semicolon (half or full width), so that ?a=1&copy=2 stays an address; &nbsp is often left without.
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}[0-9]{0,2})[;；]|&nbsp(?![A-Za-z])")
_MOST_UNESCAPES = 2  # &amp;lt; has been escaped twice
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2060\ufeff\ufffd]")

_BLOCKS = (
    "address|article|aside|blockquote|body|br|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|head|"
    "header|hr|html|legend|li|main|nav|ol|option|p|pre|section|select|table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_INLINE = (
    "a|abbr|b|base|big|button|canvas|cite|code|col|colgroup|del|em|embed|font|i|iframe|img|input|ins|kbd|label|link|"
    "map|area|mark|meta|noscript|object|param|q|rp|rt|ruby|s|small|source|span|strike|strong|sub|sup|textarea|tt|u|"
    "var|video|audio|wbr|o:p|st1:[a-z]+"
)
_DECLARATION = re.compile(r"<!\[CDATA\[|\]\]>|<!DOCTYPE[^<>]{0,300}>(?=\s*(?:<|$))", re.IGNORECASE | re.MULTILINE)
# From the one to the other nothing is meant to be read.
_HIDDEN = [
    (re.compile(begin, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (("<!--", "-->"), (r"<script\b", r"</script\s*>"), (r"<style\b", r"</style\s*>"))
]
# The text ended, or was cut, within a tag.
_CUT_TAG = re.compile(rf"<(?:{_BLOCKS}|{_INLINE})\s+[a-z-]+\s*=\s*[\"'][^<>\n]*$", re.IGNORECASE | re.MULTILINE)
# Markup of forums. A bare [b], [i] or [u] is as likely phonetic script, so these go only where [/b] is.
_FORUM_NAMES = "url|img|quote|color|size|font|align|attach|media|flash|hide|list|table|email|backcolor"
_FORUM_MARKUP = re.compile(
    rf"\[(img|attach|media|flash)[^\[\]]{{0,50}}\][^\[\]\s]{{1,500}}\[/\1\]|\[/?(?:{_FORUM_NAMES})(?:=[^\[\]]{{0,200}})?\]",
    re.IGNORECASE,
)
_SHORT_FORUM_CLOSING = re.compile(r"\[/([bisup])\]", re.IGNORECASE)
# The names of tags in text about HTML are kept: “<div>”, `<b>`, <p> 标签. A tag with attributes is never such a name.
_TAG = re.compile(
    rf"<(?:/?(?P<block>{_BLOCKS})|/?(?:{_INLINE}))(?:\s[^<>]{{0,2000}}?)?\s*/?>"
    r"(?!\s?(?:标签|标记|元素|节点|標籤|元素|tags?\b|elements?\b))",
    re.IGNORECASE,
)
# Where all tags were escaped, only these tell a page that was escaped as a whole from a text that speaks of <br>.
_PAGE = re.compile(
    rf"</(?:{_BLOCKS}|{_INLINE})\s*>|<(?:{_BLOCKS}|{_INLINE})\s+[a-z-]+\s*=|<!--|<!\[CDATA\[", re.IGNORECASE
)
_QUOTES_BEFORE = frozenset("“‘「『`\"'")

# Style sheets: rules at the start of a line; often the text of an article goes on in the same line.
_PROPERTY = (
    r"\s*(?:-[a-z]+-|mso-)?(?:align|background|border|bottom|box|clear|color|cursor|display|flex|float|font|height|"
    r"justify|layout|left|letter|line|list|margin|max|min|opacity|overflow|padding|position|right|table|text|top|"
    r"transform|transition|vertical|visibility|white|width|word|z|zoom)[a-z-]*\s*:[^;{}]*"
)
_STYLE_RULES = re.compile(
    rf"^(?:[ \t]*[.#@*A-Za-z][\w.#:>,*()\[\]=\" \t-]{{0,200}}\{{{_PROPERTY}(?:;{_PROPERTY})*;?\s*\}})+",
    re.ASCII | re.MULTILINE,
)
_SCRIPT_SIGN = re.compile(
    r"\bfunction\s*\w*\s*\(|\b(?:var|let|const)\s+[\w$]+\s*=|\bdocument\.\w+|\bwindow\.\w+|[$]\(\s*[\"'#.\w]|"
    r"=>\s*\{|\breturn\b.*;|\b_hmt\b|@import\b|@media\b|^\s*//\s*<?!|\b(?:if|for|while)\s*\(.*\)\s*\{|"
    r"^[\s{}()\[\];,]+$|[;{}]\s*(?://.*)?$"
)
_CODE_MARK = re.compile(r"[{}();=<>\[\]$]")


class HtmlResidue(CleaningStep):
    """Strips tags, resolves entities and removes lines of code; drops a text that mostly was code.

    Args:
        max_code_share: of all characters besides tags and style sheets, in lines of code.
        max_han_in_code_line: a line with more Han characters than this share of it is not code.
        min_code_marks: a line is code only if so large a share of it is brackets, ``=``, ``;`` or ``$``.
    """

    name = "html_residue"

    def __init__(
        self, *, max_code_share: Share = 0.5, max_han_in_code_line: Share = 0.1, min_code_marks: Share = 0.04
    ) -> None:
        super().__init__()
        self.max_code_share = max_code_share
        self.max_han_in_code_line = max_han_in_code_line
        self.min_code_marks = min_code_marks

    def clean(self, text: str) -> str | Dropped:
        """The text without markup, or ``mostly code``."""
        had_tags = "&" not in text or _TAG.search(text)
        if "&" in text:
            text = _unescape(text)
        if "<" in text and (had_tags or _PAGE.search(text)):
            text = _strip_tags(text)
        if "[/" in text:
            text = _strip_forum_markup(text)
        if "{" not in text and ";" not in text:
            return text
        text = _STYLE_RULES.sub("", text)
        prose = self._without_code(text)
        code = len(text) - len(prose)
        if code > self.max_code_share * len(text):
            return Dropped("mostly code", f"{code / len(text):.0%} of the characters")
        return prose

    def _without_code(self, text: str) -> str:
        return "\n".join(line for line in text.split("\n") if not self._is_code(line))

    def _is_code(self, line: str) -> bool:
        marks = len(_CODE_MARK.findall(line))
        if not marks or marks < self.min_code_marks * len(line) or not _SCRIPT_SIGN.search(line):
            return False
        return count_characters(line).han <= self.max_han_in_code_line * len(line)


def _unescape(text: str) -> str:
    for _ in range(_MOST_UNESCAPES):
        text, found = _ENTITY.subn(_character, text)
        if not found:
            break
    return text


def _character(match: re.Match[str]) -> str:
    entity = match.group().replace("；", ";")
    if entity.startswith("&nbsp"):
        return " "
    character = html.unescape(entity)
    return character if character == entity else _INVISIBLE.sub("", character)


def _strip_tags(text: str) -> str:
    for begin, end in _HIDDEN:
        text = _cut(text, begin, end)
    return _CUT_TAG.sub("", _TAG.sub(_tag_replacement, _DECLARATION.sub("", text)))


def _strip_forum_markup(text: str) -> str:
    closed = "".join(sorted({name.lower() for name in _SHORT_FORUM_CLOSING.findall(text)}))
    text = _FORUM_MARKUP.sub("", text)
    return re.sub(rf"\[/?[{closed}]\]", "", text, flags=re.IGNORECASE) if closed else text


def _cut(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Without all that is between ``begin`` and ``end``; one after the other, so that damaged pages take no longer."""
    kept = []
    position = 0
    while (opening := begin.search(text, position)) and (closing := end.search(text, opening.end())):
        kept.append(text[position : opening.start()])
        position = closing.end()
    return "".join([*kept, text[position:]]) if kept else text


def _tag_replacement(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    if before in _QUOTES_BEFORE and before:
        return match.group()
    return "\n" if match.group("block") else ""
