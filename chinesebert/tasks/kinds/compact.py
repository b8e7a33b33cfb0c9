"""Keeps token ids in little memory: reading and choice have thousands of tokens an example."""

from array import array
from collections.abc import Sequence


def compact(ids: Sequence[int]) -> "array[int]":
    """Ids as an array: two bytes each instead of about forty, while the vocabulary has less than 65,536 tokens."""
    return array("H" if max(ids, default=0) < 2**16 else "I", ids)
