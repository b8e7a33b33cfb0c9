"""The kinds of tasks, by name."""

from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.multi_label import MultiLabel

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Classification, MultiLabel)}

__all__ = ["KINDS", "Encoded", "Kind", "Lengths"]
