"""Parquet files: every row is a document, and one column holds its text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.columns import check_column, column_documents
from data_prep.readers.documents import Document
from data_prep.readers.sources import Source
from data_prep.readers.streams import BLOCK, open_source

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# Rows are read in batches of about this much text, whatever the size of the file's row groups.
_BATCH_BYTES = 8 << 20


def read_parquet(source: Source, bad: BadRecords, text_field: str) -> Iterator[Document]:
    """The documents of a Parquet file.

    Raises:
        UnreadableFile: it cannot be read, or not to its end, or has no such column; the documents before that have
            been handed out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    with open_source(source) as file:
        try:
            table = pq.ParquetFile(file, buffer_size=BLOCK, page_checksum_verification=True)
            check_column(table.schema_arrow, text_field)
            for batch in table.iter_batches(_batch_rows(table, text_field), columns=[text_field], use_threads=False):
                yield from column_documents(batch.column(0), row, source.url, text_field, bad)
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            detail = str(error).split("\n")[0] + (f"; all before row {row:,} was read" if row else "")
            raise UnreadableFile("damaged Parquet file", detail) from error


def _batch_rows(table: "pq.ParquetFile", text_field: str) -> int:
    """So many rows as hold about ``_BATCH_BYTES`` where they are longest."""
    metadata = table.metadata
    position = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == text_field)
    longest = 1.0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        longest = max(longest, group.column(position).total_uncompressed_size / max(1, group.num_rows))
    return max(1, min(10_000, int(_BATCH_BYTES / longest)))
