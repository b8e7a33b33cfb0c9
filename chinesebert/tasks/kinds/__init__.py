"""The kinds of tasks, by name."""

from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.correction import Correction
from chinesebert.tasks.kinds.marked_character import MarkedCharacter

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Classification, Correction, MarkedCharacter)}

__all__ = ["KINDS", "Encoded", "Kind", "Lengths"]
