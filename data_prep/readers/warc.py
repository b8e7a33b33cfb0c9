"""Web crawls: WARC files, whose pages are HTML, and WET files, whose pages are text already."""

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chinesebert.errors import InputError
from data_prep.readers.bad_records import BadRecords, UnreadableFile
from data_prep.readers.documents import Document, record_documents
from data_prep.readers.encodings import byte_order_mark, guess_encoding, python_codec
from data_prep.readers.sources import Source
from data_prep.readers.streams import BLOCK, open_blocks

if TYPE_CHECKING:
    from warcio.recordloader import ArcWarcRecord

# Common Crawl cuts pages at 5 MiB (at 1 MiB until March 2025). Larger ones are lists and data, and extracting text
# takes time that grows faster than their size.
LARGEST_PAGE = 8 << 20
_HTML = ("text/html", "application/xhtml+xml")
# As in the header Content-Encoding. warcio knows brotli too, but not the releases of its package since 1.2.
_HTTP_ENCODINGS = ("", "identity", "gzip", "deflate")
# Browsers look at the first 1,024 bytes; some pages have scripts before it.
_META_WINDOW = 4096
_META_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
# lxml refuses text that says how it is encoded.
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
# A page with so many characters that its encoding does not know is in another one; with fewer it is damaged in places.
_BROKEN_SHARE = 0.001
# One broken byte is more than that of a short page. Of its characters outside ASCII it is less than this, while six in
# ten come out broken where GBK or Big5 is read as UTF-8. (UTF-8 read as GBK can look whole.)
_BROKEN_SHARE_OUTSIDE_ASCII = 0.1
_LITERAL_REPLACEMENT = "\ufffd".encode()


def read_warc(source: Source, bad: BadRecords) -> Iterator[Document]:
    """The documents of a WARC or WET file, a page each.

    A ``conversion`` record is text; of a ``response`` with status 200, and of a ``resource``, HTML becomes text. Other
    answers are passed over and counted; requests, metadata and the like are not pages at all.

    Raises:
        UnreadableFile: it cannot be read, or not to its end; the documents before that have been handed out.
        InputError: a package that this needs is missing.
    """
    number = 0
    try:
        for number, record in enumerate(_open_archive(source), start=1):
            yield from _page_documents(record, f"{source.url}:record {number}", bad)
    except UnreadableFile as problem:
        problem.detail += f"; all before record {number:,} was read" if number else ""
        raise
    except InputError:
        raise
    except Exception as error:  # warcio has several of its own, and stumbles over headers that are missing
        detail = f"after record {number}: {type(error).__name__}: {error}".strip()
        raise UnreadableFile("damaged WARC file", detail) from error


def _open_archive(source: Source) -> Any:
    try:
        from warcio.archiveiterator import ArchiveIterator
    except ImportError as error:
        raise _missing("warcio", error) from error
    return ArchiveIterator(open_blocks(source), block_size=BLOCK)


def _missing(package: str, error: ImportError) -> InputError:
    return InputError(
        f"web crawls need the package {package} ({error}); install it: pip install 'chinesebert-pretraining[crawl]'"
    )


def _page_documents(record: "ArcWarcRecord", where: str, bad: BadRecords) -> Iterator[Document]:
    if record.rec_type is None:
        raise UnreadableFile("damaged WARC file", "a record without a type")
    if record.rec_type not in ("conversion", "response", "resource"):
        return
    where = f"{where} ({record.rec_headers.get_header('WARC-Target-URI')})"
    content_type = _content_type(record)
    is_text = record.rec_type != "response" and content_type.startswith("text/plain")
    if not is_text and not content_type.startswith(_HTML):
        bad.pass_over(where, "not HTML")
    elif record.rec_type == "response" and record.http_headers.get_statuscode() != "200":
        bad.pass_over(where, "an HTTP status other than 200")
    else:
        page = _read_page(record, content_type, where, bad)
        text = page if page is None or is_text else _extract_text(page, where, bad)
        if text is not None:
            yield from record_documents(text, where, bad)


def _content_type(record: "ArcWarcRecord") -> str:
    """Of the page; of the record where no HTTP headers are kept."""
    headers = record.http_headers if record.rec_type == "response" else record.rec_headers
    return (headers.get_header("Content-Type") or "").strip().lower() if headers else ""


def _read_page(record: "ArcWarcRecord", content_type: str, where: str, bad: BadRecords) -> str | None:
    encoding = (record.http_headers.get_header("Content-Encoding") or "") if record.http_headers else ""
    if encoding.lower() not in _HTTP_ENCODINGS:
        bad.add(where, "compressed in a way that is not supported", encoding, "remove the record")
        return None
    data = _read_content(record, where)
    if data is None:
        bad.pass_over(where, f"larger than {LARGEST_PAGE >> 20} MB")
        return None
    page = decode_page(data, content_type)
    if page is None:
        bad.add(where, "in no encoding that fits", remedy="remove the record")
    elif "\ufffd" in page and _LITERAL_REPLACEMENT not in data:
        bad.repair(where, "broken bytes replaced by U+FFFD", "remove the record")
    return page


def _read_content(record: "ArcWarcRecord", where: str) -> bytes | None:
    """None where it is too large."""
    if (record.length or 0) > LARGEST_PAGE:
        return None
    stream = record.content_stream()
    data = stream.read(LARGEST_PAGE + 1)
    if len(data) > LARGEST_PAGE:
        return None
    if stream is record.raw_stream and stream.limit > 0:
        raise UnreadableFile("damaged WARC file", f"it ends within {where[where.rindex(':record ') + 1 :]}")
    return data


def decode_page(data: bytes, content_type: str = "") -> str | None:
    """The text of a page by its byte order mark, as UTF-8 if it is that, by its declared encoding, or by a guess.

    A few broken bytes become U+FFFD. UTF-8 comes before what the page declares: text in another encoding is hardly
    ever valid UTF-8 by chance, while servers that declare GBK or ISO-8859-1 for everything are common. None where
    nothing fits.
    """
    if marked := byte_order_mark(data):
        return data.decode(marked, errors="replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", errors="replace")
    if _is_damaged_in_places(text):
        return text
    guessed = guess_encoding(data) or "utf-8"
    # Every byte is a character of cp1252, so it says nothing; last, for pages that really are Western.
    candidates = sorted([*_declared(data, content_type), guessed], key=lambda codec: codec in ("cp1252", "latin-1"))
    for codec in candidates:
        text = data.decode(codec, errors="replace")
        if text.count("\ufffd") <= _BROKEN_SHARE * len(text):
            return text
    text = data.decode(guessed, errors="replace")
    return text if _is_damaged_in_places(text) else None


def _is_damaged_in_places(text: str) -> bool:
    outside_ascii = sum(character > "\x7f" for character in text)
    return text.count("\ufffd") <= _BROKEN_SHARE_OUTSIDE_ASCII * outside_ascii


def _declared(data: bytes, content_type: str) -> list[str]:
    labels = [match[1] for match in [_HEADER_CHARSET.search(content_type)] if match]
    labels += [match[1].decode("ascii") for match in [_META_CHARSET.search(data, 0, _META_WINDOW)] if match]
    return [codec for codec in map(python_codec, labels) if codec]


def _extract_text(page: str, where: str, bad: BadRecords) -> str | None:
    """The main text, without navigation and the like."""
    extract = _trafilatura()
    try:
        # As FineWeb does, but for `deduplicate`: it drops what earlier pages of the same process had, so the outcome
        # would depend on which worker read which file.
        text = extract(_XML_DECLARATION.sub("", page), favor_precision=True, include_comments=False, deduplicate=False)
    except Exception as error:  # of lxml, and of whatever stumbles over what lxml made of the page
        bad.add(where, "HTML that cannot be parsed", f"{type(error).__name__}: {error}", "remove the record")
        return None
    if not text:
        bad.pass_over(where, "no main text on the page")
    return text


def _trafilatura() -> Any:
    try:
        from trafilatura import extract
    except ImportError as error:
        raise _missing("trafilatura", error) from error
    # It logs every page without text as an error; they are counted here.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return extract
