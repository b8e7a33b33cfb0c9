"""A source: one file, or a part of a Hugging Face data set, that one task reads from start to end."""

from dataclasses import dataclass
from urllib.parse import urlsplit

UNKNOWN = ""
COMPRESSIONS = (".gz", ".zst", ".xz")
# End of the name -> kind of file. All but Parquet, which compresses its own pages, may be compressed.
_KINDS = {
    ".txt": "text",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".json": "json_lines",
    ".warc": "warc",
    ".wet": "warc",
    ".parquet": "parquet",
}
SUFFIXES = tuple(
    suffix + compression
    for suffix, kind in _KINDS.items()
    for compression in ("", *COMPRESSIONS)
    if not (compression and kind == "parquet")
)
SUPPORTED = ".txt, .jsonl (.ndjson, .json), .warc and .wet, each also with .gz, .zst or .xz after it, and .parquet"


@dataclass(frozen=True)
class Source:
    """Something to read, found by ``find_inputs``. Small and picklable: it goes to worker processes and machines.

    Attributes:
        url: an absolute path, a URL that fsspec opens, or ``hf-dataset:…``.
        kind: ``text``, ``json_lines``, ``parquet``, ``warc`` or ``huggingface``.
        size: bytes as stored; 0 where that is not known.
        version: changes when the content does (size and time of change, ETag, commit …); "" where nothing tells.
    """

    url: str
    kind: str
    size: int = 0
    version: str = ""

    @property
    def is_local(self) -> bool:
        """Whether ``url`` is a path of this machine's file system."""
        return self.kind != "huggingface" and not is_remote(self.url)

    @property
    def name(self) -> str:
        """The last part of the path, for people to read."""
        return self.url if self.kind == "huggingface" else file_name(self.url)

    @property
    def compression(self) -> str:
        """``.gz``, ``.zst``, ``.xz`` or "" for none."""
        return _compression(self.name.lower())

    def __str__(self) -> str:
        return self.url


def is_remote(given: str) -> bool:
    """Whether fsspec, not the operating system, has to open it; ``zip://a.txt::b.zip`` counts too."""
    return "://" in given


def file_name(url: str) -> str:
    """The last part of a path or URL."""
    path = url.partition("::")[0] if is_remote(url) else url
    if path.startswith(("http://", "https://")):
        path = urlsplit(path).path  # without ?download=true and the like
    return path.rstrip("/").rpartition("/")[2]


def kind_of(url: str) -> str:
    """The kind of file that a name promises; ``UNKNOWN`` where it is none of ``SUFFIXES``."""
    name = file_name(url).lower()
    compression = _compression(name)
    stem = name.removesuffix(compression)
    kind = next((kind for suffix, kind in _KINDS.items() if stem.endswith(suffix)), UNKNOWN)
    return UNKNOWN if kind == "parquet" and compression else kind


def _compression(name: str) -> str:
    return next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
