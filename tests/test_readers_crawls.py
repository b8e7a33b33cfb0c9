"""WARC and WET files: pages as documents, their encodings, what is passed over, and damage."""

import io
import sys
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from data_prep.readers import BadRecords, warc
from data_prep.readers.warc import decode_page
from tests.reader_inputs import COMPRESS, documents, flat, places

pytest.importorskip("warcio")
trafilatura = pytest.importorskip("trafilatura")

PARAGRAPHS = [
    "黄河发源于青藏高原的巴颜喀拉山北麓，自西向东流经九个省区，最后注入渤海。",
    "历史上黄河下游多次改道，两岸的人民修筑堤防，与洪水搏斗了几千年，留下许多故事。",
    "今天的黄河流域建起了许多水库和灌溉工程，沿岸城市的用水也大多取自这条河。",
]
NAVIGATION = '<ul class="nav">' + "".join(f'<li><a href="/{n}">栏目{n}</a></li>' for n in range(9)) + "</ul>"


def html(charset: str = "", declaration: str = "") -> str:
    """A page with navigation around an article."""
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">' if charset else ""
    article = "".join(f"<p>{paragraph}</p>\n" for paragraph in PARAGRAPHS)
    return (
        f"{declaration}<!DOCTYPE html>\n<html><head>{meta}<title>黄河</title></head><body><nav>{NAVIGATION}</nav>"
        f"<article><h1>黄河的故事</h1>{article}</article><footer>版权所有</footer></body></html>"
    )


class Crawl:
    """Collects the records of a WARC file."""

    def __init__(self) -> None:
        from warcio.warcwriter import WARCWriter

        self._buffer = io.BytesIO()
        self._writer = WARCWriter(self._buffer, gzip=False)
        self._writer.write_record(self._writer.create_warcinfo_record("a.warc", {"software": "tests"}))

    def page(
        self,
        body: bytes,
        content_type: str = "text/html",
        status: str = "200 OK",
        url: str = "http://a.cn/",
        **more: str,
    ) -> "Crawl":
        """An answer of a web server."""
        from warcio.statusandheaders import StatusAndHeaders

        headers = [("Content-Type", content_type), *more.items()]
        answer = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
        self._writer.write_record(
            self._writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=answer)
        )
        return self

    def text(self, body: bytes, kind: str = "conversion", content_type: str = "text/plain") -> "Crawl":
        """The text of a page, as WET files have it."""
        record = self._writer.create_warc_record(
            "http://a.cn/", kind, payload=io.BytesIO(body), warc_content_type=content_type
        )
        self._writer.write_record(record)
        return self

    def save(self, path: Path, cut: int = 0) -> Path:
        data = self._buffer.getvalue()
        compressed = COMPRESS[path.suffix if path.suffix in COMPRESS else ""](data)
        path.write_bytes(compressed[: len(compressed) - cut])
        return path


# ----------------------------------------------------------------------------------------------------------------- WET


@pytest.mark.parametrize("name", ["a.wet", "a.warc.wet.gz", "a.wet.zst", "a.warc.wet.xz"])
def test_a_text_record_is_a_document_of_paragraphs(tmp_path: Path, name: str) -> None:
    crawl = Crawl().text("一\n二\n".encode()).text("三\r\n\r\n四".encode())
    assert documents(crawl.save(tmp_path / name)) == [["一", "二"], ["三", "四"]]


def test_a_crawl_of_one_archive_a_record_is_read(tmp_path: Path) -> None:
    """As Common Crawl compresses."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    plain = Crawl().text("一".encode()).text("二".encode()).save(tmp_path / "plain.wet")
    with open(plain, "rb") as records, open(tmp_path / "a.wet.gz", "wb") as file:
        writer = WARCWriter(file, gzip=True)
        for record in ArchiveIterator(records):
            writer.write_record(record)
    assert documents(tmp_path / "a.wet.gz") == [["一"], ["二"]]


def test_a_page_is_named_by_record_and_address(tmp_path: Path) -> None:
    path = Crawl().text("一".encode()).text("二".encode()).save(tmp_path / "a.wet")
    assert places(path) == [f"{path}:record {number} (http://a.cn/)" for number in (2, 3)]


def test_text_in_another_encoding_is_read(tmp_path: Path) -> None:
    text = "".join(PARAGRAPHS).encode("gbk")
    assert flat(documents(Crawl().text(text).save(tmp_path / "a.wet"))) == ["".join(PARAGRAPHS)]


def test_text_in_no_encoding_is_skipped_and_named(tmp_path: Path) -> None:
    bad = BadRecords()
    path = Crawl().text("一".encode()).text(b"\xff\x81\xfe\xff" * 100).text("二".encode()).save(tmp_path / "a.wet")
    assert documents(path, bad) == [["一"], ["二"]]
    assert bad.examples == {
        "in no encoding that fits": [f"{path}:record 3 (http://a.cn/): in no encoding that fits"],
    }


def test_nul_characters_are_removed(tmp_path: Path) -> None:
    bad = BadRecords()
    assert documents(Crawl().text("好\0字".encode()).save(tmp_path / "a.wet"), bad) == [["好字"]]
    assert bad.repaired == {"NUL characters removed": 1}


# ---------------------------------------------------------------------------------------------------------------- WARC


def test_of_a_page_the_main_text_is_kept(tmp_path: Path) -> None:
    (found,) = documents(Crawl().page(html().encode()).save(tmp_path / "a.warc.gz"))
    assert [paragraph for paragraph in found if paragraph in PARAGRAPHS] == PARAGRAPHS
    assert not any("栏目" in paragraph or "版权" in paragraph for paragraph in found)


@pytest.mark.parametrize(
    ("encoding", "header", "meta"),
    [
        ("gbk", "gb2312", ""),
        ("gb18030", "", "gbk"),
        ("gbk", "iso-8859-1", "gb2312"),  # a server that declares the same for everything
        ("gbk", "utf-8", "utf-8"),
        ("gbk", "", ""),
        ("utf-8", "gbk", ""),
        ("utf-8", "", "gb2312"),
        ("utf-16", "utf-16", ""),
    ],
)
def test_a_page_is_decoded_whatever_it_declares(tmp_path: Path, encoding: str, header: str, meta: str) -> None:
    content_type = f"text/html; charset={header}" if header else "text/html"
    crawl = Crawl().page(html(meta).encode(encoding), content_type)
    (found,) = documents(crawl.save(tmp_path / "a.warc"))
    assert set(PARAGRAPHS) <= set(found)


def test_an_xhtml_page_that_declares_its_encoding_is_read(tmp_path: Path) -> None:
    page = html("gb2312", '<?xml version="1.0" encoding="gb2312"?>\n').encode("gbk")
    (found,) = documents(Crawl().page(page, "application/xhtml+xml").save(tmp_path / "a.warc"))
    assert set(PARAGRAPHS) <= set(found)


def test_a_traditional_page_in_big5_is_read() -> None:
    text = "黃河發源於青藏高原的巴顏喀拉山北麓，自西向東流經九個省區。" * 3
    assert decode_page(text.encode("big5"), "text/html; charset=big5") == text
    assert decode_page(text.encode("big5"), "text/html") == text


def test_a_western_page_is_decoded_as_it_declares() -> None:
    text = "Le café des élèves, près de la forêt, où l'été a été très gai. " * 3
    assert decode_page(text.encode("cp1252"), "text/html; charset=iso-8859-1") == text


def test_a_page_cut_inside_a_character_is_still_in_its_encoding() -> None:
    text = "".join(PARAGRAPHS) * 20
    assert decode_page(text.encode("gbk")[:-1], "text/html; charset=gbk") == text[:-1] + "\ufffd"
    assert decode_page(text.encode()[:-1], "text/html") == text[:-1] + "\ufffd"


@pytest.mark.parametrize("declared", ["", "; charset=utf-8", "; charset=gbk", "; charset=iso-8859-1"])
def test_a_short_page_with_a_broken_byte_is_kept_and_counted_as_repaired(tmp_path: Path, declared: str) -> None:
    page = html().encode()
    broken = page.replace("。".encode(), b"\xe3\x80", 1)
    crawl = Crawl().page(page, f"text/html{declared}").page(broken, f"text/html{declared}")
    bad = BadRecords()
    path = crawl.save(tmp_path / "a.warc")
    whole, mended = documents(path, bad)
    assert "".join(mended) == "".join(whole).replace("。", "\ufffd", 1)
    assert bad.repaired == {"broken bytes replaced by U+FFFD": 1}
    assert not bad.counts
    assert bad.examples["broken bytes replaced by U+FFFD"][0].startswith(f"{path}:record 3 ")


def test_a_short_page_in_gbk_with_a_broken_byte_is_read_as_gbk() -> None:
    text = PARAGRAPHS[0]
    data = text.encode("gbk")
    found = decode_page(data[:10] + b"\xff" + data[10:], "text/html; charset=gbk")
    assert found is not None
    assert found.replace("\ufffd", "")[-10:] == text[-10:]


def test_replacement_characters_that_the_page_itself_has_are_no_repair(tmp_path: Path) -> None:
    bad = BadRecords()
    (found,) = documents(Crawl().text("他说\ufffd好".encode()).save(tmp_path / "a.wet"), bad)
    assert found == ["他说\ufffd好"]
    assert not bad.repaired


def test_a_charset_that_nobody_knows_is_ignored() -> None:
    text = "".join(PARAGRAPHS)
    assert decode_page(text.encode("gbk"), "text/html; charset=x-none") == text
    assert decode_page(text.encode("gbk"), "text/html; charset=hex") == text


def test_an_answer_compressed_with_something_else_is_skipped_and_named(tmp_path: Path) -> None:
    bad = BadRecords()
    crawl = Crawl().page(b"\x0b\x01\x80abc\x03", **{"Content-Encoding": "br"}).page(html().encode())
    assert len(documents(crawl.save(tmp_path / "a.warc"), bad)) == 1
    assert bad.counts == {"compressed in a way that is not supported": 1}
    assert "(br)" in next(iter(bad.examples.values()))[0]


def test_a_compressed_answer_is_unpacked(tmp_path: Path) -> None:
    crawl = Crawl().page(COMPRESS[".gz"](html().encode()), **{"Content-Encoding": "gzip"})
    (found,) = documents(crawl.save(tmp_path / "a.warc"))
    assert set(PARAGRAPHS) <= set(found)


def test_a_chunked_answer_is_put_together(tmp_path: Path) -> None:
    body = html().encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 500]), body[i : i + 500]) for i in range(0, len(body), 500))
    crawl = Crawl().page(chunks + b"0\r\n\r\n", **{"Transfer-Encoding": "chunked"})
    (found,) = documents(crawl.save(tmp_path / "a.warc"))
    assert set(PARAGRAPHS) <= set(found)


def test_what_is_no_page_is_passed_over_and_counted_even_under_strict(tmp_path: Path) -> None:
    bad = BadRecords(strict=True)
    crawl = Crawl().page(b"\x89PNG", "image/png").page(b"gone", status="404 Not Found").page(b"<html></html>")
    crawl = crawl.page(html().encode()).page(b"User-agent: *", "text/plain")
    assert len(documents(crawl.save(tmp_path / "a.warc"), bad)) == 1
    assert bad.passed_over == {"not HTML": 2, "an HTTP status other than 200": 1, "no main text on the page": 1}


def test_a_page_that_is_too_large_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "LARGEST_PAGE", 2000)
    bad = BadRecords()
    unpacked = COMPRESS[".gz"](html().encode() * 100)  # small until it is unpacked
    crawl = Crawl().page(bytes(5000)).page(unpacked, **{"Content-Encoding": "gzip"}).text("一".encode())
    assert documents(crawl.save(tmp_path / "a.warc"), bad) == [["一"]]
    assert sum(bad.passed_over.values()) == 2


def test_resources_are_pages_too(tmp_path: Path) -> None:
    crawl = Crawl().text(html().encode(), "resource", "text/html").text("文".encode(), "resource")
    first, second = documents(crawl.save(tmp_path / "a.warc"))
    assert set(PARAGRAPHS) <= set(first)
    assert second == ["文"]


def test_a_page_does_not_depend_on_the_pages_before_it(tmp_path: Path) -> None:
    """trafilatura could drop what other pages had; then workers would decide what is kept."""
    crawl = Crawl()
    for _ in range(5):
        crawl.page(html().encode())
    found = documents(crawl.save(tmp_path / "a.warc"))
    assert len(found) == 5
    assert all(page == found[0] for page in found)


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("name", ["a.wet", "a.wet.gz", "a.wet.zst", "a.wet.xz"])
def test_pages_before_the_end_of_a_truncated_crawl_are_kept(tmp_path: Path, name: str) -> None:
    bad = BadRecords()
    crawl = Crawl()
    for number in range(1500):
        crawl.text(f"第{number}页，{number * 7919 % 1000003}".encode())
    path = crawl.save(tmp_path / name, cut=12)
    found = flat(documents(path, bad))
    assert found == [f"第{number}页，{number * 7919 % 1000003}" for number in range(len(found))]
    assert len(found) >= 100  # zstandard and warcio read large blocks
    assert sum(bad.files.values()) == 1
    assert bad.counts == {}


@pytest.mark.parametrize("content", [b"no crawl at all\n", b"WARC/1.0\r\nnonsense"])
def test_what_is_no_crawl_is_named(tmp_path: Path, content: bytes) -> None:
    bad = BadRecords()
    (tmp_path / "a.warc").write_bytes(content)
    assert documents(tmp_path / "a.warc", bad) == []
    assert bad.files == {"damaged WARC file": 1}


def test_a_record_whose_length_is_wrong_is_named_and_the_pages_before_it_are_kept(tmp_path: Path) -> None:
    bad = BadRecords()
    path = Crawl().text("一".encode()).text("二二二".encode()).text("三".encode()).save(tmp_path / "a.wet")
    path.write_bytes(path.read_bytes().replace(b"Content-Length: 9", b"Content-Length: 4"))
    assert documents(path, bad)[0] == ["一"]
    assert sum(bad.files.values()) + sum(bad.counts.values()) >= 1


@pytest.mark.parametrize(
    "headers",
    ["WARC-Type: response", "WARC-Date: 2024"],
    ids=["no address", "no type"],
)
def test_a_record_that_warcio_stumbles_over_is_named_and_the_pages_before_it_are_kept(
    tmp_path: Path, headers: str
) -> None:
    bad = BadRecords()
    path = Crawl().text("一".encode()).save(tmp_path / "a.wet")
    record = f"WARC/1.0\r\n{headers}\r\nContent-Length: 4\r\n\r\n\r\n\r\n\r\n\r\n".encode()
    path.write_bytes(path.read_bytes() + record + path.read_bytes())
    assert documents(path, bad)[0] == ["一"]
    assert bad.files == {"damaged WARC file": 1}


def test_a_page_that_ends_with_the_file_is_not_half_kept(tmp_path: Path) -> None:
    bad = BadRecords()
    path = Crawl().page(html().encode()).page(html().encode()).save(tmp_path / "a.warc", cut=100)
    assert len(documents(path, bad)) == 1
    ((example,),) = bad.examples.values()
    assert "it ends within record 3 (http://a.cn/)" in example


def test_an_empty_answer_does_not_end_the_file(tmp_path: Path) -> None:
    crawl = Crawl().page(html().encode()).page(b"").page(html().encode())
    assert len(documents(crawl.save(tmp_path / "a.warc"), BadRecords())) == 2


@pytest.mark.parametrize(("package", "name"), [("warcio.archiveiterator", "a.wet"), ("trafilatura", "a.warc")])
def test_a_missing_package_is_named_with_the_extra_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    path = Crawl().page(html().encode()).save(tmp_path / name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install 'chinesebert-pretraining\[crawl\]'"):
        documents(path, BadRecords())
