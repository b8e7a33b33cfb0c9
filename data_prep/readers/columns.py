"""A column of text in a table: what Parquet files and Hugging Face data sets have in common."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import Document, record_documents

if TYPE_CHECKING:
    import pyarrow as pa


def check_column(schema: "pa.Schema", text_field: str) -> None:
    """Refuses a table that has no text in that column.

    Raises:
        UnreadableFile: the column is not there, there several times, or of another type.
    """
    if text_field not in schema.names:
        columns = ", ".join(map(repr, schema.names[:20]))
        raise UnreadableFile(f"no column {text_field!r}", f"it has {columns}", "name another with --text_field")
    if schema.names.count(text_field) > 1:
        raise UnreadableFile(
            f"several columns {text_field!r}",
            f"it has {schema.names.count(text_field)}",
            "write the file again with different names, or name another column with --text_field",
        )
    column_type = schema.field(text_field).type
    if not _is_text(column_type):
        raise UnreadableFile(
            f"column {text_field!r} is not text", f"it holds {column_type}", "name another with --text_field"
        )


def column_documents(
    column: "pa.ChunkedArray | pa.Array", first_row: int, url: str, text_field: str, bad: BadRecords
) -> Iterator[Document]:
    """The documents of consecutive rows; ``first_row`` counts from 0, as tables do."""
    for row, text in enumerate(_values(column), start=first_row):
        where = f"{url}:row {row}"
        if isinstance(text, str):
            yield from record_documents(text, where, bad)
        elif text is None:
            bad.add(where, f"column {text_field!r} is null", remedy="fill or remove the row")
        else:
            bad.add(where, "not UTF-8", remedy="mend or remove the row")


def _is_text(column_type: "pa.DataType") -> bool:
    import pyarrow.types as types

    if types.is_dictionary(column_type):
        return _is_text(column_type.value_type)
    return any(is_type(column_type) for is_type in (*_text_types(), types.is_binary, types.is_large_binary))


def _text_types() -> Iterable:
    import pyarrow.types as types

    return types.is_string, types.is_large_string, types.is_string_view


def _values(column: "pa.ChunkedArray | pa.Array") -> list[str | bytes | None]:
    """Strings, None for nulls, and bytes for what is not UTF-8."""
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        import pyarrow as pa

        values = column.cast(pa.large_binary()).to_pylist()
    return [_decoded(value) if isinstance(value, bytes) else value for value in values]


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
