"""What could not be read as it should be: counted by reason, with the first examples, or refused under ``strict``."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chinesebert.errors import InputError

# Enough to see what is wrong, few enough that a million bad lines do not fill the screen or the manifest.
EXAMPLES_PER_REASON = 5
_LONGEST_DETAIL = 300

_HEADINGS = {
    "files": ("did not read, or not wholly,", "file"),
    "counts": ("skipped", "bad record"),
    "repaired": ("repaired", "record"),
    "passed_over": ("passed over", "record"),
}


class UnreadableFile(Exception):
    """A file cannot be read, or not beyond some place. What stands before that place has been handed out."""

    def __init__(self, reason: str, detail: str = "", remedy: str = "fetch or write the file again") -> None:
        super().__init__(reason, detail, remedy)
        self.reason, self.detail, self.remedy = reason, detail, remedy


@dataclass
class BadRecords:
    """Counts what was skipped or repaired. With ``strict`` the first of them is an error instead.

    A reason is a few words that do not vary with the record, so that there are few different ones; what varies goes to
    ``detail``. Records of many tasks are put together with ``merge``.

    Attributes:
        counts: reason -> records (lines, rows, pages) that were skipped.
        files: reason -> files that could not be read, or not to their end.
        repaired: reason -> records that were mended and kept.
        passed_over: reason -> records that were never meant to be text, such as the pictures in a crawl. These are
            no error under ``strict`` either.
        examples: reason -> where the first ones are.
    """

    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, where: str, reason: str, detail: str = "", remedy: str = "mend or remove it") -> None:
        """Counts one bad record that is skipped; raises ``InputError`` with the ``remedy`` under ``strict``."""
        self._refuse(where, reason, detail, remedy, "skip it")
        self.counts[reason] += 1
        self._keep_example(where, reason, detail)

    def add_file(self, url: str, problem: UnreadableFile) -> None:
        """Counts a file that cannot be read, or not to its end; raises ``InputError`` under ``strict``."""
        self._refuse(url, problem.reason, problem.detail, problem.remedy, "go on with what can be read")
        self.files[problem.reason] += 1
        self._keep_example(url, problem.reason, problem.detail, problem.remedy)

    def repair(self, where: str, reason: str, remedy: str = "mend it") -> None:
        """Counts one record that is kept after a repair; raises ``InputError`` under ``strict``."""
        self._refuse(where, reason, "", remedy, "have it repaired")
        self.repaired[reason] += 1
        self._keep_example(where, reason, "")

    def pass_over(self, where: str, reason: str) -> None:
        """Counts one record that holds no text by its nature; never an error."""
        self.passed_over[reason] += 1
        self._keep_example(where, reason, "")

    def merge(self, other: "BadRecords") -> None:
        """Adds what another task counted."""
        for name in _HEADINGS:
            getattr(self, name).update(getattr(other, name))
        for reason, examples in other.examples.items():
            kept = self.examples.setdefault(reason, [])
            kept += examples[: EXAMPLES_PER_REASON - len(kept)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ``from_dict`` reads it again."""
        counters = {name: dict(sorted(getattr(self, name).items())) for name in _HEADINGS}
        return {"strict": self.strict, **counters, "examples": self.examples}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BadRecords":
        """What ``to_dict`` wrote."""
        counters = {name: Counter(values[name]) for name in _HEADINGS}
        examples = {reason: list(where) for reason, where in values["examples"].items()}
        return cls(strict=values["strict"], examples=examples, **counters)

    def lines(self) -> list[str]:
        """A report: how many, why, and where the first ones are; empty where there is nothing to tell."""
        lines = []
        for name, (verb, noun) in _HEADINGS.items():
            for reason, count in sorted(getattr(self, name).items()):
                lines.append(f"{verb} {count:,} {noun}{'s' if count > 1 else ''}: {reason}")
                lines += [f"  {example}" for example in self.examples.get(reason, ())]
        return lines

    def report(self) -> None:
        """Prints ``lines``."""
        for line in self.lines():
            print(line)

    def _refuse(self, where: str, reason: str, detail: str, remedy: str, otherwise: str) -> None:
        if self.strict:
            raise InputError(f"{_describe(where, reason, detail)}; {remedy}, or run without --strict to {otherwise}")

    def _keep_example(self, where: str, reason: str, detail: str, remedy: str = "") -> None:
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES_PER_REASON:
            examples.append(_describe(where, reason, detail) + (f"; {remedy}" if remedy else ""))


def _describe(where: str, reason: str, detail: str) -> str:
    detail = " ".join(detail.split())  # errors of other packages may take many lines
    if len(detail) > _LONGEST_DETAIL:
        detail = detail[:_LONGEST_DETAIL] + "…"
    return f"{where}: {reason} ({detail})" if detail else f"{where}: {reason}"
