"""Input files -> documents: text, JSON lines, Parquet, WARC and WET, Hugging Face data sets; local or remote.

    for source in find_inputs(["corpus/", "s3://bucket/crawl/*.wet.gz"]):
        for document in read_documents(source, bad): …

One module a format; `files` finds, `streams` opens, `decompression` unpacks, `bad_records` counts what cannot be read.
"""

from collections.abc import Iterator

from chinesebert.errors import InputError
from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import MAX_DOCUMENT_CHARACTERS, Document
from data_prep.readers.files import find_inputs
from data_prep.readers.huggingface import read_dataset
from data_prep.readers.json_lines import read_json_lines
from data_prep.readers.parquet import read_parquet
from data_prep.readers.sources import SUFFIXES, SUPPORTED, Source
from data_prep.readers.text import read_text
from data_prep.readers.warc import read_warc

__all__ = [
    "MAX_DOCUMENT_CHARACTERS",
    "SUFFIXES",
    "SUPPORTED",
    "BadRecords",
    "Document",
    "Source",
    "find_inputs",
    "read_documents",
]


def read_documents(source: Source, bad: BadRecords, text_field: str = "text") -> Iterator[Document]:
    """The documents of one source in order. What cannot be read goes to ``bad``: records, and the file itself.

    ``text_field`` is the field of JSON lines, or the column of Parquet files and data sets, that holds the text.

    Raises:
        InputError: under ``bad.strict``, for the first thing that cannot be read; without, only where another try may
            succeed (a remote file that cannot be reached), a package is missing, or a reader fails in a way that it
            does not know of.
    """
    try:
        if source.kind == "text":
            yield from read_text(source, bad)
        elif source.kind == "json_lines":
            yield from read_json_lines(source, bad, text_field)
        elif source.kind == "parquet":
            yield from read_parquet(source, bad, text_field)
        elif source.kind == "warc":
            yield from read_warc(source, bad)
        else:
            yield from read_dataset(source, bad, text_field)
    except UnreadableFile as problem:
        bad.add_file(source.url, problem)
    except InputError:
        raise
    except Exception as error:  # else nobody would learn which of thousands of files it was
        raise InputError(
            f"{source.url}: reading it failed ({type(error).__name__}: {error}), which should not happen; take the "
            "file away to go on without it, and report this"
        ) from error
