"""Entity linking as pair scoring: a mention in its text against the description of each entity of that name."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import field_of, read_records, text_of
from chinesebert.tasks.knowledge_base import Entity, knowledge_base_beside
from chinesebert.tasks.metrics.linking import NIL, linking_scores


@dataclass(frozen=True)
class LinkingExample(TextExample):
    """A mention and a candidate. ``text_pair`` describes the candidate, ``types`` are its kinds."""

    types: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # the text's, as published
    place: int = 0  # which of the text's mentions


@dataclass(frozen=True)
class EntityLinking:
    """Reads, decides, scores and writes a year's entity linking.

    The candidates of a mention are the entities of the knowledge base that have its name. A mention that has none gets
    a candidate for each thing it may be outside of the base (``nil_types``), so that the model can choose there.

    Attributes:
        knowledge_bases: names of the knowledge base's file, beside the task's files.
        nil_types: kinds of things outside of the base with their description, ``{"Person": "人物"}``; empty where
            kinds are not asked for.
        least: below this probability the best entity is turned down, and the mention is of something outside of the
            base, of the best entity's first kind.
    """

    knowledge_bases: tuple[str, ...]
    nil_types: dict[str, str]
    least: float = 0.0

    def read(self, path: Path) -> Iterator[LinkingExample]:
        """JSON lines ``{"text_id", "text", "mention_data": [{"mention", "offset", "kb_id"}]}``; an example a candidate.

        ``offset`` is a number, published as text. Texts without a mention give no example.

        Raises:
            InputError: the file has another form or no mentions, an offset is not that of its mention, a ``text_id``
                occurs twice, or there is no knowledge base.
        """
        base = knowledge_base_beside(path, self.knowledge_bases)
        seen: dict[str, str] = {}
        number = itertools.count()
        for where, record in read_records(path):
            text_id = str(field_of(record, "text_id", where))
            if text_id in seen:
                raise InputError(f"{where}: the text_id {text_id} is that of {seen[text_id]} too")
            seen[text_id] = where
            for place, mention in enumerate(_mentions(record, where)):
                marked_text = marked(text_of(record, "text", where), mention, where)
                for entity in base.candidates(mention["mention"]) or self._outside():
                    yield _pair(next(number), record, place, marked_text, entity, where)

    def _outside(self) -> list[Entity]:
        if not self.nil_types:
            return [Entity(NIL, (), "不在知识库中")]
        return [Entity(f"{NIL}_{kind}", (kind,), f"不在知识库中，{name}") for kind, name in self.nil_types.items()]

    def decide(self, examples: Sequence[LinkingExample], predictions: Sequence[float]) -> dict[str, str]:
        """The entity, or ``NIL``, of each mention, by group."""
        best: dict[str, tuple[float, LinkingExample]] = {}
        for example, probability in zip(examples, predictions, strict=True):
            group = str(example.group)
            if group not in best or probability > best[group][0]:
                best[group] = probability, example
        return {group: self._decision(*found) for group, found in best.items()}

    def _decision(self, probability: float, example: LinkingExample) -> str:
        candidate = str(example.candidate)
        if candidate.startswith(NIL) or probability >= self.least:
            return candidate
        return f"{NIL}_{example.types[0]}" if self.nil_types and example.types else NIL

    def score(self, examples: Sequence[LinkingExample], predictions: Sequence[float]) -> dict[str, float]:
        """Those of ``linking_scores``; and ``reachable``, the share of mentions whose entity is a candidate at all."""
        decisions = self.decide(examples, predictions)
        truths = {str(example.group): str(example.truth) for example in examples}
        reached = {example.group for example in examples if example.label == "1"}
        guesses = [decisions[group] for group in truths]
        scores = linking_scores(list(truths.values()), guesses, nil_counts=bool(self.nil_types))
        return scores | {"reachable": len(reached) / len(truths)}

    def write(self, examples: Sequence[LinkingExample], predictions: Sequence[float]) -> Iterator[str]:
        """The records as published, with each mention's ``kb_id``; texts without a mention are not among them."""
        decisions = self.decide(examples, predictions)
        written = set()
        for example in examples:
            record = example.record
            if record["text_id"] in written:
                continue
            written.add(record["text_id"])
            mentions = [
                {
                    "kb_id": decisions[f"{record['text_id']}#{place}"],
                    "mention": item["mention"],
                    "offset": item["offset"],
                }
                for place, item in enumerate(record["mention_data"])
            ]
            yield json.dumps(
                {"text_id": record["text_id"], "text": record["text"], "mention_data": mentions}, ensure_ascii=False
            )


def _pair(number: int, record: dict[str, Any], place: int, text: str, entity: Entity, where: str) -> LinkingExample:
    truth = record["mention_data"][place].get("kb_id") or None
    return LinkingExample(
        number,
        text,
        entity.description,
        None if truth is None else str(int(entity.id in str(truth).split("|"))),
        group=f"{record['text_id']}#{place}",
        truth=None if truth is None else str(truth),
        candidate=entity.id,
        types=entity.types,
        record=record,
        place=place,
        where=where,
    )


def marked(text: str, mention: dict[str, Any], where: str) -> str:
    """The text with the mention in ``【】``.

    Raises:
        InputError: the mention does not stand at its offset.
    """
    name = text_of(mention, "mention", where)
    given = str(field_of(mention, "offset", where))
    if not given.isdecimal() or not name:
        raise InputError(
            f"{where}: the mention {name!r} has the offset {given!r}, which is no number, or no characters"
        )
    start, end = int(given), int(given) + len(name)
    if text[start:end].lower() != name.lower():
        place = text.find(name)
        hint = f"it stands at {place}" if place >= 0 else "it does not stand in the text"
        raise InputError(f"{where}: at {start} stands {text[start:end]!r}, not the mention {name!r}; {hint}")
    return f"{text[:start]}【{text[start:end]}】{text[end:]}"


def _mentions(record: dict[str, Any], where: str) -> list[dict[str, Any]]:
    if "mention_data" not in record:
        raise InputError(
            f"{where}: has no `mention_data`: which of a text's names are mentions has to be given; "
            "find them with a model for names, and write them as in the training file"
        )
    mentions = record["mention_data"]
    if not isinstance(mentions, list) or not all(isinstance(item, dict) for item in mentions):
        raise InputError(f"{where}: `mention_data` is not a list of mentions")
    return mentions
