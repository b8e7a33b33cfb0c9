"""Checks a whole prepared corpus."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from chinesebert.corpus.format import MANIFEST_FILE, Manifest
from chinesebert.corpus.verification.manifest import load_manifest, load_tokenizer, wrong_files
from chinesebert.corpus.verification.records import RecordChecker
from chinesebert.corpus.verification.rules import Failure, Findings, Rule
from chinesebert.corpus.verification.shard import Counts, check_shard
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import UNK

_T = TypeVar("_T")


@dataclass(frozen=True)
class Verification:
    """What a check of a corpus came to.

    Attributes:
        findings: every failure; none if the corpus is good.
        shards: how many the manifest lists.
        counts: what was read.
        unchecked: rules that could not be checked because of what was found, and why.
    """

    findings: Findings
    shards: int
    counts: Counts
    unchecked: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings.counts


def verify_corpus(
    directory: str | os.PathLike[str],
    limit: int = 10,
    progress: Callable[[int], object] = lambda read: None,
) -> Verification:
    """Checks every checksum and every rule of the format.

    Args:
        directory: the prepared corpus.
        limit: failures of each rule that are told one by one; the others are counted.
        progress: called with numbers of bytes; every byte of the shards is reported twice, once when its checksum is
            taken and once when its documents are checked.

    Raises:
        InputError: the directory holds nothing of a prepared corpus.
    """
    directory = Path(directory)
    findings, unchecked = Findings(limit), []
    manifest = _noted(load_manifest(directory), findings)
    if manifest is None:
        return Verification(findings, 0, Counts(), ("all other rules, for want of a manifest",))
    tokenizer = _noted(load_tokenizer(directory, manifest), findings)
    if tokenizer is None:
        unchecked.append(f"{_named(_NEED_TOKENIZER)}, for want of the tokenizer that made the corpus")
    for failure in wrong_files(directory, manifest):
        findings.add(failure)
    counts = _check_shards(directory, manifest, tokenizer, findings, progress)
    if counts.complete:
        _check_totals(manifest, counts, tokenizer, findings)
    else:
        unchecked.append(f"{_named(_NEED_ALL_SHARDS)}, as not all documents could be read")
    return Verification(findings, len(manifest.shards), counts, tuple(unchecked))


_NEED_TOKENIZER = (Rule.SPECIAL_TOKENS, Rule.READINGS, Rule.CONTINUATIONS)
_NEED_ALL_SHARDS = (Rule.TOTALS, Rule.TOKEN_COUNTS)


def _named(rules: tuple[Rule, ...]) -> str:
    return "rules " + ", ".join(f"{rule.value} ({rule.title})" for rule in rules)


def _noted(loaded: tuple[_T | None, list[Failure]], findings: Findings) -> _T | None:
    thing, failures = loaded
    for failure in failures:
        findings.add(failure)
    return thing


def _check_shards(
    directory: Path,
    manifest: Manifest,
    tokenizer: ChineseBertTokenizer | None,
    findings: Findings,
    progress: Callable[[int], object],
) -> Counts:
    checker = RecordChecker(manifest, tokenizer)
    total = Counts()
    for shard in manifest.shards:
        path = directory / shard.file
        # One that is missing, or that is a path to somewhere else, has been reported with the names of the files.
        known = "/" not in shard.file and path.is_file()
        total.add(check_shard(path, shard, checker, findings, progress) if known else Counts(complete=False))
    return total


def _check_totals(
    manifest: Manifest, counts: Counts, tokenizer: ChineseBertTokenizer | None, findings: Findings
) -> None:
    found = {name: getattr(counts, name) for name in ("documents", "tokens", "words", "sentences")}
    if tokenizer is not None:
        found["unknown_tokens"] = int(counts.occurrences[tokenizer.convert_tokens_to_ids(UNK)])
    for name, number in found.items():
        if number != getattr(manifest, name):
            what = f"{name} is {getattr(manifest, name):,}, the shards hold {number:,}"
            findings.add(Failure(Rule.TOTALS, what, MANIFEST_FILE))
    for failure in _other_token_counts(manifest, counts):
        findings.add(failure)


def _other_token_counts(manifest: Manifest, counts: Counts) -> Iterator[Failure]:
    listed = np.zeros_like(counts.occurrences)
    for token, number in manifest.token_counts.items():
        listed[int(token)] = number
    for token in np.flatnonzero(listed != counts.occurrences).tolist():
        what = f"token_counts says {listed[token]:,} for token {token}, the shards hold {counts.occurrences[token]:,}"
        yield Failure(Rule.TOKEN_COUNTS, what, MANIFEST_FILE)
