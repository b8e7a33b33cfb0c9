"""``--task custom``: a task of the user's own files, made at run time from flags.

``--kind`` says what the files hold; it is a name in ``CUSTOM_KINDS``, each of which makes a reader from the flags. A
new one is an entry there: the kind of ``chinesebert.tasks.kinds`` that trains it, a function
``(flags, labels) -> reader`` (``read(path)`` yields examples of ``chinesebert.tasks.examples``), the figures it may be
judged by, and hyper-parameters. Flags that only it needs are fields of ``CustomArguments``; those that there are mean
the same for all: ``text_columns`` the fields of text (of reading: context and question), ``label_column`` that of the
labels, tags, spans, answers or the corrected text, ``id_column`` that of the ids, ``labels`` all labels.

A folder of PyCLUE (``train.txt``, ``dev.txt``, ``labels.txt``; ``label<TAB>text`` or ``label<TAB>text<TAB>text``) needs
no flags but ``--kind`` and ``--data_dir``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.correction_files import read_corrections
from chinesebert.tasks.definitions.c3 import read as read_c3
from chinesebert.tasks.files import read_lines
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.reading_files import read_reading
from chinesebert.tasks.segmented import read_segmented
from chinesebert.tasks.span_files import read_spans
from chinesebert.tasks.task import Defaults, Reader, Task
from chinesebert.tasks.text_columns import Columns

NAME = "custom"
LABELS_FILE = "labels.txt"  # as PyCLUE has it


@dataclass
class CustomArguments:
    """What a task of the user's own files is."""

    kind: str | None = field(
        default=None,
        metadata={
            "help": "--task custom: what the files hold: single (a text, a label), pair, multi_label, spans, "
            "overlapping_spans, words, reading, choice, correction."
        },
    )
    end_inclusive: bool = field(
        default=False,
        metadata={"help": "--task custom --kind spans: the end of a span is its last character, not the one behind."},
    )
    text_columns: list[str] = field(
        default_factory=list,
        metadata={"help": "--task custom: names of the columns (fields) of text, or their numbers from 1."},
    )
    label_column: str | None = field(
        default=None, metadata={"help": "--task custom: name or number of the column (field) of labels."}
    )
    id_column: str | None = field(
        default=None, metadata={"help": "--task custom: name or number of the column (field) of ids."}
    )
    labels: list[str] = field(
        default_factory=list,
        metadata={"help": "--task custom: all labels in the order of their numbers, or a file with one a line."},
    )
    label_separator: str = field(
        default=",", metadata={"help": "--task custom --kind multi_label: what is between two labels of a text."}
    )
    header: str = field(
        default="auto",
        metadata={"help": "--task custom: whether tables have a line of names: yes, no, auto (it is seen)."},
    )
    metric: str | None = field(
        default=None, metadata={"help": "--task custom: the figure by which the best model is chosen."}
    )


#: ``(flags, all labels or None) -> reader``
ReaderOf = Callable[[CustomArguments, tuple[str, ...] | None], Reader]


@dataclass(frozen=True)
class CustomKind:
    """What ``--kind`` stands for.

    Attributes:
        kind: a name in ``chinesebert.tasks.kinds.KINDS``.
        reader: makes the reader of files from the flags.
        metrics: the figures by which the best model may be chosen, the usual one first.
        defaults: hyper-parameters.
    """

    kind: str
    reader: ReaderOf
    metrics: tuple[str, ...]
    defaults: Defaults = field(default_factory=lambda: Defaults("as CLUE's own scripts for single texts and pairs"))


def texts_reader(texts: int, several: bool = False) -> ReaderOf:
    """Readers of labelled texts, or of pairs with ``texts`` 2; with ``several`` labels for each, or one."""

    def make(args: CustomArguments, labels: tuple[str, ...] | None) -> Reader:
        given = _split(args.text_columns)
        number = len(given) if several and given else texts  # several labels may be those of a pair
        if (given and len(given) != number) or number > 2:
            kinds = "single takes one, pair two, multi_label one or two"
            raise InputError(f"text_columns names {len(given)} columns ({', '.join(given)}): {kinds}")
        told = Columns(tuple(given), args.label_column, args.id_column)
        return LabelledTexts(
            number,
            labels,
            layouts=_PYCLUE[number] if labels and not (args.labels or args.text_columns) else (),
            columns=told if told != Columns(()) else None,
            header=_header(args),
            separator=args.label_separator if several else None,
        )

    return make


# Labels in a test file of PyCLUE may be made up, and then mean nothing.
_PYCLUE = {
    1: ("label text", "text label", "_ text", "text"),
    2: ("label first second", "first second label", "_ first second", "first second"),
}


def _spans_reader(args: CustomArguments, labels: tuple[str, ...] | None) -> Reader:
    return partial(read_spans, inclusive=args.end_inclusive)


def _fixed(read: Reader) -> ReaderOf:
    """A reader that finds out by itself which of the published layouts a file has."""
    return lambda args, labels: read


_OF_SPANS = Defaults("as the ChineseBERT authors' OntoNotes", 256, 16, 3e-5, 5)
_FIGURES = ("accuracy", "macro_f1", "f1")
_SEVERAL = ("micro_f1", "macro_f1", "exact_match")

CUSTOM_KINDS: dict[str, CustomKind] = {
    "single": CustomKind("classification", texts_reader(1), _FIGURES),
    "pair": CustomKind("classification", texts_reader(2), _FIGURES),
    "multi_label": CustomKind("multi_label", texts_reader(1, several=True), _SEVERAL),
    "spans": CustomKind("tagging", _spans_reader, ("f1",), _OF_SPANS),
    "overlapping_spans": CustomKind("pointers", _spans_reader, ("f1",), _OF_SPANS),
    "words": CustomKind("segmentation", _fixed(read_segmented), ("f1",), _OF_SPANS),
    "reading": CustomKind(
        "reading", _fixed(read_reading), ("em", "f1"), Defaults("CLUE's own script", 512, 32, 3e-5, 2)
    ),
    "choice": CustomKind("choice", _fixed(read_c3), ("accuracy",), Defaults("CLUE's script of C3", 512, 24, 2e-5, 8)),
    "correction": CustomKind(
        "correction", _fixed(read_corrections), ("sighan_sentence_correction_f1",), Defaults("SCOPE", 192, 32, 5e-5, 30)
    ),
}


def custom_task(args: CustomArguments, data_dir: str | None = None, saved: Sequence[str] | None = None) -> Task:
    """The task that the flags describe.

    Args:
        args: the flags.
        data_dir: the folder of the files; ``labels.txt`` in it holds all labels, where the flags do not say them.
        saved: the labels of the fine-tuned model, where one only predicts.

    Raises:
        InputError: flags are missing or contradict each other.
    """
    custom = CUSTOM_KINDS.get(args.kind or "")
    if custom is None:
        what = "is not set" if args.kind is None else f"is {args.kind}"
        raise InputError(f"kind {what}: with --task custom, give --kind {', --kind '.join(CUSTOM_KINDS)}")
    labels = _labels(args, data_dir)
    metric = args.metric or custom.metrics[0]
    if metric not in custom.metrics or (metric == "f1" and labels and len(labels) != 2):
        raise InputError(
            f"metric is {metric}: of --kind {args.kind} it can be {', '.join(custom.metrics)} (f1: of two labels only)"
        )
    return Task(
        name=NAME,
        title=f"files of your own ({args.kind})",
        suite="paper",
        kind=custom.kind,
        files={
            "train": table_names("train"),
            "dev": table_names("dev", "val", "valid", "validation"),
            "test": table_names("test"),
        },
        read=custom.reader(args, labels or (tuple(saved) if saved else None)),
        metric=metric,
        defaults=custom.defaults,
        labels=labels,
    )


def _labels(args: CustomArguments, data_dir: str | None) -> tuple[str, ...] | None:
    """All labels: those of the flag, of the file that it names, or of ``labels.txt`` in the folder; None if none says.

    Raises:
        InputError: one is named twice.
    """
    given = _split(args.labels)
    listed = Path(given[0]) if len(given) == 1 else Path(data_dir or "") / LABELS_FILE
    if (len(given) == 1 or (not given and data_dir)) and listed.is_file():
        given = [line.strip() for _, line in read_lines(listed) if line.strip()]
    double = next((label for number, label in enumerate(given) if label in given[:number]), None)
    if double is not None:
        raise InputError(f"labels: {double} is named twice")
    return tuple(given) or None


def _split(given: Sequence[str] | str) -> list[str]:
    """Names that are separated by spaces or commas, or by the list of a recipe."""
    parts = [given] if isinstance(given, str) else [str(part) for part in given]
    return [name.strip() for part in parts for name in part.split(",") if name.strip()]


def _header(args: CustomArguments) -> bool | None:
    """Whether tables have a line of names; None: it is seen.

    Raises:
        InputError: the flag has no such value.
    """
    values = {"yes": True, "no": False, "true": True, "false": False, "auto": None}  # YAML reads `no` as false
    if str(args.header).lower() not in values:
        raise InputError(f"header is {args.header}: it must be yes, no or auto")
    return values[str(args.header).lower()]
