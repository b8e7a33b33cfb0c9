"""The kinds of tasks, by name."""

from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.pointers import Pointers
from chinesebert.tasks.kinds.tagging import Segmentation, Tagging

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Classification, Pointers, Segmentation, Tagging)}

__all__ = ["KINDS", "Encoded", "Kind", "Lengths"]
