"""The vocabulary file: one token a line, the line number is the id."""

import hashlib
import os
import re
from pathlib import Path

from .errors import InputError

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# The ids of bert-base-chinese, kept so that tools written for it find the special tokens where they expect them.
SPECIAL_TOKEN_IDS = {PAD: 0, UNK: 100, CLS: 101, SEP: 102, MASK: 103}
CONTINUATION = "##"

# Han characters: the unified ideographs with their extensions and compatibility forms, and the zero 〇.
HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN_TOKEN = re.compile(f"(?:{CONTINUATION})?([{HAN}])")
_UNUSED = re.compile(r"\[unused\d+\]")
# Reserved but not special: BERT's vocabulary for Chinese carries two sentence marks after [MASK].
_RESERVED = frozenset(SPECIAL_TOKENS) | {"<S>", "<T>"}


def read_vocabulary(path: str | os.PathLike[str]) -> list[str]:
    """Reads a vocabulary file; the index in the result is the token's id.

    Only line feeds end a line: a released vocabulary holds U+2028 and an empty line as tokens, which
    ``str.splitlines`` would take for line ends and so shift every later id.

    Raises:
        InputError: the file cannot be read, is not UTF-8, repeats a token, or lacks a special token.
    """
    try:
        tokens = Path(path).read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot read the vocabulary ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: the vocabulary is not UTF-8 (byte {error.start}); save it as UTF-8, or download it again"
        ) from error
    tokens = [token.removesuffix("\r") for token in tokens]
    if tokens and tokens[-1] == "":
        tokens.pop()
    _check_vocabulary(path, tokens)
    return tokens


def _check_vocabulary(path: str | os.PathLike[str], tokens: list[str]) -> None:
    lines: dict[str, int] = {}
    for line, token in enumerate(tokens, start=1):
        if token in lines:
            raise InputError(
                f"{path}: line {line} repeats {token!r} of line {lines[token]}; remove one, ids must be unique"
            )
        lines[token] = line
    for token in SPECIAL_TOKENS:
        if token not in lines:
            raise InputError(
                f"{path}: the vocabulary has no {token} (it needs {', '.join(SPECIAL_TOKENS)}); "
                "download it again, or build one with: python -m data_prep vocab"
            )


def vocabulary_sha256(tokens: list[str]) -> str:
    """SHA-256 (hex) of the vocabulary in its file form; says whether two things were made with the same one."""
    return hashlib.sha256(("\n".join(tokens) + "\n").encode()).hexdigest()


def han_character(token: str) -> str | None:
    """The Han character that a token writes (``中`` and ``##中`` both write 中), or None for any other token."""
    match = _HAN_TOKEN.fullmatch(token)
    return match[1] if match else None


def is_ordinary(token: str) -> bool:
    """Whether a token stands for text: not special, not reserved, and something is printed for it."""
    return token not in _RESERVED and not _UNUSED.fullmatch(token) and token.strip() != ""
