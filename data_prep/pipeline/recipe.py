"""What the bytes of a corpus depend on, read from the command line's flags."""

import argparse
import dataclasses
import fnmatch
import functools
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from chinesebert.corpus.writer import check_fits
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY, ChineseBertTokenizer
from chinesebert.words import UserWords
from data_prep.cleaning.configuration import Cleaning, load_cleaning
from data_prep.decontamination import DecontaminationSettings, evaluation_fingerprint
from data_prep.duplicates import DuplicateSettings
from data_prep.pipeline.settings import package_versions
from data_prep.pipeline.workspace import UnfinishedFolder
from data_prep.readers import Source, find_inputs
from data_prep.readers.bad_records import EXAMPLES_PER_REASON
from data_prep.wording import counted

_NAMED_SOURCES = 1000
# A file of every kind that a run writes and that would be taken for input.
_IN_CORPUS = ("manifest.json", "tokenizer/vocab.txt", "tokenizer/tokenizer.json")
_IN_REJECTED = ("clean-00000000.jsonl.gz",)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that the output depends on.

    Attributes:
        sources: the input files, in order.
        text_field: of JSON lines and Parquet.
        tokenizer: with the reading overrides in it.
        words: of a field; None where there are none.
        cleaning: the steps and their thresholds; None for text that is clean.
        duplicates: what counts as one; None keeps them all.
        decontamination: how evaluation texts are looked for; None where there are none.
        evaluation_files: name -> SHA-256.
        keep_rejected: whether dropped documents are kept.
    """

    sources: list[Source]
    text_field: str
    tokenizer: ChineseBertTokenizer
    words: UserWords | None
    cleaning: Cleaning | None
    duplicates: DuplicateSettings | None
    decontamination: DecontaminationSettings | None
    evaluation_files: dict[str, str]
    keep_rejected: bool

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """As plain JSON, to be compared when the command runs again."""
        inputs = {source.url: f"{source.size} bytes, {source.version}" for source in self.sources}
        return {"inputs": inputs, "order of inputs": digest([source.url for source in self.sources]), **self._choices}

    @functools.cached_property
    def published_settings(self) -> dict[str, Any]:
        """The same for the corpus itself, which need not know the names of a million files."""
        if len(self.sources) <= _NAMED_SOURCES:
            return self.settings
        size = sum(source.size for source in self.sources)
        inputs = digest([[source.url, source.size, source.version] for source in self.sources])
        return {"inputs": f"{len(self.sources)} files, {size} bytes, SHA-256 {inputs[:16]}", **self._choices}

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of what annotates."""
        return f"{self.tokenizer.fingerprint} {self._choices['words']}"

    @functools.cached_property
    def _choices(self) -> dict[str, Any]:
        return {
            "text_field": self.text_field,
            "tokenizer": self.tokenizer.fingerprint,
            "readings": self.tokenizer.readings.source,
            "words": digest(dataclasses.asdict(self.words)) if self.words else None,
            "cleaning": self.cleaning.resolved()["steps"] if self.cleaning else None,
            "duplicates": dataclasses.asdict(self.duplicates) if self.duplicates else None,
            "decontamination": dataclasses.asdict(self.decontamination) if self.decontamination else None,
            "evaluation files": self.evaluation_files,
            "rejected": self.keep_rejected,
            "versions": package_versions(),
        }


def digest(content: Any) -> str:
    """SHA-256 (hex) of plain JSON."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def load_recipe(args: argparse.Namespace) -> Recipe:
    """Reads all that the flags name.

    Raises:
        InputError: something of it is missing or wrong.
    """
    sources = find_inputs(args.input)
    _check_found(sources, _places(args))
    cleaning = load_cleaning(args.cleaning) if args.cleaning else None
    tokenizer = load_tokenizer(args.tokenizer)
    if args.readings:
        tokenizer.readings = tokenizer.readings.with_overrides(args.readings)
    check_fits(tokenizer)
    return Recipe(
        sources,
        args.text_field,
        tokenizer,
        _load_words(args.words, args.strict) if args.words else None,
        cleaning,
        _duplicate_settings(cleaning, args.cleaning, args.remove_duplicates),
        _decontamination_settings(cleaning, args.cleaning) if args.decontaminate else None,
        evaluation_fingerprint(args.decontaminate) if args.decontaminate else {},
        bool(args.rejected),
    )


def load_tokenizer(path: str | None) -> ChineseBertTokenizer:
    """The tokenizer of a saved directory or over a vocabulary file; the default one without a path.

    Raises:
        InputError: there is nothing at ``path``, or no tokenizer.
    """
    if path is None:
        return ChineseBertTokenizer.from_vocabulary(DEFAULT_VOCABULARY)
    if not Path(path).is_dir():
        return ChineseBertTokenizer.from_vocabulary(path)
    return ChineseBertTokenizer.from_directory(path)


def _load_words(path: str, strict: bool) -> UserWords:
    """The user's words; what jieba could never find, of which long dictionaries hold some, is skipped and named."""
    skipped: list[str] = []
    words = UserWords.load(path, None if strict else skipped)
    for problem in skipped[:EXAMPLES_PER_REASON]:
        print(problem, file=sys.stderr)
    if skipped:
        print(
            f"{path}: skipped {counted(len(skipped), 'line')} (the first are named above)",
            file=sys.stderr,
        )
    return words


def _duplicate_settings(cleaning: Cleaning | None, file: str, asked_for: bool) -> DuplicateSettings | None:
    if cleaning and cleaning.duplicates is not None:
        return DuplicateSettings.from_section(cleaning.duplicates, f"{file}: duplicates")
    return DuplicateSettings() if asked_for else None


def _decontamination_settings(cleaning: Cleaning | None, file: str) -> DecontaminationSettings:
    if cleaning and cleaning.decontamination is not None:
        return DecontaminationSettings.from_section(cleaning.decontamination, f"{file}: decontamination")
    return DecontaminationSettings()


def check_places(args: argparse.Namespace) -> None:
    """Refuses outputs that lie in one another, or in a folder of the input: what is written would be read.

    Raises:
        InputError: naming both.
    """
    if "://" in args.output:
        raise InputError(f"--output {args.output}: corpora are written to local or shared file systems, not to URLs")
    output, _, *rejected = places = _places(args)
    for folder in rejected:
        if folder.is_relative_to(output) or output.is_relative_to(folder):
            raise InputError(f"--rejected {folder}: lies in the output, or around it; give a folder elsewhere")
    for given in map(str, args.input):
        folder = Path(given).resolve()
        for place in places:
            written = [place / name for name in (_IN_REJECTED if place in rejected else _IN_CORPUS)]
            if (folder.is_dir() and place.is_relative_to(folder)) or any(_matches(folder, file) for file in written):
                raise InputError(f"{place}: lies in the input {given} and would be read as input; write elsewhere")
            if folder.exists() and folder.is_relative_to(place):
                raise InputError(f"{given}: this input lies in {place}, which is to be written; write elsewhere")


def _places(args: argparse.Namespace) -> list[Path]:
    """The folders that a run writes: the corpus, the work on it, and dropped documents."""
    rejected = [Path(args.rejected).resolve()] if args.rejected else []
    return [Path(args.output).resolve(), UnfinishedFolder.beside(args.output).directory, *rejected]


def _matches(pattern: Path, file: Path) -> bool:
    """Whether a glob finds a file, or a folder that it lies in."""
    return _parts_match(pattern.parts, file.parts)


def _parts_match(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not pattern or not path:
        return not pattern
    if pattern[0] == "**":
        return _parts_match(pattern[1:], path) or _parts_match(pattern, path[1:])
    return fnmatch.fnmatchcase(path[0], pattern[0]) and _parts_match(pattern[1:], path[1:])


def _check_found(sources: list[Source], places: list[Path]) -> None:
    """Refuses inputs that links lead to in what is to be written."""
    for folder in {os.path.dirname(source.url) for source in sources if source.is_local}:
        for place in places:
            if Path(folder).resolve().is_relative_to(place):
                raise InputError(f"{folder}: this input lies in {place}, which is to be written; write elsewhere")
