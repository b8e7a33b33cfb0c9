"""Input files for the tests of the readers."""

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import zstandard

from data_prep.readers import BadRecords, Source, find_inputs, read_documents

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".xz": lzma.compress,
}
NOT_UTF8 = "坏行".encode("gbk")


def write_file(path: Path, content: str | bytes) -> Path:
    """Writes an input: text as UTF-8, compressed as its name says."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(COMPRESS[path.suffix if path.suffix in COMPRESS else ""](data))
    return path


def as_json_lines(*texts: object) -> str:
    """A JSON line for each text."""
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


def source_of(path: Path | str) -> Source:
    """The one source that an input names."""
    (source,) = find_inputs([path])
    return source


def documents(path: Path | str, bad: BadRecords | None = None, text_field: str = "text") -> list[list[str]]:
    """The paragraphs of every document of an input in which nothing may be bad, unless ``bad`` is given."""
    records = BadRecords(strict=True) if bad is None else bad
    return [
        document.paragraphs
        for source in find_inputs([path])
        for document in read_documents(source, records, text_field)
    ]


def flat(found: list[list[str]]) -> list[str]:
    """All paragraphs of all documents."""
    return [paragraph for paragraphs in found for paragraph in paragraphs]


def places(path: Path | str) -> list[str]:
    """Where every document of an input says it stands."""
    return [document.source for source in find_inputs([path]) for document in read_documents(source, BadRecords())]
