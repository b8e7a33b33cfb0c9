"""What is known about a task: its files, labels, kind, metric, default hyper-parameters and submission files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.tasks.examples import Example

SPLITS = ("train", "dev", "test")

Reader = Callable[[Path], Iterator[Example]]
#: One file, or several that make up a split together.
Files = str | tuple[str, ...]


@dataclass(frozen=True)
class Defaults:
    """Hyper-parameters that are used where neither recipe nor flags set others.

    Attributes:
        source: where the values were published.
    """

    source: str
    max_seq_length: int = 128
    per_device_train_batch_size: int = 16
    learning_rate: float = 2e-5
    num_train_epochs: float = 3
    warmup_steps: float = 0.1  # below 1: a share of all steps
    weight_decay: float = 0.01
    doc_stride: int = 128  # tokens that neighbouring windows share, where a text is read in windows
    extra: Mapping[str, Any] = field(default_factory=dict)  # any other flag


@dataclass(frozen=True)
class Submission:
    """A file that the benchmark's server takes.

    Attributes:
        name: the file's name, which servers check.
        write: ``(examples, predictions) -> lines`` of the file, without line ends.
        test_file: made only from test files of this name (older and newer test sets have different names); "" for any.
        beside: made only where one of these files lies in the folder of the test file: two benchmarks publish the same
            task under the same names of test files.
        fits: whether examples are of this server's test set, where two servers' sets have the same file names; None:
            all are.
    """

    name: str
    write: Callable[[Sequence[Any], Sequence[Any]], Iterable[str]]
    test_file: str = ""
    beside: tuple[str, ...] = ()
    fits: Callable[[Sequence[Any]], bool] | None = None

    @property
    def special(self) -> bool:
        """Whether it is made from some test files only."""
        return bool(self.test_file or self.beside)

    def suits(self, test_file: Path) -> bool:
        """Whether it is what the server takes for a test file."""
        if self.test_file and self.test_file != test_file.name:
            return False
        return not self.beside or any((test_file.parent / name).exists() for name in self.beside)


@dataclass(frozen=True)
class Task:
    """An entry of the registry.

    Attributes:
        name: as ``--task`` takes it.
        title: what it is, in a line.
        suite: the script that runs it: ``clue``, ``ccks`` or ``paper``.
        kind: what its examples and predictions are: a name in ``chinesebert.tasks.kinds.KINDS``.
        files: for each split the files as published, alternatives in the order of preference; ``*`` and ``?`` match.
            A tuple among them is several files that make up the split together.
        read: reads one of the files.
        metric: the figure that counts, one of those ``score`` returns.
        labels: all labels in the order of their numbers; None: those of the training data, sorted.
        defaults: hyper-parameters.
        submissions: what the server takes.
        score: ``(examples, predictions) -> figures``, where the kind's own is not what the task's publishers compute.
        source: where data and format were published, for documentation and messages.
        folders: names of its folder besides its own, as archives and people call it; in lower case with ``_``, without
            ``clue_``, ``_public`` and ``_data``. No two tasks share one, unless their files have different names.
    """

    name: str
    title: str
    suite: str
    kind: str
    files: Mapping[str, Sequence[Files]]
    read: Reader
    metric: str
    defaults: Defaults
    labels: tuple[str, ...] | None = None
    submissions: tuple[Submission, ...] = ()
    score: Callable[[Sequence[Any], Sequence[Any]], dict[str, float]] | None = None
    source: str = ""
    folders: tuple[str, ...] = ()
