"""The rules that manifest, file names and tokenizer of a prepared corpus keep."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chinesebert.checksums import file_sha256
from chinesebert.corpus.format import MANIFEST_FILE, TOKENIZER_DIRECTORY, Manifest
from chinesebert.corpus.verification.rules import Failure, Rule
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import vocabulary_sha256

_HEX = re.compile("[0-9a-f]*")
_VOCABULARY_FILE = "vocab.txt"


def load_manifest(directory: Path) -> tuple[Manifest | None, list[Failure]]:
    """The manifest of a corpus, or what is wrong with it.

    Raises:
        InputError: nothing in the directory is of a prepared corpus.
    """
    if any(directory.glob("*.arrow")) and not (directory / MANIFEST_FILE).exists():
        return None, [Failure(Rule.MANIFEST, "is missing; copy it again, or prepare the text again", MANIFEST_FILE)]
    try:
        manifest = Manifest.load(directory)
    except InputError as error:
        if not (directory / MANIFEST_FILE).is_file():
            raise
        return None, [Failure(Rule.MANIFEST, _without_path(error, directory), MANIFEST_FILE)]
    failures = [Failure(Rule.MANIFEST, what, MANIFEST_FILE) for what in _wrong_values(manifest)]
    return (None if failures else manifest), failures


def _without_path(error: InputError, directory: Path) -> str:
    return str(error).removeprefix(f"{directory / MANIFEST_FILE}: ").removeprefix(f"{directory}: ")


def _wrong_values(manifest: Manifest) -> Iterator[str]:
    """What a manifest says that cannot be, whatever the shards hold."""
    yield from _wrong_types("", dataclasses.asdict(manifest))
    for number, shard in enumerate(manifest.shards):
        yield from _wrong_types(f"shards[{number}].", dataclasses.asdict(shard))
    for name in ("skipped", "token_counts"):
        mapping = getattr(manifest, name)
        if not isinstance(mapping, dict):
            yield f"{name} is {mapping!r}, not an object"
        elif not all(map(_is_count, mapping.values())):
            yield f"{name} holds something that is no count"
    if isinstance(manifest.token_counts, dict) and not all(_is_token_id(key) for key in manifest.token_counts):
        yield "token_counts holds a key that is no token id"


_TEXTS = {"tokenizer_fingerprint", "vocabulary_sha256", "readings", "segmenter", "file", "sha256", "crc32"}
_CHECKSUMS = {"tokenizer_fingerprint", "vocabulary_sha256", "sha256", "crc32"}
_COUNTS = {"vocabulary_size", "syllables", "documents", "tokens", "words", "sentences", "unknown_tokens", "bytes"}


def _wrong_types(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if name in _COUNTS and not _is_count(value):
            yield f"{prefix}{name} is {value!r}, not a count"
        elif name in _TEXTS and not isinstance(value, str):
            yield f"{prefix}{name} is {value!r}, not a text"
        elif name in _CHECKSUMS and not _HEX.fullmatch(value):
            yield f"{prefix}{name} holds something else than lower-case hexadecimal digits"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_token_id(key: str) -> bool:
    return key.isdecimal() and key.isascii() and int(key) < 1 << 16


def wrong_files(directory: Path, manifest: Manifest) -> Iterator[Failure]:
    """Shards under wrong names, missing ones, and ones that the manifest does not list."""
    for number, shard in enumerate(manifest.shards):
        if shard.file != f"shard-{number:05d}.arrow":
            yield Failure(Rule.FILES, f"shard {number} is called {shard.file!r}", MANIFEST_FILE)
        elif not (directory / shard.file).is_file():
            yield Failure(Rule.FILES, "is missing; copy it again", shard.file)
    listed = {shard.file for shard in manifest.shards}
    for path in sorted(directory.glob("*.arrow")):
        if path.name not in listed:
            yield Failure(Rule.FILES, "is not in the manifest", path.name)


def load_tokenizer(directory: Path, manifest: Manifest) -> tuple[ChineseBertTokenizer | None, list[Failure]]:
    """The tokenizer of a corpus and what is wrong with it; None where it is not the one that made the corpus."""
    path = directory / TOKENIZER_DIRECTORY
    try:
        tokenizer = ChineseBertTokenizer.from_directory(path)
    except (InputError, OSError) as error:
        what = str(error).removeprefix(f"{path}: ")
        return None, [Failure(Rule.TOKENIZER, what, TOKENIZER_DIRECTORY)]
    failures = [Failure(Rule.TOKENIZER, what, TOKENIZER_DIRECTORY) for what in _unlike(tokenizer, path, manifest)]
    return (tokenizer if tokenizer.fingerprint == manifest.tokenizer_fingerprint else None), failures


def _unlike(tokenizer: ChineseBertTokenizer, path: Path, manifest: Manifest) -> Iterator[str]:
    tokens = tokenizer.tokens()
    for what, found, expected in (
        ("the fingerprint", tokenizer.fingerprint, manifest.tokenizer_fingerprint),
        ("the SHA-256 of the vocabulary", vocabulary_sha256(tokens), manifest.vocabulary_sha256),
        ("the number of tokens", len(tokens), manifest.vocabulary_size),
        ("the number of syllables", len(tokenizer.readings.syllables), manifest.syllables),
        ("the source of the readings", tokenizer.readings.source, manifest.readings),
    ):
        if found != expected:
            yield f"{what} is {found}, the manifest says {expected}"
    vocabulary = path / _VOCABULARY_FILE
    if not vocabulary.is_file():
        yield f"{_VOCABULARY_FILE} is missing"
    elif file_sha256(vocabulary) != manifest.vocabulary_sha256:
        yield f"the SHA-256 of {_VOCABULARY_FILE} is {file_sha256(vocabulary)}, not the vocabulary's of the manifest"
