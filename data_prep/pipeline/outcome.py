"""What a run has done: what was read, dropped, changed and kept, from the counts that every task wrote."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from data_prep.pipeline.workspace import Workspace
from data_prep.readers import BadRecords


@dataclass
class StepOutcome:
    """What one cleaning step did in all tasks together.

    Attributes:
        name: of the step.
        dropped: reason -> (documents, characters).
        changed_documents: documents that were changed and went on.
        removed_characters: by those changes; negative where text was added.
        kept: why a document was kept that might have been dropped -> documents.
    """

    name: str
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed_documents: int = 0
    removed_characters: int = 0
    kept: dict[str, int] = field(default_factory=dict)

    def lost_characters(self) -> int:
        """Characters that came in and did not go out."""
        return self.removed_characters + sum(characters for _, characters in self.dropped.values())

    def add(self, tally: dict[str, Any]) -> None:
        """Adds the tally of one task."""
        for reason, documents in tally["dropped_documents"].items():
            before = self.dropped.get(reason, (0, 0))
            self.dropped[reason] = (before[0] + documents, before[1] + tally["dropped_characters"][reason])
        self.changed_documents += tally["changed_documents"]
        self.removed_characters += tally["removed_characters"]
        for reason, documents in tally.get("kept_documents", {}).items():  # earlier versions noted none
            self.kept[reason] = self.kept.get(reason, 0) + documents


@dataclass
class Outcome:
    """What became of all documents; ``read`` and ``kept`` are (documents, characters)."""

    read: tuple[int, int]
    steps: list[StepOutcome]
    kept: tuple[int, int]
    bad: BadRecords

    def skipped_records(self) -> dict[str, int]:
        """Reason -> how many records or files could not be read; for the manifest."""
        return dict(Counter(self.bad.counts) + Counter(self.bad.files))

    def to_dict(self) -> dict[str, Any]:
        """For ``preparation.json`` in the corpus."""
        steps = [vars(step) | {"dropped": dict(sorted(step.dropped.items()))} for step in self.steps]
        return {"read": self.read, "steps": steps, "kept": self.kept, "bad_records": self.bad.to_dict()}

    def table(self) -> list[str]:
        """What came in, what each step dropped or changed, and what went out, a line each."""
        rows = [("", "documents", "", "characters", "")]
        rows.append(_row("in", *self.read, self.read))
        for step in self.steps:
            for reason, (documents, characters) in sorted(step.dropped.items()):
                rows.append(_row(f"  {step.name}: {reason}", -documents, -characters, self.read))
            for reason, documents in sorted(step.kept.items()):
                rows.append((f"  {step.name}: {reason}", f"{documents:,} kept", "", "", ""))
            if step.changed_documents:
                changed = f"{step.changed_documents:,} changed"
                rows.append((f"  {step.name}", changed, "", *_cells(-step.removed_characters, self.read[1])))
        rows.append(_row("out", *self.kept, self.read))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return [_line(row, widths) for row in rows]


def _row(label: str, documents: int, characters: int, whole: tuple[int, int]) -> tuple[str, str, str, str, str]:
    return (label, *_cells(documents, whole[0]), *_cells(characters, whole[1]))


def _cells(number: int, whole: int) -> tuple[str, str]:
    return f"{number:,}", f"{abs(number) / max(whole, 1):.2%}"


def _line(row: tuple[str, str, str, str, str], widths: list[int]) -> str:
    label, *numbers = row
    cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([label.ljust(widths[0]), *cells]).rstrip()


def read_outcome(workspace: Workspace) -> Outcome:
    """Adds up the counts of all tasks."""
    bad = BadRecords()
    read = workspace.load_task_files("counts", "read")
    for counts in read:
        bad.merge(BadRecords.from_dict(counts["bad"]))
    steps: dict[str, StepOutcome] = {}
    for stage in ("clean", "annotate"):
        for counts in workspace.load_task_files("counts", stage):
            for tally in counts["steps"]:
                steps.setdefault(tally["name"], StepOutcome(tally["name"])).add(tally)
    pieces = workspace.load_task_files("counts", "pieces")
    empty = sum(count["empty_documents"] for count in pieces), sum(count["empty_characters"] for count in pieces)
    if empty[0]:
        steps["annotate"] = StepOutcome("annotate", {"no token": empty})
    return Outcome(_sum(read), list(steps.values()), _sum(pieces), bad)


def _sum(counts: list[dict[str, Any]]) -> tuple[int, int]:
    return sum(count["documents"] for count in counts), sum(count["characters"] for count in counts)
