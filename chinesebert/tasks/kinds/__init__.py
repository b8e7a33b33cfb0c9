"""The kinds of tasks, by name."""

from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.correction import Correction
from chinesebert.tasks.kinds.marked_character import MarkedCharacter
from chinesebert.tasks.kinds.multi_label import MultiLabel
from chinesebert.tasks.kinds.pointers import Pointers
from chinesebert.tasks.kinds.ranking import Ranking
from chinesebert.tasks.kinds.reading import Reading
from chinesebert.tasks.kinds.tagging import Segmentation, Tagging

_ALL = (
    *(Classification, MultiLabel, Ranking, Tagging, Segmentation, Pointers),
    *(MarkedCharacter, Reading, Choice, Correction),
)
KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in _ALL}

__all__ = ["KINDS", "Encoded", "Kind", "Lengths"]
