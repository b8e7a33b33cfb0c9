"""Reads labelled texts, and pairs of texts, in the layouts in which such sets are published."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import (
    JSON_ENDINGS,
    id_of,
    label_of,
    read_records,
    read_rows,
    read_text,
    shortened,
    text_of,
)
from chinesebert.tasks.text_columns import (
    LABEL_NAMES,
    PAIR_LAYOUTS,
    PAIR_NAMES,
    TEXT_LAYOUTS,
    TEXT_NAMES,
    Columns,
    Row,
    named_columns,
    numbers,
    sniffed_columns,
    told_columns,
)

_JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*[{\[\]])')


@dataclass(frozen=True)
class LabelledTexts:
    """Reads one file of labelled texts or pairs: JSON records, or a table with or without a line of names.

    Attributes:
        texts: 1, or 2 for pairs.
        labels: all labels, where they are known: by them the column of labels is found.
        renamed: other spellings of labels.
        dropped: records with these labels are left out ("-": the annotators did not agree).
        foreign: fields that files of another task have, which would pass for this one's, with its name.
        only: values that records must have in fields that a file has beside text and label.
        layouts: columns of tables without a line of names, instead of the usual ones.
        columns: what the user says about fields or columns, instead of the known names.
        header: whether tables have a line of names; None: it is seen.
        separator: what separates several labels of one text; None where each has one.
    """

    texts: int
    labels: tuple[str, ...] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)
    layouts: tuple[str, ...] = ()
    columns: Columns | None = None
    header: bool | None = None
    separator: str | None = None

    def __call__(self, path: Path) -> Iterator[TextExample]:
        """The examples of a file, in its order; numbered from 0 over all its records where they have no ids.

        Raises:
            InputError: it holds no labelled texts, or not as many as there should be in a row.
        """
        is_json = path.suffix.lower() in JSON_ENDINGS or _JSON_START.match(read_text(path))
        records = self._json(path) if is_json else self._table(path)
        for number, (where, record, columns) in enumerate(records):
            label = self._label(record, columns, where)
            if label in self.dropped or any(record.get(name, value) != value for name, value in self.only.items()):
                continue
            texts = [text_of(record, name, where) for name in columns.texts]
            names = [columns.id] if columns.id else []
            yield TextExample(
                id_of(record, names, where, number), texts[0], texts[1] if len(texts) > 1 else None, label, where=where
            )

    def _label(self, record: dict[str, Any], columns: Columns, where: str) -> str | tuple[str, ...] | None:
        if columns.label is None:
            return None
        if self.separator is not None:
            return several_labels(record.get(columns.label), self.separator, where)
        label = (label_of(record, columns.label, where) or "").strip()
        unknown = not label or (label == "-1" and self.labels is not None and label not in self.labels)
        return None if unknown else self.renamed.get(label, label)

    def _json(self, path: Path) -> Iterator[tuple[str, dict[str, Any], Columns]]:
        found: dict[tuple[str, ...], Columns] = {}
        for where, record in read_records(path):
            names = tuple(record)
            if names not in found:
                found[names] = self._named(names, where)
            yield where, record, found[names]

    def _named(self, names: Sequence[str], where: str) -> Columns:
        """The columns by their names.

        Raises:
            InputError: the texts are not among them, or a field of another task is.
        """
        for name in names:
            if name in self.foreign:
                raise InputError(
                    f"{where}: has `{name}`, as files of {self.foreign[name]}; is this a file of this task?"
                )
        if self.columns is not None:
            return told_columns(self.columns, names, where, self.texts)
        columns = named_columns(names, self.texts)
        if columns is None:
            wanted = " and ".join(PAIR_NAMES[0]) if self.texts == 2 else TEXT_NAMES[0]
            raise InputError(f"{where}: has no {wanted} (it has {', '.join(names)}); is this a file of this task?")
        return columns

    def _table(self, path: Path) -> Iterator[tuple[str, dict[str, Any], Columns]]:
        rows = self._cut_at_labels(self._rows(path))
        if not rows:
            return
        with_names, columns = self._columns(rows)
        first = [cell.strip() for cell in rows[0][1]]
        places = numbers(first)
        for where, cells in rows[1:] if with_names else rows:
            if len(cells) != len(places):
                raise InputError(
                    f"{where}: has {len(cells)} columns, and the first line {len(places)}: {shortened(str(cells))}"
                )
            record = dict(zip(places, cells, strict=True))
            yield where, record | dict(zip(first, cells, strict=True)) if with_names else record, columns

    def _rows(self, path: Path) -> list[Row]:
        """All rows; commas separate only in CSV files and under a line of names, texts are full of them."""
        if path.suffix.lower() == ".csv":
            return list(read_rows(path))
        rows = list(read_rows(path, comma=False))
        first = rows[0][1] if rows else []
        names = [cell.strip() for cell in first[0].split(",")] if len(first) == 1 else []
        told = set(self.columns.texts) <= {*names} if self.columns and self.columns.texts else False
        named = len(names) > 1 and (told or named_columns(names, self.texts) is not None)
        return list(read_rows(path)) if named else rows

    def _cut_at_labels(self, rows: list[Row]) -> list[Row]:
        """Rows of label and text, where texts hold tabs themselves: they are cut at the first tab, as THUCNews is."""
        alike = len({len(cells) for _, cells in rows}) < 2
        if alike or self.texts != 1 or any(len(cells) < 2 or not cells[0] for _, cells in rows):
            return rows
        if not all(self._is_label(cells[0]) for _, cells in rows):
            return rows
        return [(where, [cells[0], "\t".join(cells[1:])]) for where, cells in rows]

    def _are_names(self, cells: Sequence[str]) -> bool:
        if self.header is not None:
            return self.header
        if self.columns is not None and not all(name.isdecimal() for name in self.columns.texts):
            return True  # the user says them
        return named_columns(cells, self.texts) is not None

    def _columns(self, rows: Sequence[Row]) -> tuple[bool, Columns]:
        """Whether the first row is a line of names, and which column is which."""
        where, cells = rows[0]
        names = [cell.strip() for cell in cells]
        if self._are_names(names):
            return True, self._named(names, where)
        if self.columns is not None:
            columns = told_columns(self.columns, numbers(names), where, self.texts)
            label = names[int(columns.label) - 1] if columns.label else ""
            return self.header is None and label.lower() in LABEL_NAMES, columns
        if not self.labels and len(cells) != self.texts:
            raise InputError(
                f"{where}: does not name its {len(cells)} columns, and labels cannot be told from texts. Put a line of "
                "names first (label, sentence), or, with --task custom, give --text_columns and --label_column"
            )
        layouts = self.layouts or (TEXT_LAYOUTS if self.texts == 1 else PAIR_LAYOUTS)
        return sniffed_columns(rows, layouts, self._is_label, self.labels or ())

    def _is_label(self, cell: str) -> bool:
        """Whether a cell may stand in a column of labels; empty ones and -1 are those of test splits."""
        parts = [cell] if self.separator is None else cell.split(self.separator)
        known = {"", "-1", *(self.labels or ()), *self.renamed, *self.dropped}
        return all(part.strip() in known for part in parts)


def several_labels(value: Any, separator: str, where: str) -> tuple[str, ...] | None:
    """The labels of a text that may have several: a list, or a text with separators; None where there is no field."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(separator)]
    elif isinstance(value, int) and not isinstance(value, bool):
        value = [str(value)]
    if not isinstance(value, list) or not all(isinstance(label, str | int) for label in value):
        raise InputError(f"{where}: the labels are {shortened(value)}, not a list of texts")
    return tuple(dict.fromkeys(str(label) for label in value if label != ""))


def table_names(*names: str) -> tuple[str, ...]:
    """Names of files with the endings under which tables are published."""
    return tuple(f"{name}.{ending}" for name in names for ending in ("tsv", "txt", "csv", "json", "jsonl"))
