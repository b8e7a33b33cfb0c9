"""The kinds of tasks, by name."""

from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.ranking import Ranking
from chinesebert.tasks.kinds.reading import Reading

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Classification, Reading, Choice, Ranking)}

__all__ = ["KINDS", "Encoded", "Kind", "Lengths"]
