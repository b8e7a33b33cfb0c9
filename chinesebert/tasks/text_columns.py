"""Finds out which columns of a file are texts, label and id: by their names, or by what is in them.

The same set lies in different places as ``label<TAB>text``, as ``text<TAB>label``, as CSV with a line of names, as JSON
lines. What is none of the layouts in which such sets are published is refused, with the line and what it has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chinesebert.errors import InputError
from chinesebert.tasks.files import shortened

# Names under which sets publish the fields, in lower case, the better known first. `idx` is none of the ids: in
# CLUEWSC several records share one.
ID_NAMES = ("id", "qid", "guid", "index", "test_id", "pairid")
LABEL_NAMES = ("label", "gold_label", "labels", "category", "class", "result", "标签", "类别", "类型")
TEXT_NAMES = ("sentence", "text", "text_a", "content", "review", "comment", "title", "query", "文本", "内容", "评论")
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
    ("premise", "hypo"),
    ("question1", "question2"),
    ("query1", "query2"),
    ("q1", "q2"),
    ("s1", "s2"),
    ("query", "title"),
    ("source", "target"),
)

# Columns of tables without a line of names; `_` is not read. The first that suits a file is its layout.
TEXT_LAYOUTS = ("label text", "text label", "id label text", "id text label", "text", "id text")
PAIR_LAYOUTS = (
    "first second label",
    "label first second",
    "label first second _",
    "id first second label",
    "first second",
    "id first second",
)

Row = tuple[str, list[str]]  # "file:line", cells


@dataclass(frozen=True)
class Columns:
    """Where a record has what is read of it: names of fields or columns; columns without a name are "1", "2", ….

    Attributes:
        texts: of the text, or of the two texts of a pair.
        label: of the label; None where the file has none.
        id: of the id; None where records are numbered.
    """

    texts: tuple[str, ...]
    label: str | None = None
    id: str | None = None


def numbers(cells: Sequence[str]) -> list[str]:
    """Names of the columns where the file does not say them: "1", "2", …."""
    return [str(number) for number in range(1, len(cells) + 1)]


def named_columns(names: Sequence[str], texts: int) -> Columns | None:
    """The columns by names that sets are published with, in upper or lower case; None if the texts are not there."""
    given = {name.strip().lower(): name for name in reversed(names)}
    choices = PAIR_NAMES if texts == 2 else [(name,) for name in TEXT_NAMES]
    chosen = next((choice for choice in choices if all(name in given for name in choice)), None)
    if chosen is None:
        return None
    return Columns(tuple(given[name] for name in chosen), _first_of(LABEL_NAMES, names), _id_among(names, texts))


def told_columns(told: Columns, names: Sequence[str], where: str, texts: int) -> Columns:
    """The columns that the user has named or numbered; label and id only where the file has them.

    What the user has not said goes by the known names.

    Raises:
        InputError: a column of text is missing.
    """
    if len(names) == len(told.texts) and all(name.isdecimal() for name in told.texts):
        return Columns(tuple(names))  # nothing but texts: a test split without labels
    places = {**dict(zip(numbers(names), names, strict=True)), **{name: name for name in names}}
    known = named_columns(names, texts)
    wanted = told.texts or (known.texts if known else ())
    if not wanted:
        raise InputError(f"{where}: which columns are text? Name {texts} of {', '.join(names)} with --text_columns")
    for name in wanted:
        if name not in places:
            raise InputError(f"{where}: has no column {name} for text; it has {', '.join(names)}")
    label = places.get(told.label) if told.label else _first_of(LABEL_NAMES, names)
    id_ = places.get(told.id) if told.id else _id_among(names, texts)
    return Columns(tuple(places[name] for name in wanted), label, id_)


def _id_among(names: Sequence[str], texts: int) -> str | None:
    """The column of ids; ``qid`` is none in pairs: in NLPCC-DBQA it is that of a question with several answers."""
    return _first_of([name for name in ID_NAMES if texts == 1 or name != "qid"], names)


def _first_of(known: Sequence[str], names: Sequence[str]) -> str | None:
    """The name of a file that is the first of the known ones."""
    given = {name.strip().lower(): name for name in reversed(names)}
    return next((given[name] for name in known if name in given), None)


def sniffed_columns(
    rows: Sequence[Row], layouts: Sequence[str], is_label: Callable[[str], bool], labels: Sequence[str]
) -> tuple[bool, Columns]:
    """The columns by what is in them: labels are known, ids differ; and whether the first row is a line of names.

    Args:
        rows: all rows of the file.
        layouts: the possible ones, as texts like ``label text``.
        is_label: whether a cell may be one of a column of labels.
        labels: all labels, for messages.

    Raises:
        InputError: the file has none of the layouts.
    """
    where, cells = rows[0]
    split = [layout.split() for layout in layouts]
    possible = [layout for layout in split if len(layout) == len(cells) and _ids_fit(rows, layout)]
    # Without the first row, too: it may be a line of names.
    shares = [
        (max(_share(part, layout.index("label"), is_label) for part in (rows, rows[1:] or rows)), layout)
        for layout in possible
        if "label" in layout
    ]
    share, best = max(shares, key=lambda item: item[0], default=(0.0, []))
    bare = [layout for layout in possible if "label" not in layout and _may_lack_labels(rows, layout, is_label)]
    if share > 0.5 and (share == 1 or not any("id" in layout for layout in bare)):
        return _names_first(rows, best.index("label"), is_label, labels), _positions(best)
    if bare:
        return False, _positions(bare[0])
    lacks = f", none of which holds the labels {some(labels)}" if shares else ""
    raise InputError(f"{where}: has {len(cells)} columns{lacks}; is this a file of this task? {shortened(str(cells))}")


def _names_first(rows: Sequence[Row], column: int, is_label: Callable[[str], bool], labels: Sequence[str]) -> bool:
    """Whether the first row is a line of names: what it has for a label is called label.

    Raises:
        InputError: another row has no label.
    """
    wrong = [(where, cells) for where, cells in rows if len(cells) > column and not is_label(cells[column])]
    if not wrong:
        return False
    first = wrong[0] == rows[0]
    if first and len(wrong) == 1 and rows[0][1][column].strip().lower() in LABEL_NAMES:
        return True
    where, cells = wrong[0]
    hint = " If it is a line of names, take it out." if first and len(wrong) == 1 else ""
    raise InputError(
        f"{where}: the label {cells[column]!r} is none of {some(labels)}; is this a file of this task?{hint}"
    )


def some(labels: Sequence[str]) -> str:
    """Labels as a message lists them: a dozen at most."""
    return ", ".join(labels[:12]) + (f", … {len(labels)} in all" if len(labels) > 12 else "")


def _share(rows: Sequence[Row], column: int, is_label: Callable[[str], bool]) -> float:
    """The share of rows that have a label in a column, of those that have the column."""
    cells = [cells[column] for _, cells in rows if len(cells) > column]
    return sum(map(is_label, cells)) / len(cells) if cells else 0.0


def _positions(layout: Sequence[str]) -> Columns:
    texts = tuple(str(number) for number, what in enumerate(layout, 1) if what in ("text", "first", "second"))
    label, id_ = (str(layout.index(what) + 1) if what in layout else None for what in ("label", "id"))
    return Columns(texts, label, id_)


def _may_lack_labels(rows: Sequence[Row], layout: Sequence[str], is_label: Callable[[str], bool]) -> bool:
    """Whether rows may be of a layout without labels: ids differ, and no column of text is one of labels."""
    columns = list(zip(*(cells for _, cells in rows if len(cells) == len(layout)), strict=True))
    texts = [column for what, column in zip(layout, columns, strict=True) if what not in ("id", "_")]
    ids = [column for what, column in zip(layout, columns, strict=True) if what == "id"]
    return all(map(_are_ids, ids)) and not any(all(cell and is_label(cell) for cell in column) for column in texts)


def _ids_fit(rows: Sequence[Row], layout: Sequence[str]) -> bool:
    """Whether what is in the column of ids may be ids, and is no Chinese text; the first row may be a line of names."""
    if "id" not in layout:
        return True
    column = layout.index("id")
    return all(_is_id(cells[column]) for _, cells in rows[1:] or rows if len(cells) > column)


def _are_ids(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(map(_is_id, cells))


def _is_id(cell: str) -> bool:
    return cell.isascii() and " " not in cell.strip()
