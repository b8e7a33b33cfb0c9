"""Cloze sentences: one character of each, written in 【】, is hidden from the model, which shows what it guesses."""

import re
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

_HIDDEN = re.compile("【(.)】")
# Characters of a sentence that a message quotes.
_SHOWN = 40


def read_cloze(path: Path) -> list[str]:
    """The sentences of a file, a line each; lines that begin with # are comments.

    Raises:
        InputError: the file cannot be read, or a line does not hide exactly one character; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # editors on Windows begin a file with a mark
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


def check_cloze(path: Path, sentences: list[str], tokenizer: ChineseBertTokenizer, positions: int) -> None:
    """Looks whether a model can complete all sentences: before a run, not at its first evaluation.

    Args:
        path: where the sentences come from.
        sentences: of ``read_cloze``.
        tokenizer: of the model.
        positions: how many tokens the model reads at most.

    Raises:
        InputError: a sentence is too long, or holds the mask token besides the hidden character; the message quotes it.
    """
    for sentence in sentences:
        if (reason := unfit(sentence, tokenizer, positions)) is not None:
            raise InputError(f"{path}: {_shortened(sentence)}: {reason}; change the sentence, or leave it out")


def unfit(sentence: str, tokenizer: ChineseBertTokenizer, positions: int) -> str | None:
    """Why a model cannot complete a sentence; None where it can."""
    ids = tokenizer(with_mask(sentence, tokenizer.mask_token))["input_ids"]
    if ids.count(tokenizer.mask_token_id) != 1:
        return f"has {tokenizer.mask_token} besides the character in 【】"
    if len(ids) > positions:
        return f"has {len(ids)} tokens, the model reads {positions}"
    return None


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= _SHOWN else sentence[:_SHOWN] + "…"


def hidden_character(sentence: str) -> str:
    """The character in 【】; empty where there is none."""
    found = _HIDDEN.search(sentence)
    return found[1] if found else ""


def with_mask(sentence: str, mask_token: str) -> str:
    """The sentence as the model is to read it."""
    return _HIDDEN.sub(mask_token, sentence)
