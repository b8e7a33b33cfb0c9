"""Cloze sentences: one character of each, written in 【】, is hidden from the model, which shows what it guesses."""

import re
from pathlib import Path

from chinesebert.errors import InputError

_HIDDEN = re.compile("【(.)】")


def read_cloze(path: Path) -> list[str]:
    """The sentences of a file, a line each; lines that begin with # are comments.

    Raises:
        InputError: the file cannot be read, or a line does not hide exactly one character; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the sentences ({error})") from error
    sentences = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(_HIDDEN.findall(line)) != 1:
            raise InputError(f"{path}:{number}: put exactly one character in 【】")
        sentences.append(line.strip())
    return sentences


def hidden_character(sentence: str) -> str:
    """The character in 【】; empty where there is none."""
    found = _HIDDEN.search(sentence)
    return found[1] if found else ""


def with_mask(sentence: str, mask_token: str) -> str:
    """The sentence as the model is to read it."""
    return _HIDDEN.sub(mask_token, sentence)
