"""What a cleaning step is: text in, text out, or the reason why the document is dropped."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep


@dataclass(frozen=True)
class Dropped:
    """A document is dropped: ``reason`` is a few words that do not vary with the document, ``detail`` says how much."""

    reason: str
    detail: str = ""


@dataclass
class Tally:
    """What one step has done so far, in documents and characters (line feeds counted)."""

    dropped_documents: dict[str, int] = field(default_factory=dict)
    dropped_characters: dict[str, int] = field(default_factory=dict)
    changed_documents: int = 0
    removed_characters: int = 0
    kept_documents: dict[str, int] = field(default_factory=dict)

    def add_kept(self, reason: str) -> None:
        """Counts one document that is kept although a look at it might have it dropped."""
        self.kept_documents[reason] = self.kept_documents.get(reason, 0) + 1

    def add_dropped(self, reason: str, characters: int) -> None:
        """Counts one dropped document."""
        self.dropped_documents[reason] = self.dropped_documents.get(reason, 0) + 1
        self.dropped_characters[reason] = self.dropped_characters.get(reason, 0) + characters


class CleaningStep(PipelineStep):
    """A step of a datatrove pipeline; subclasses say in ``clean`` what becomes of a text.

    A subclass takes its thresholds as keyword arguments annotated with the types of ``thresholds``, each with a
    default, and keeps each under the argument's name.

    Attributes:
        name: as in the YAML and in the table at the end of a run; its module has the same name.
        tally: what it has done.
        rejected: the documents it dropped are appended here with ``metadata["dropped_by"]``, ``["reason"]``,
            ``["detail"]`` where the run keeps them; None where it does not.
    """

    type = "cleaning"

    def __init__(self) -> None:
        super().__init__()
        self.tally = Tally()
        self.rejected: list[Document] | None = None

    @abstractmethod
    def clean(self, text: str) -> str | Dropped:
        """The text as it is to be kept (the same object where nothing changes), or why it is not kept.

        ``text`` is never empty; its paragraphs, never blank, end in line feeds. What comes back may hold blank lines
        and white space at the ends of lines: ``run`` takes them out.
        """

    def settings(self) -> dict[str, Any]:
        """Name and thresholds, as plain JSON; two steps with equal settings do the same."""
        parameters = inspect.signature(type(self)).parameters
        return {"name": self.name, **{name: _plain(getattr(self, name)) for name in parameters}}

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Passes on what is kept."""
        for document in data:
            outcome = self.outcome(document.text)
            if isinstance(outcome, Dropped):
                self.drop(document, outcome)
                continue
            if outcome is not document.text and outcome != document.text:
                self.tally.changed_documents += 1
                self.tally.removed_characters += len(document.text) - len(outcome)
                document.text = outcome
            yield document

    def outcome(self, text: str) -> str | Dropped:
        """``clean``, with paragraphs put in order again where it changed the text."""
        cleaned = self.clean(text)
        if isinstance(cleaned, Dropped) or cleaned is text:
            return cleaned
        return "\n".join(filter(None, map(str.strip, cleaned.split("\n")))) or Dropped("nothing left")

    def drop(self, document: Document, why: Dropped) -> None:
        """Counts a dropped document and keeps it where the run does."""
        self.tally.add_dropped(why.reason, len(document.text))
        if self.rejected is not None:
            document.metadata |= {"dropped_by": self.name, "reason": why.reason, "detail": why.detail}
            self.rejected.append(document)


def _plain(value: Any) -> Any:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else value
