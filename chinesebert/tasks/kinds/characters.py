"""Reads a text character by character, for tasks that say something of every character."""

from itertools import pairwise
from typing import Any, NamedTuple


def encode_characters(text: str, tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """One token a character, without special tokens.

    Latin words and numbers, which WordPiece joins, are split too. Characters that the tokenizer reads over (spaces,
    control characters) get no token; of those that it takes apart (Hangul) the first part stands for all.

    Args:
        text: any text.
        tokenizer: a ``ChineseBertTokenizer``.

    Returns:
        ``input_ids`` and ``pinyin_ids`` (readings in the context of the whole text), and which character each token is:
        three lists of one length.
    """
    if not text:
        return [], [], []
    batch = tokenizer(list(text), is_split_into_words=True, add_special_tokens=False, verbose=False)
    input_ids, pinyin_ids, positions = [], [], []
    before = None
    for token, pinyin, position in zip(batch["input_ids"], batch["pinyin_ids"], batch.word_ids(), strict=True):
        if position != before:
            input_ids.append(token)
            pinyin_ids.append(pinyin)
            positions.append(position)
        before = position
    return input_ids, pinyin_ids, positions


class Window(NamedTuple):
    """Tokens ``[start, end)`` of a text; it answers for ``[first, last)`` of them, so that each has one answer."""

    start: int
    end: int
    first: int
    last: int


def windows(count: int, size: int, shared: int) -> list[Window]:
    """Windows over so many tokens, each answering for the tokens that lie further from its ends than from others'.

    Args:
        count: tokens of the text.
        size: of a window; at least 1.
        shared: tokens that neighbours have in common, half of ``size`` at most.
    """
    if count <= size:
        return [Window(0, count, 0, count)]
    step = size - min(shared, size // 2)
    starts = [*range(0, count - size, step), count - size]
    borders = [0, *((left + size + right) // 2 for left, right in pairwise(starts)), count]
    return [
        Window(start, start + size, first, last) for start, (first, last) in zip(starts, pairwise(borders), strict=True)
    ]
