"""Drops texts whose lines are not those of prose or verse: lists of links, tables of parameters, teasers."""

import re

from chinesebert.vocabulary import HAN
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Count, Share

# Without a colon: "brand: …" is a line of a table.
_SENTENCE_MARK = re.compile(r"[，。．！？；、…,!?;]|\.(?:\s|$)")
# A line of a poem without punctuation: only Han characters and spaces, fewer than a headline, more than a menu.
_VERSE = re.compile(rf"[{HAN}][{HAN}\s·]{{3,14}}[{HAN}]")
_BULLET = re.compile(r"\s*[•●○■□◆◇★☆▪▶►·\-*]")
_ELLIPSIS = ("…", "...", "。。。")


class LineShape(CleaningStep):
    """Drops a text with too many lines that are no sentences, begin with bullets or break off.

    Args:
        min_lines: in a shorter text, lines are not counted.
        max_list_line_share: of the lines, without comma, full stop or the like, and not in the form of verse.
        max_bullet_line_share: of the lines, that begin with a bullet.
        max_ellipsis_line_share: of the lines, that end in ….
    """

    name = "line_shape"

    def __init__(
        self,
        *,
        min_lines: Count = 6,
        max_list_line_share: Share = 0.8,
        max_bullet_line_share: Share = 0.9,
        max_ellipsis_line_share: Share = 0.3,
    ) -> None:
        super().__init__()
        self.min_lines = min_lines
        self.max_list_line_share = max_list_line_share
        self.max_bullet_line_share = max_bullet_line_share
        self.max_ellipsis_line_share = max_ellipsis_line_share

    def clean(self, text: str) -> str | Dropped:
        """``text``, or which kind of line there are too many of."""
        lines = text.split("\n")
        if len(lines) < self.min_lines:
            return text
        for found, most, kind in (
            (sum(map(_is_list_line, lines)), self.max_list_line_share, "without sentences"),
            (sum(_BULLET.match(line) is not None for line in lines), self.max_bullet_line_share, "with bullets"),
            (sum(line.endswith(_ELLIPSIS) for line in lines), self.max_ellipsis_line_share, "that break off"),
        ):
            if found > most * len(lines):
                return Dropped(f"too many lines {kind}", f"{found} of {len(lines)}")
        return text


def _is_list_line(line: str) -> bool:
    return not _SENTENCE_MARK.search(line) and not _VERSE.fullmatch(line)
