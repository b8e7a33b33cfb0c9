"""Fits one or two texts into an input."""

from collections.abc import Sequence
from typing import TypeVar

from chinesebert.tasks.kinds.base import Truncation

T = TypeVar("T")


def cut(tokens: Sequence[T], most: int, how: Truncation) -> list[T]:
    """At most ``most`` of the tokens: the first, the last, or the first quarter and the last three quarters of them.

    The last is what Sun et al. (How to Fine-Tune BERT for Text Classification?, 2019, section 5.3.1) found best: 128
    tokens of the head and 382 of the tail.
    """
    if len(tokens) <= most:
        return list(tokens)
    if how == "head":
        return list(tokens[:most])
    if how == "tail":
        return list(tokens[len(tokens) - most :])
    head = most // 4
    return [*tokens[:head], *tokens[len(tokens) - (most - head) :]]


def budgets(first: int, second: int, most: int) -> tuple[int, int]:
    """How many tokens two texts may keep so that both fit: the longer one gives first."""
    if first + second <= most:
        return first, second
    half = most // 2
    if first <= half:
        return first, most - first
    if second <= most - half:
        return most - second, second
    return half, most - half
