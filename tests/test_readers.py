"""Text files and JSON lines as documents: their boundaries, their traps, and what is said about bad lines."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.errors import InputError
from data_prep import readers
from data_prep.readers import MAX_DOCUMENT_CHARACTERS, BadRecords, Document, json_lines, read_documents
from data_prep.readers.documents import cut_paragraph
from data_prep.readers.lines import LinePart, _split
from data_prep.readers.streams import BLOCK
from tests.reader_inputs import NOT_UTF8, as_json_lines, documents, flat, places, source_of, write_file

Write = Callable[[str, "str | bytes"], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an input file: text as UTF-8, and compressed as its name says."""
    return lambda name, content: write_file(tmp_path / name, content)


# ------------------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst", "a.txt.xz", "A.TXT"])
def test_a_blank_line_ends_a_document_of_paragraphs(write: Write, name: str) -> None:
    path = write(name, "\n第一段。\n第二段。\n\n \t\u3000\n\n另一篇。")
    assert documents(path) == [["第一段。", "第二段。"], ["另一篇。"]]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl.xz", "a.ndjson", "a.json.gz"])
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
    assert places(path) == [f"{path}:2", f"{path}:5"]


def test_a_byte_order_mark_is_no_text(write: Write) -> None:
    assert documents(write("a.txt", b"\xef\xbb\xbf" + "文。\n".encode())) == [["文。"]]
    assert documents(write("a.jsonl", b"\xef\xbb\xbf" + as_json_lines("文。").encode())) == [["文。"]]


def test_windows_line_ends_are_no_text_and_end_documents(write: Write) -> None:
    assert documents(write("a.txt", "一\r\n二\r\n\r\n三\r\n")) == [["一", "二"], ["三"]]
    assert documents(write("a.jsonl", as_json_lines("一\r\n二", "三").replace("\n", "\r\n"))) == [["一", "二"], ["三"]]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c", "\x1c", "\x0b"])
def test_only_line_feeds_end_a_line(write: Write, separator: str) -> None:
    assert documents(write("a.txt", f"一{separator}二\n")) == [[f"一{separator}二"]]
    assert documents(write("a.jsonl", as_json_lines(f"一{separator}二"))) == [[f"一{separator}二"]]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst", "a.txt.xz", "a.jsonl"])
def test_an_empty_file_is_counted_by_name(write: Write, name: str) -> None:
    path, bad = write(name, ""), BadRecords()
    assert documents(path, bad) == []
    assert bad.files == {"empty file": 1}
    assert bad.examples == {"empty file": [f"{path}: empty file; write or fetch it again, or take it away"]}


def test_an_empty_file_is_refused_under_strict(write: Write) -> None:
    with pytest.raises(InputError, match=r"a\.txt: empty file; write or fetch it again, or take it away"):
        documents(write("a.txt", ""), BadRecords(strict=True))


@pytest.mark.parametrize("error", [KeyError("text"), RuntimeError("generator raised StopIteration")])
def test_what_no_reader_foresees_names_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object) -> Iterator[Document]:
        raise error
        yield

    monkeypatch.setattr(readers, "read_text", fail)
    path = write("a.txt", "一\n")
    with pytest.raises(InputError, match=f"^{path}: reading it failed .{type(error).__name__}: .*take the file away"):
        documents(path, BadRecords())


def test_the_end_of_the_name_says_what_a_file_is(write: Write) -> None:
    assert documents(write("about.jsonl.txt", "文。\n")) == [["文。"]]


def test_documents_do_not_depend_on_where_blocks_end(write: Write) -> None:
    """Line numbers and boundaries over a file of several blocks, whose lines straddle them."""
    paragraphs = [f"第{number}段" + "文" * (number % 300) for number in range(20_000)]
    text = "\n".join(p + ("\n" if number % 7 == 0 else "") for number, p in enumerate(paragraphs))
    path = write("a.txt", text)
    assert path.stat().st_size > 3 * BLOCK
    assert flat(documents(path)) == paragraphs
    lines = text.split("\n")
    for document in read_documents(source_of(path), BadRecords()):
        number = int(document.source.rpartition(":")[2])
        assert lines[number - 1 : number - 1 + len(document.paragraphs)] == document.paragraphs


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"\n")), max_size=12),
    st.integers(min_value=0, max_value=10),
)
def test_splitting_into_lines_loses_and_reorders_nothing(blocks: list[bytes], longest: int) -> None:
    pieces = list(_split(iter(blocks), longest))
    assert b"".join(data for data, _ in pieces) == b"".join(blocks)
    for data, whole in pieces[:-1]:
        assert not whole or data.endswith(b"\n")
        assert whole or b"\n" not in data[:-1]


# ------------------------------------------------------------------------------------------------------- long documents


def test_a_giant_document_is_cut_after_a_paragraph(write: Write) -> None:
    lines = ["字" * 999 + "。"] * (MAX_DOCUMENT_CHARACTERS // 1000 * 2 + 1)
    found = documents(write("a.txt", "\n".join(lines)))
    assert [sum(map(len, paragraphs)) for paragraphs in found] == [MAX_DOCUMENT_CHARACTERS] * 2 + [1000]
    assert flat(found) == lines


@pytest.mark.parametrize("lines", [1, 20], ids=["a line of 250,000 characters", "and of 5 million"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_giant_paragraph_is_cut_after_a_sentence(write: Write, name: str, lines: int) -> None:
    text = ("字" * 98 + "。”") * 2500 * lines
    found = documents(write(name, text if name == "a.txt" else as_json_lines(text)))
    assert "".join(flat(found)) == text
    assert all(sum(map(len, paragraphs)) <= MAX_DOCUMENT_CHARACTERS for paragraphs in found)
    assert all(paragraphs[-1].endswith("。”") for paragraphs in found)
    assert len(found) == 3 if lines == 1 else 50


def test_a_giant_paragraph_without_sentences_is_cut_at_a_space_or_anywhere() -> None:
    words = cut_paragraph("word " * MAX_DOCUMENT_CHARACTERS)
    assert {len(piece) for piece in words[:-1]} == {MAX_DOCUMENT_CHARACTERS - 1}
    assert all(piece.endswith("word") for piece in words)
    assert [len(piece) for piece in cut_paragraph("字" * 250_000)] == [100_000, 100_000, 50_000]


def test_the_parts_of_a_cut_document_have_different_names(write: Write) -> None:
    text = "字" * 250_000
    path = write("a.txt", f"短\n\n{text}")
    assert places(path) == [f"{path}:1", f"{path}:3", f"{path}:3 (part 2)", f"{path}:3 (part 3)"]
    path = write("a.jsonl", as_json_lines("短", text))
    assert places(path) == [f"{path}:1", f"{path}:2", f"{path}:2 (part 2)", f"{path}:2 (part 3)"]


def test_lines_after_a_giant_one_keep_their_numbers(write: Write) -> None:
    path = write("a.txt", "一\n\n" + "字" * BLOCK + "\n\n二\n")
    assert places(path)[-1] == f"{path}:5"
    assert documents(path)[-1] == ["二"]


def test_a_giant_line_that_is_damaged_is_dropped_from_there_on(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一\n".encode() + "字".encode() * BLOCK + NOT_UTF8 + "字".encode() * BLOCK + "\n二".encode())
    found = documents(path, bad)
    assert bad.counts == {"not UTF-8": 1}
    assert bad.examples["not UTF-8"] == [f"{path}:2: not UTF-8"]
    assert found[0][0] == "一"
    assert found[-1][-1] == "二"
    assert BLOCK * 0.9 < sum(map(len, flat(found))) <= BLOCK + 2


def test_a_json_line_too_long_for_memory_is_skipped_and_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 2 << 20)
    bad = BadRecords()
    path = write("a.jsonl", as_json_lines("一", "字" * (3 * BLOCK), "二"))
    assert documents(path, bad) == [["一"], ["二"]]
    assert bad.examples == {"longer than 2 MB": [f"{path}:2: longer than 2 MB"]}


def test_a_json_line_too_long_for_memory_may_be_the_last(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 2 << 20)
    bad = BadRecords()
    assert documents(write("a.jsonl", as_json_lines("一", "字" * (3 * BLOCK))[:-1]), bad) == [["一"]]
    assert bad.counts == {"longer than 2 MB": 1}


def test_parts_of_a_line_end_with_it() -> None:
    pieces = list(_split(iter([b"a\nbb", b"bbbb", b"b\nc"]), longest=3))
    assert pieces == [(b"a\n", True), (b"bb", False), (b"bbbb", False), (b"b\n", False), (b"c", True)]
    assert LinePart(2, b"", True).last


_PEAK = """
import re, sys
from pathlib import Path
from data_prep.readers import BadRecords, find_inputs, read_documents
def peak():  # not ru_maxrss, which a process inherits from the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
documents = (document for source in find_inputs(sys.argv[1:]) for document in read_documents(source, BadRecords()))
characters = sum(len(paragraph) for document in documents for paragraph in document.paragraphs)
print(characters, peak() - before)
"""


def peak_of_reading(path: Path, root: Path) -> tuple[int, int]:
    """Characters read, and by how many kilobytes reading made a fresh process grow."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], cwd=root, capture_output=True, text=True, check=True
    )
    characters, kilobytes = done.stdout.split()[-2:]
    return int(characters), int(kilobytes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_line_of_200_megabytes_takes_little_memory(write: Write, root: Path, suffix: str) -> None:
    line = "这是一行。" * (200_000_000 // 15)
    characters, kilobytes = peak_of_reading(write(f"a.txt{suffix}", line), root)
    assert characters == len(line)
    assert kilobytes < 100_000  # 33 MB of it are what a kilobyte of zstandard may unpack to


@pytest.mark.slow
def test_a_json_line_of_200_megabytes_takes_no_more_memory_than_the_longest(write: Write, root: Path) -> None:
    path = write("a.jsonl", as_json_lines("这是一行。" * (200_000_000 // 15), "二"))
    characters, kilobytes = peak_of_reading(path, root)
    assert characters == 1
    assert kilobytes < 150_000


# ------------------------------------------------------------------------------------------------------------ bad lines


def test_a_line_that_is_not_utf8_is_skipped_counted_and_named(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一\n".encode() + NOT_UTF8 + "\n二\n三\n".encode())
    assert flat(documents(path, bad)) == ["一", "二", "三"]
    assert dict(bad.counts) == {"not UTF-8": 1}
    assert bad.examples == {"not UTF-8": [f"{path}:2: not UTF-8"]}


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
        ('{"text": "\\ud83d"}', "field 'text' holds half of a surrogate pair"),  # no tokenizer takes it
        ('{"text": "\\uDE00字"}', "field 'text' holds half of a surrogate pair"),
    ],
    ids=["brace", "bare", "empty", "list", "number", "null", "texts", "digits", "deep", "surrogate", "low surrogate"],
)
def test_a_bad_json_line_is_skipped_counted_and_named(write: Write, line: str, reason: str) -> None:
    bad = BadRecords()
    path = write("a.jsonl", as_json_lines("一") + line + "\n" + as_json_lines("二"))
    assert documents(path, bad) == [["一"], ["二"]]
    assert sum(bad.counts.values()) == 1
    ((example,),) = bad.examples.values()
    assert example.startswith(f"{path}:2: {reason}")
    assert len(example) < len(str(path)) + 200


def test_a_whole_surrogate_pair_is_a_character(write: Write) -> None:
    assert documents(write("a.jsonl", '{"text": "\\ud83d\\ude00"}\n')) == [["😀"]]


def test_a_line_without_the_field_says_which_it_has_and_how_to_name_another(write: Write) -> None:
    bad = BadRecords()
    path = write("a.jsonl", as_json_lines("一") + '{"title": "题", "content": "文"}\n')
    documents(path, bad)
    (example,) = bad.examples["no field 'text'"]
    assert "'title', 'content'" in example
    assert "--text_field" in example


def test_bad_lines_far_into_a_file_are_skipped_one_by_one(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一\n".encode() * 500 + (NOT_UTF8 + b"\n") * 30 + "二\n".encode() * 500)
    assert len(flat(documents(path, bad))) == 1000
    assert bad.counts == {"not UTF-8": 30}
    assert bad.examples["not UTF-8"][0] == f"{path}:501: not UTF-8"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_nul_bytes_are_removed_and_the_line_is_kept_and_counted(write: Write, name: str) -> None:
    bad = BadRecords()
    text = "一\n好\0\0字\n二\n"
    path = write(name, text if name == "a.txt" else as_json_lines("一", "好字", "二").replace("好", "好\0"))
    assert "".join(flat(documents(path, bad))) == "一好字二"
    assert bad.counts == {}
    assert bad.repaired == {"NUL characters removed": 1}
    assert bad.examples == {"NUL characters removed": [f"{path}:2: NUL characters removed"]}


def test_escaped_nul_characters_are_removed_too(write: Write) -> None:
    bad = BadRecords()
    assert documents(write("a.jsonl", '{"text": "好\\u0000字"}'), bad) == [["好字"]]
    assert bad.repaired == {"NUL characters removed": 1}


def test_nul_bytes_in_a_giant_line_are_removed(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "字" * BLOCK + "\0" + "字" * BLOCK)
    assert set("".join(flat(documents(path, bad)))) == {"字"}
    assert bad.repaired == {"NUL characters removed": 1}


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_strict_refuses_the_first_line_that_is_not_utf8(write: Write, name: str) -> None:
    good = as_json_lines("一") if name.endswith("jsonl") else "一\n"
    path = write(name, good.encode() * 3 + NOT_UTF8 + b"\n" + good.encode())
    with pytest.raises(InputError, match=f"{path}:4: not UTF-8.*--strict"):
        documents(path)


def test_strict_refuses_the_first_bad_json_line(write: Write) -> None:
    path = write("a.jsonl", as_json_lines("一") + "{}\n")
    with pytest.raises(InputError, match=f"{path}:2: no field 'text'.*mend"):
        documents(path)


def test_strict_refuses_nul_bytes(write: Write) -> None:
    path = write("a.txt", "一\n二\0\n")
    with pytest.raises(InputError, match=f"{path}:2: NUL.*--strict"):
        documents(path)


@pytest.mark.parametrize("text", ['[\n{"text": "一"},\n{"text": "二"}\n]', '[{"text": "一"}, {"text": "二"}]'])
def test_a_json_array_is_no_file_of_json_lines(write: Write, text: str) -> None:
    bad = BadRecords()
    path = write("a.json", text)
    assert documents(path, bad) == []
    assert bad.files == {"a JSON array, not JSON lines": 1}
    with pytest.raises(InputError, match=re.escape(f"{path}: a JSON array") + ".*jq"):
        documents(path)


# ------------------------------------------------------------------------------------------------------ other encodings


@pytest.mark.parametrize("lines", [3, 5000])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gbk", "GB18030"),
        ("gb18030", "GB18030"),
        ("big5", "BIG5"),
        ("utf-16", "UTF-16LE"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
    ],
)
def test_a_file_in_another_encoding_is_skipped_and_named_with_the_encoding_and_the_remedy(
    write: Write, encoding: str, name: str, lines: int
) -> None:
    bad = BadRecords()
    text = "今天天氣很好，我們去公園" if encoding == "big5" else "今天天气很好，我们去公园"
    path = write("a.txt", (f"{text}\n" * lines).encode(encoding))
    assert documents(path, bad) == []
    assert bad.files == {f"not UTF-8, probably {name}": 1}
    assert bad.counts == {}
    with pytest.raises(InputError, match=rf"{path}: not UTF-8, probably {name}; .*iconv -f {name} -t UTF-8 FILE"):
        documents(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_latin_text_in_utf16_is_not_taken_for_text_with_nul_bytes(write: Write, encoding: str) -> None:
    bad = BadRecords()
    assert documents(write("a.txt", ("plain words\n" * 100).encode(encoding)), bad) == []
    assert sum(bad.files.values()) == 1


def test_text_among_the_zeros_of_a_crashed_disk_is_kept(write: Write) -> None:
    bad = BadRecords()
    path = write("a.txt", "一二三\n" * 100 + "\0" * 8192 + "\n四五六\n")
    assert flat(documents(path, bad)) == ["一二三"] * 100 + ["四五六"]
    assert bad.examples == {"NUL characters removed": [f"{path}:101: NUL characters removed"]}


def test_json_lines_in_another_encoding_are_told_too(write: Write) -> None:
    bad = BadRecords()
    assert documents(write("a.jsonl", as_json_lines(*["今天天气很好"] * 10).encode("gbk")), bad) == []
    assert bad.files == {"not UTF-8, probably GB18030": 1}


def test_the_remedy_for_a_compressed_file_unpacks_it(write: Write) -> None:
    path = write("a.txt.gz", ("今天天气很好\n" * 3).encode("gbk"))
    with pytest.raises(InputError, match=r"gzip -dc FILE \| iconv -f GB18030 -t UTF-8 > NEW.txt"):
        documents(path)


def test_noise_is_no_encoding(write: Write) -> None:
    bad = BadRecords()
    noise = bytes((number * 7919 + number // 251) % 128 + 128 for number in range(5000))
    assert documents(write("a.txt", noise), bad) == []
    assert bad.files == {"not UTF-8": 1}


@pytest.mark.parametrize("encoding", ["gb18030", "big5hkscs", "utf-16-le"])
def test_the_encoding_of_real_text_is_told(write: Write, sample_paragraphs: list[str], encoding: str) -> None:
    text = "\n".join(sample_paragraphs[:50])
    if encoding == "big5hkscs":
        opencc = pytest.importorskip("opencc")
        text = opencc.OpenCC("s2t").convert(text)
    bad = BadRecords()
    documents(write("a.txt", text.encode(encoding, errors="ignore")), bad)
    names = {"gb18030": "GB18030", "big5hkscs": "BIG5", "utf-16-le": "UTF-16LE"}
    assert bad.files == {f"not UTF-8, probably {names[encoding]}": 1}


def test_a_file_of_damaged_utf8_is_not_taken_for_another_encoding(write: Write) -> None:
    bad = BadRecords()
    lines = [f"第{number}行".encode() + (b"\xff" if number % 3 == 0 else b"") for number in range(300)]
    assert len(flat(documents(write("a.txt", b"\n".join(lines)), bad))) == 200
    assert bad.counts == {"not UTF-8": 100}


def test_text_is_the_same_whatever_holds_it(write: Write, sample_paragraphs: list[str]) -> None:
    text = "\n".join(sample_paragraphs)
    as_text = flat(documents(write("a.txt", text)))
    assert as_text == [line.strip() for line in sample_paragraphs if line.strip()]
    assert flat(documents(write("a.jsonl", json.dumps({"text": text})))) == as_text
