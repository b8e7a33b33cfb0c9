"""Raw text files as documents: their boundaries, their traps, and what is said about bad ones."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.readers import MAX_DOCUMENT_CHARACTERS, BadRecords, find_inputs, read_documents
from chinesebert.errors import InputError

Write = Callable[[str, "str | bytes"], Path]
NOT_UTF8 = "坏行".encode("gbk")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an input file: text as UTF-8, and compressed where its name ends in .gz."""

    def write(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def documents(path: Path, bad: BadRecords | None = None, text_field: str = "text") -> list[list[str]]:
    """The paragraphs of every document of a file in which nothing may be bad, unless ``bad`` is given."""
    records = BadRecords(strict=True) if bad is None else bad
    return [document.paragraphs for document in read_documents(path, records, text_field)]


def as_json_lines(*texts: object) -> str:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


# ------------------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_blank_line_ends_a_document_of_paragraphs(write: Write, name: str) -> None:
    path = write(name, "\n第一段。\n第二段。\n\n \t\u3000\n\n另一篇。")
    assert documents(path) == [["第一段。", "第二段。"], ["另一篇。"]]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_json_line_is_a_document_of_paragraphs(write: Write, name: str) -> None:
    path = write(name, as_json_lines("第一段。\n\n第二段。", "另一篇。"))
    assert documents(path) == [["第一段。", "第二段。"], ["另一篇。"]]


def test_blank_json_lines_and_empty_texts_are_no_documents(write: Write) -> None:
    path = write("a.jsonl", "\n" + as_json_lines("", " \n ", "有。") + "\n")
    assert documents(path) == [["有。"]]


def test_another_field_holds_the_text_if_it_is_named(write: Write) -> None:
    path = write("a.jsonl", '{"text": "不是", "content": "是"}\n')
    assert documents(path, text_field="content") == [["是"]]


def test_a_document_knows_the_line_it_starts_at(write: Write) -> None:
    path = write("a.txt", "\n一\n二\n\n三\n")
    assert [document.source for document in read_documents(path, BadRecords())] == [f"{path}:2", f"{path}:5"]


def test_a_byte_order_mark_is_no_text(write: Write) -> None:
    assert documents(write("a.txt", b"\xef\xbb\xbf" + "文。\n".encode())) == [["文。"]]
    assert documents(write("a.jsonl", b"\xef\xbb\xbf" + as_json_lines("文。").encode())) == [["文。"]]


def test_windows_line_ends_are_no_text_and_end_documents(write: Write) -> None:
    assert documents(write("a.txt", "一\r\n二\r\n\r\n三\r\n")) == [["一", "二"], ["三"]]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_only_line_feeds_end_a_line(write: Write, separator: str) -> None:
    assert documents(write("a.txt", f"一{separator}二\n")) == [[f"一{separator}二"]]


def test_a_giant_document_is_cut_after_a_paragraph(write: Write) -> None:
    lines = ["字" * 999 + "。"] * (MAX_DOCUMENT_CHARACTERS // 1000 * 2 + 1)
    found = documents(write("a.txt", "\n".join(lines)))
    assert [sum(map(len, paragraphs)) for paragraphs in found] == [MAX_DOCUMENT_CHARACTERS] * 2 + [1000]
    assert [paragraph for paragraphs in found for paragraph in paragraphs] == lines


def test_an_empty_file_has_no_documents(write: Write) -> None:
    assert [documents(write(name, "")) for name in ("a.txt", "a.txt.gz", "a.jsonl")] == [[], [], []]


def test_the_end_of_the_name_says_what_a_file_is(write: Write) -> None:
    assert documents(write("about.jsonl.txt", "文。\n")) == [["文。"]]


# ------------------------------------------------------------------------------------------------------------ bad lines


def test_a_line_that_is_not_utf8_is_skipped_counted_and_named(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一\n".encode() + NOT_UTF8 + "\n二\n三\n".encode())
    found = documents(path, bad)
    assert [paragraph for paragraphs in found for paragraph in paragraphs] == ["一", "二", "三"]
    assert dict(bad.counts) == {"not UTF-8": 1}
    assert bad.examples == [f"{path}:2: not UTF-8"]


def test_the_lines_around_a_bad_one_do_not_become_neighbours(write: Write) -> None:
    path = write("a.txt", "一\n".encode() + NOT_UTF8 + "\n二\n三\n".encode())
    assert documents(path, BadRecords()) == [["一"], ["二", "三"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON"),
        ("没有引号", "not valid JSON"),
        ("{}", "no field 'text'"),
        ("[1]", "not a JSON object"),
        ("3", "not a JSON object"),
        ('{"text": null}', "field 'text' is not a string"),
        ('{"text": ["一"]}', "field 'text' is not a string"),
        ('{"text": ' + "1" * 5000 + "}", "not"),  # more digits than Python turns into a number
        ("[" * 100_000, "not valid JSON"),  # deeper than Python's parser goes
        ('{"text": "\\ud83d"}', ""),  # half a surrogate pair: no tokenizer takes it
    ],
    ids=["brace", "bare", "empty", "list", "number", "null", "texts", "digits", "deep", "surrogate"],
)
def test_a_bad_json_line_is_skipped_counted_and_named(write: Write, line: str, reason: str) -> None:
    bad = BadRecords()
    path = write("a.jsonl", as_json_lines("一") + line + "\n" + as_json_lines("二"))
    assert documents(path, bad) == [["一"], ["二"]]
    assert sum(bad.counts.values()) == 1
    assert bad.examples[0].startswith(f"{path}:2: {reason}")


def test_bad_lines_far_into_a_file_are_skipped_one_by_one(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一\n".encode() * 500 + (NOT_UTF8 + b"\n") * 30 + "二\n".encode() * 500)
    assert sum(map(len, documents(path, bad))) == 1000
    assert bad.counts == {"not UTF-8": 30}
    assert bad.examples[0] == f"{path}:501: not UTF-8"


def test_bad_lines_are_reported_with_number_reason_and_place(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    bad = BadRecords()
    path = write("a.jsonl", "{\n" * 1234 + as_json_lines("一"))
    documents(path, bad)
    bad.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "skipped 1,234 bad lines: not valid JSON"
    assert lines[1].strip() == f"{path}:1: not valid JSON"
    assert len(lines) < 50


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_strict_refuses_the_first_line_that_is_not_utf8(write: Write, name: str) -> None:
    good = as_json_lines("一") if name.endswith("jsonl") else "一\n"
    path = write(name, good.encode() * 3 + NOT_UTF8 + b"\n" + good.encode())
    with pytest.raises(InputError, match=f"{path}:4: not UTF-8.*--strict"):
        documents(path, BadRecords(strict=True))


def test_strict_refuses_the_first_bad_json_line(write: Write) -> None:
    path = write("a.jsonl", as_json_lines("一") + "{}\n")
    with pytest.raises(InputError, match=f"{path}:2: no field 'text'.*mend"):
        documents(path, BadRecords(strict=True))


# ----------------------------------------------------------------------------------------------------- unreadable files


@pytest.mark.parametrize("lines", [3, 5000])
@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_another_encoding_is_refused_with_the_remedy(write: Write, encoding: str, lines: int) -> None:
    path = write("a.txt", ("今天天氣很好，我們去公園\n" * lines).encode(encoding))
    with pytest.raises(InputError) as error:
        documents(path, BadRecords())
    assert str(error.value).startswith(f"{path}:1: ")
    assert "UTF-8" in str(error.value)
    assert "iconv" in str(error.value)


def test_strict_tells_the_remedy_for_a_file_in_another_encoding_too(write: Write) -> None:
    path = write("a.txt", ("今天天气很好\n" * 3).encode("gbk"))
    with pytest.raises(InputError, match=f"{path}:1: .*iconv"):
        documents(path, BadRecords(strict=True))


def test_a_foreign_file_is_refused_before_its_end_is_read(write: Write) -> None:
    path = write("a.txt.gz", "".join(f"今天天气很好{number}\n" for number in range(20_000)).encode("gbk"))
    path.write_bytes(path.read_bytes()[:-1000])  # reading on would end in the message about a damaged file
    with pytest.raises(InputError, match=f"{path}:1: the file is not UTF-8"):
        documents(path, BadRecords())


def test_a_truncated_gzip_file_is_refused_with_the_place(write: Write) -> None:
    path = write("a.txt.gz", "".join(f"第{number}行\n" for number in range(10_000)))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=rf"{path}: damaged gzip file after line \d+"):
        documents(path)


@pytest.mark.parametrize("data", [b"no gzip at all", gzip.compress(b"x" * 1000)[:10] + b"\xff" * 50])
def test_a_damaged_gzip_file_is_refused_by_name(write: Write, data: bytes) -> None:
    path = write("a.txt.gz", "")
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{path}: damaged gzip file"):
        documents(path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'a.txt'}: cannot read"):
        documents(tmp_path / "a.txt")


# -------------------------------------------------------------------------------------------------------- finding files


def test_files_keep_their_order_and_folders_are_opened_by_name(write: Write, tmp_path: Path) -> None:
    names = ["folder/b.txt", "folder/a.jsonl.gz", "folder/deep/c.txt.gz", "folder/a.jsonl"]
    for name in [*names, "folder/readme.md", "z.txt"]:
        write(name, "")
    found = find_inputs([tmp_path / "z.txt", str(tmp_path / "folder")])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["z.txt", *sorted(names)]


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(write: Write) -> None:
    path = write("a.docx", "")
    with pytest.raises(InputError, match=rf"{path}: .*\.txt, \.txt\.gz, \.jsonl, \.jsonl\.gz"):
        find_inputs([path])


def test_a_folder_without_text_is_refused_by_name(write: Write, tmp_path: Path) -> None:
    write("readme.md", "")
    with pytest.raises(InputError, match=rf"{tmp_path}: no \.txt"):
        find_inputs([tmp_path])


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none'}: no such file or folder"):
        find_inputs([tmp_path / "none"])
