"""Files of tasks as they are published, and as they should not be."""

import gzip
import json
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from chinesebert.tasks.files import id_of, label_of, read_lines, read_records, read_rows, read_table, read_text

TEXT = "今天下雨\n明天晴\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip("\n"),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
    ],
    ids=["plain", "without an end", "byte order mark", "Windows", "both", "old Mac"],
)
def test_lines_are_the_same_whatever_ends_them(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / "a.txt", content)
    assert list(read_lines(path)) == [(f"{path}:1", "今天下雨"), (f"{path}:2", "明天晴")]


def test_separators_of_unicode_end_no_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "一\u2028二\u0085三\n四\n")
    assert [line for _, line in read_lines(path)] == ["一\u2028二\u0085三", "四"]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("好\n".encode() + "坏".encode("gb18030"), "a.txt:2: is not UTF-8; if it is GB 18030, convert it: iconv"),
        (TEXT.encode("utf-16"), "is UTF-16; convert it: iconv -f UTF-16"),
        (gzip.compress(TEXT.encode()), "is a gzip archive; unpack it"),
        (b"PK\x03\x04rest", "is a zip archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
    ids=["GB 18030", "UTF-16", "gzip", "zip", "Git LFS"],
)
def test_what_is_no_utf_8_text_is_refused_with_a_remedy(tmp_path: Path, content: bytes, remedy: str) -> None:
    path = written(tmp_path / "a.txt", content)
    with pytest.raises(InputError) as refused:
        read_text(path)
    assert remedy in str(refused.value)


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / name)


RECORDS = [{"id": 1, "sentence": "天, 气"}, {"id": 2, "sentence": "雨 {"}]
LINES = [json.dumps(record, ensure_ascii=False) for record in RECORDS]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ("\n".join(LINES), [":1", ":2"]),
        ("\n\n".join(LINES) + "\n\n", [":1", ":3"]),
        (",\n".join(LINES) + ",\n", [":1", ":2"]),
        (json.dumps(RECORDS), [": record 1", ": record 2"]),
        (json.dumps(RECORDS, indent=2), [": record 1", ": record 2"]),
        ("\n".join(json.dumps(record, indent=2) for record in RECORDS), [":1", ":5"]),
        (",\n".join(json.dumps(record, indent=2) for record in RECORDS), [":1", ":5"]),
    ],
    ids=["lines", "empty lines", "commas", "array", "printed array", "printed records", "printed with commas"],
)
def test_records_are_read_however_they_are_strung_together(tmp_path: Path, content: str, places: list[str]) -> None:
    path = written(tmp_path / "a.json", content)
    read = list(read_records(path))
    assert [record for _, record in read] == RECORDS
    assert [where for where, _ in read] == [f"{path}{place}" for place in places]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES[0] + "\n" + LINES[1][:-4], r"a.json:2: is not a JSON record"),
        (LINES[0] + "\n好\t坏\n", r"a.json:2: is not a JSON record .*好"),
        (LINES[0] + "\n[1, 2]\n", r"a.json:2: is \[1, 2\], not a JSON object"),
        (json.dumps(RECORDS, indent=2)[:-3], r"a.json:9: is not JSON .* is the file complete"),
        (json.dumps(RECORDS[0], indent=2)[:-3], r"a.json:\d: is not JSON .* is the file complete"),
    ],
)
def test_a_broken_record_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_records(written(tmp_path / "a.json", content)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), ("7", 7), ("07", "07"), ("a7", "a7"), (None, 3), ("", 3), (0, 0)],
)
def test_ids_are_those_of_the_file_or_the_number_of_the_record(value: object, expected: int | str) -> None:
    assert id_of({"id": value}, ("id",), "a:1", 3) == expected


@pytest.mark.parametrize("value", [True, 1.5, [1]])
def test_an_id_that_tells_nothing_apart_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="a:1: the id is"):
        id_of({"id": value}, ("id",), "a:1", 3)


@pytest.mark.parametrize(("value", "label"), [("x", "x"), (3, "3"), (True, "true"), (None, None), ("", None)])
def test_labels_are_texts_whatever_json_has(value: object, label: str | None) -> None:
    assert label_of({"label": value}, "label", "a:1") == label


def test_tabs_separate_and_quotes_are_ordinary_characters(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", '他说"好\t1\n\n"是，吗\t0\n')
    assert list(read_rows(path)) == [(f"{path}:1", ['他说"好', "1"]), (f"{path}:3", ['"是，吗', "0"])]


def test_quoted_cells_of_csv_hold_commas_and_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '"一,二",1\n"三\n四",0\n五,1\n')
    assert list(read_rows(path)) == [
        (f"{path}:1", ["一,二", "1"]),
        (f"{path}:2", ["三\n四", "0"]),
        (f"{path}:4", ["五", "1"]),
    ]


def test_without_separators_a_line_is_a_cell_also_an_empty_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "一,二\n\n三\n\n\n")
    assert [cells for _, cells in read_rows(path, comma=False)] == [["一,二"], [""], ["三"]]


def test_an_open_quotation_mark_in_a_long_csv_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '一,1\n"二,1\n' + "三四五六七八九十,1\n" * 20_000)
    with pytest.raises(InputError, match=r"a.csv:2: is not CSV .* quotation mark"):
        list(read_rows(path))


def test_a_table_has_its_columns_by_position_or_by_a_line_of_names(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.tsv", "好\t1\n")
    named = written(tmp_path / "named.tsv", "Label\ttext\n1\t好\n")
    for path in (plain, named):
        assert [row for _, row in read_table(path, ("text", "label"))] == [{"text": "好", "label": "1"}]


def test_a_row_with_other_columns_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "好\t1\n坏\t0\t0\n")
    with pytest.raises(InputError, match=r"a.tsv:2: has 3 columns, not 2 \(text, label\)"):
        list(read_table(path, ("text", "label")))
