"""The rules of the prepared-corpus format, and how it is told that one is broken."""

import enum
from dataclasses import dataclass, field


class Rule(enum.IntEnum):
    """The rules by the numbers that ``docs/prepared-corpus.md`` gives them; it says what each means."""

    MANIFEST = 1
    FILES = 2
    SIZE = 3
    SHA256 = 4
    CRC32 = 5
    STREAM = 6
    BATCHES = 7
    NULLS = 8
    LENGTHS = 9
    EMPTY_DOCUMENTS = 10
    TOKEN_IDS = 11
    SPECIAL_TOKENS = 12
    SYLLABLE_IDS = 13
    READINGS = 14
    DOCUMENT_STARTS = 15
    SENTENCE_STARTS = 16
    CONTINUATIONS = 17
    SHARD_COUNTS = 18
    TOTALS = 19
    TOKEN_COUNTS = 20
    TOKENIZER = 21

    @property
    def title(self) -> str:
        """As it stands in the documentation, in lower case."""
        return self.name.lower().replace("_", " ").replace("sha256", "SHA-256").replace("crc32", "CRC-32")


@dataclass(frozen=True)
class Failure:
    """One place where a corpus is not as it must be.

    Attributes:
        rule: which is broken.
        what: how, in a sentence.
        file: the file of the corpus, None for the corpus as a whole.
        documents: the first and the last document of a shard that are concerned, from 0; None where none can be named.
        token: the first token in that document, from 0.
    """

    rule: Rule
    what: str
    file: str | None = None
    documents: tuple[int, int] | None = None
    token: int | None = None

    def __str__(self) -> str:
        places = [self.file or "the corpus"]
        if self.documents is not None:
            first, last = self.documents
            places.append(f"document {first:,}" if first == last else f"documents {first:,} to {last:,}")
        if self.token is not None:
            places.append(f"token {self.token:,}")
        return f"{', '.join(places)}: {self.what} [rule {self.rule.value}, {self.rule.title}]"


@dataclass
class Findings:
    """The failures found so far: the first ``limit`` of every rule, and how many there were.

    Attributes:
        limit: of each rule, so that one that fails everywhere hides no other.
        failures: in the order they were found.
        counts: rule -> places where it fails, those beyond the limit too.
    """

    limit: int
    failures: list[Failure] = field(default_factory=list)
    counts: dict[Rule, int] = field(default_factory=dict)

    def add(self, failure: Failure) -> None:
        """Notes one failure."""
        if self.room(failure.rule):
            self.failures.append(failure)
        self.counts[failure.rule] = self.counts.get(failure.rule, 0) + 1

    def add_untold(self, rule: Rule, places: int) -> None:
        """Counts places beyond those that are told one by one."""
        if places:
            self.counts[rule] = self.counts.get(rule, 0) + places

    def room(self, rule: Rule) -> int:
        """How many more failures of a rule are kept."""
        return max(0, self.limit - self.counts.get(rule, 0))
