"""Knowledge bases of entity linking: which entities a name may mean, and what is known about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.files import field_of, read_records, text_of

MOST_CHARACTERS = 300  # of a description: more than an input of 128 tokens has room for
SUMMARY = "摘要"  # the predicate that says what the entity is; it comes first


@dataclass(frozen=True)
class Entity:
    """An entry: its id, its kinds as published, and a text that describes it."""

    id: str
    types: tuple[str, ...]
    description: str


@dataclass
class KnowledgeBase:
    """Entities by their names; a name is looked up as it is, or in lower case."""

    by_name: dict[str, list[Entity]] = field(default_factory=dict)

    def candidates(self, mention: str) -> Sequence[Entity]:
        """The entities that a mention may mean, in the file's order."""
        return self.by_name.get(mention.lower(), [])


def knowledge_base_beside(path: Path, names: Sequence[str]) -> KnowledgeBase:
    """The knowledge base in the folder of a task's file.

    Raises:
        InputError: none of its names is there, or it is not in the published form.
    """
    for name in names:
        beside = path.parent / name
        if beside.exists():
            facts = beside.stat()
            return _read(beside, facts.st_mtime_ns, facts.st_size)
    raise InputError(f"{path}: needs the knowledge base, published with it, in the same folder: {' or '.join(names)}")


@lru_cache(maxsize=1)  # every split needs it, and it takes a minute to read
def _read(path: Path, changed: int, size: int) -> KnowledgeBase:
    found = KnowledgeBase()
    for where, record in read_records(path):
        entity = Entity(text_of(record, "subject_id", where), tuple(_types(record)), _description(record, where))
        for name in dict.fromkeys(name.lower() for name in _names(record, where)):
            found.by_name.setdefault(name, []).append(entity)
    return found


def _names(record: Mapping[str, Any], where: str) -> Iterator[str]:
    yield text_of(dict(record), "subject", where)
    alias = record.get("alias", [])
    if not isinstance(alias, list) or not all(isinstance(name, str) for name in alias):
        raise InputError(f"{where}: `alias` is not a list of names")
    yield from alias


def _types(record: Mapping[str, Any]) -> list[str]:
    """2019 publishes a list, 2020 one text with bars between."""
    given = record.get("type") or []
    return given.split("|") if isinstance(given, str) else [str(item) for item in given]


def _description(record: Mapping[str, Any], where: str) -> str:
    facts = field_of(dict(record), "data", where)
    if not isinstance(facts, list) or not all(isinstance(fact, dict) for fact in facts):
        raise InputError(f"{where}: `data` is not a list of predicates and objects")
    facts = sorted(facts, key=lambda fact: fact.get("predicate") != SUMMARY)  # stable: the others keep their order
    said = "；".join(f"{fact.get('predicate', '')}：{fact.get('object', '')}" for fact in facts)
    return f"{record['subject']}，{'、'.join(_types(record))}。{said}"[:MOST_CHARACTERS]
