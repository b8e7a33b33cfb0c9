"""Parquet files and Hugging Face data sets: rows as documents, columns that are not there, damage."""

import pickle
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chinesebert.errors import InputError
from data_prep.readers import MAX_DOCUMENT_CHARACTERS, BadRecords, find_inputs, read_documents
from tests.reader_inputs import as_json_lines, documents, flat, places, source_of, write_file

TEXTS = [f"第{number}篇。\n第二段。" for number in range(3000)]
PARAGRAPHS = [[f"第{number}篇。", "第二段。"] for number in range(3000)]


def write_parquet(path: Path, texts: list, column: str = "text", **options: object) -> Path:
    """A Parquet file with a column of texts and one of numbers."""
    numbers = list(range(len(texts)))
    pq.write_table(pa.table({"id": numbers, column: texts}), path, **options)
    return path


# ------------------------------------------------------------------------------------------------------------- Parquet


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_a_row_is_a_document_of_paragraphs(tmp_path: Path, compression: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", TEXTS, compression=compression, row_group_size=700)
    assert documents(path) == PARAGRAPHS


def test_rows_are_named_by_their_number_from_0(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", TEXTS, row_group_size=700)
    assert places(path) == [f"{path}:row {row}" for row in range(3000)]


@pytest.mark.parametrize(
    "column_type",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())],
)
def test_text_may_be_of_any_type_that_holds_text(tmp_path: Path, column_type: pa.DataType) -> None:
    values = pa.array([text.encode() if column_type == pa.binary() else text for text in TEXTS[:3]])
    pq.write_table(pa.table({"text": values.cast(column_type)}), tmp_path / "a.parquet")
    assert documents(tmp_path / "a.parquet") == PARAGRAPHS[:3]


def test_columns_within_others_do_not_confuse(tmp_path: Path) -> None:
    table = pa.table({"meta": [{"text": "不是", "url": "x"}], "text": ["是"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert documents(tmp_path / "a.parquet") == [["是"]]


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_may_be_empty(tmp_path: Path, rows: int) -> None:
    pq.write_table(pa.table({"text": pa.array(TEXTS[:rows], pa.string())}), tmp_path / "a.parquet")
    assert documents(tmp_path / "a.parquet") == PARAGRAPHS[:rows]


def test_a_giant_row_is_cut(tmp_path: Path) -> None:
    text = "字" * (2 * MAX_DOCUMENT_CHARACTERS) + "\n尾"
    path = write_parquet(tmp_path / "a.parquet", [text])
    assert [len(paragraph) for paragraph in flat(documents(path))] == [MAX_DOCUMENT_CHARACTERS] * 2 + [1]
    assert places(path)[1] == f"{path}:row 0 (part 2)"


def test_null_rows_are_skipped_and_named(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_parquet(tmp_path / "a.parquet", ["一", None, "二"])
    assert documents(path, bad) == [["一"], ["二"]]
    assert bad.examples == {"column 'text' is null": [f"{path}:row 1: column 'text' is null"]}


@pytest.mark.parametrize("declared", [pa.binary(), pa.string()], ids=["bytes", "said to be text"])
def test_rows_that_are_not_utf8_are_skipped_and_named(tmp_path: Path, declared: pa.DataType) -> None:
    bad = BadRecords()
    values = pa.array(["一".encode(), "坏".encode("gbk"), "二".encode()], pa.binary())
    if declared == pa.string():
        values = pa.Array.from_buffers(pa.string(), 3, values.buffers())
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
    assert documents(tmp_path / "a.parquet", bad) == [["一"], ["二"]]
    assert bad.examples == {"not UTF-8": [f"{tmp_path}/a.parquet:row 1: not UTF-8"]}


def test_nul_characters_in_a_row_are_removed(tmp_path: Path) -> None:
    bad = BadRecords()
    assert documents(write_parquet(tmp_path / "a.parquet", ["好\0字"]), bad) == [["好字"]]
    assert bad.repaired == {"NUL characters removed": 1}


def test_a_file_of_other_columns_is_skipped_and_says_which_it_has(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_parquet(tmp_path / "a.parquet", TEXTS, column="content")
    assert documents(path, bad) == []
    remedy = "name another with --text_field"
    assert bad.examples == {"no column 'text'": [f"{path}: no column 'text' (it has 'id', 'content'); {remedy}"]}
    assert documents(path, text_field="content") == PARAGRAPHS
    with pytest.raises(InputError, match=f"{path}: no column 'text'.*--text_field"):
        documents(path)


def test_a_column_of_another_type_is_refused_with_it(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", TEXTS)
    with pytest.raises(InputError, match=f"{path}: column 'id' is not text .*int64.*--text_field"):
        documents(path, text_field="id")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    bad, path = BadRecords(), tmp_path / "a.parquet"
    column = pa.array(TEXTS[:2])
    pq.write_table(pa.Table.from_arrays([column, column], ["text", "text"]), path)
    assert documents(path, bad) == []
    assert bad.examples["several columns 'text'"][0].startswith(f"{path}: several columns 'text' (it has 2); write ")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_parquet(tmp_path / "a.parquet", TEXTS)
    path.write_bytes(path.read_bytes()[:-100])
    assert documents(path, bad) == []
    assert bad.files == {"damaged Parquet file": 1}


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_file_is_named(tmp_path: Path, content: bytes) -> None:
    bad = BadRecords()
    (tmp_path / "a.parquet").write_bytes(content)
    assert documents(tmp_path / "a.parquet", bad) == []
    assert bad.files == {"damaged Parquet file": 1}


def test_rows_before_a_damaged_page_are_kept(tmp_path: Path) -> None:
    bad = BadRecords()
    path = write_parquet(tmp_path / "a.parquet", TEXTS, row_group_size=1000, compression="zstd", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[start + 100 : start + 200] = bytes(100)
    path.write_bytes(data)
    found = documents(path, bad)
    assert found == PARAGRAPHS[: len(found)]
    assert bad.files == {"damaged Parquet file": 1}


# ----------------------------------------------------------------------------------------------- Hugging Face data sets


@pytest.fixture
def data_files(tmp_path: Path) -> Path:
    """A folder of data files, as the Hub has them: two for training, one for testing."""
    write_file(tmp_path / "set/train-0.jsonl", as_json_lines("一", "二\n三"))
    write_file(tmp_path / "set/train-1.jsonl", as_json_lines("四"))
    write_file(tmp_path / "set/test.jsonl", as_json_lines("试"))
    return tmp_path / "set"


def saved(folder: Path, texts: list, files: int = 1, splits: tuple[str, ...] = ()) -> Path:
    """A data set that ``save_to_disk`` wrote."""
    rows = datasets.Dataset.from_dict({"text": texts, "id": list(range(len(texts)))})
    if splits:
        datasets.DatasetDict(dict.fromkeys(splits, rows)).save_to_disk(folder)
    else:
        rows.save_to_disk(folder, num_shards=files)
    return folder


def test_a_folder_of_data_files_is_streamed(data_files: Path) -> None:
    assert documents(f"hf-dataset:{data_files}:train") == [["一"], ["二", "三"], ["四"]]
    assert documents(f"hf-dataset:{data_files}:test") == [["试"]]
    assert documents(f"hf-dataset:{data_files}:default:test") == [["试"]]


def test_every_file_of_a_data_set_is_a_source_of_its_own(data_files: Path) -> None:
    sources = find_inputs([f"hf-dataset:{data_files}:train"])
    assert [source.url for source in sources] == [f"hf-dataset:{data_files}:train#{part}/2" for part in (0, 1)]
    assert {source.kind for source in sources} == {"huggingface"}
    assert pickle.loads(pickle.dumps(sources)) == sources
    (document,) = read_documents(sources[1], BadRecords())
    assert document.source == f"hf-dataset:{data_files}:train#1/2:row 0"


def test_the_version_of_local_data_files_changes_with_them(data_files: Path) -> None:
    before = source_of(f"hf-dataset:{data_files}:test")
    assert source_of(f"hf-dataset:{data_files}:test") == before
    write_file(data_files / "test.jsonl", as_json_lines("改"))
    assert source_of(f"hf-dataset:{data_files}:test").version not in ("", before.version)


@pytest.mark.parametrize("files", [1, 3])
def test_a_saved_data_set_is_read(tmp_path: Path, files: int) -> None:
    folder = saved(tmp_path / "saved", TEXTS, files)
    assert len(find_inputs([f"hf-dataset:{folder}"])) == files
    assert documents(f"hf-dataset:{folder}") == PARAGRAPHS


def test_a_split_of_a_saved_data_set_is_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", TEXTS[:5], splits=("train", "test"))
    assert documents(f"hf-dataset:{folder}:test") == PARAGRAPHS[:5]


def test_the_only_split_needs_no_name(tmp_path: Path) -> None:
    write_file(tmp_path / "set/a.jsonl", as_json_lines("一"))
    assert documents(f"hf-dataset:{tmp_path}/set") == [["一"]]


def test_one_of_several_splits_has_to_be_named(data_files: Path) -> None:
    with pytest.raises(InputError, match="several splits; it has train, test; write hf-dataset:NAME:SPLIT"):
        find_inputs([f"hf-dataset:{data_files}"])


def test_a_split_that_is_not_there_is_refused_with_those_that_are(data_files: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split 'dev'; it has train, test"):
        find_inputs([f"hf-dataset:{data_files}:dev"])
    folder = saved(tmp_path / "saved", TEXTS[:5], splits=("train", "test"))
    with pytest.raises(InputError, match="no split 'dev'; it has train, test"):
        find_inputs([f"hf-dataset:{folder}:dev"])


@pytest.mark.parametrize("name", ["", ":train", "a:b:c:d", "a:train#x/y"])
def test_what_is_no_name_of_a_data_set_is_refused_with_the_syntax(name: str) -> None:
    with pytest.raises(InputError, match="hf-dataset:NAME:CONFIG:SPLIT"):
        find_inputs([f"hf-dataset:{name}"])


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"hf-dataset:{tmp_path}/none:train: cannot load this data set"):
        find_inputs([f"hf-dataset:{tmp_path}/none:train"])


def test_a_saved_data_set_given_as_a_folder_is_answered_with_the_syntax(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", TEXTS[:5])
    with pytest.raises(InputError, match=rf"{folder}: .*hf-dataset:{folder}"):
        find_inputs([folder])


def test_a_saved_folder_of_splits_is_answered_with_their_names(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", TEXTS[:5], splits=("train", "test"))
    with pytest.raises(InputError, match=rf"write hf-dataset:{folder}:train or hf-dataset:{folder}:test$"):
        find_inputs([folder])


def test_a_split_of_a_data_set_that_was_saved_without_any_is_refused_with_what_to_write(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", TEXTS[:5])
    with pytest.raises(InputError, match=rf"was saved without splits; write hf-dataset:{folder}$"):
        find_inputs([f"hf-dataset:{folder}:train"])


def test_a_configuration_of_a_saved_data_set_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", TEXTS[:5], splits=("train",))
    with pytest.raises(InputError, match=rf"was saved without configuration; write hf-dataset:{folder}:train$"):
        find_inputs([f"hf-dataset:{folder}:default:train"])


def test_a_data_set_of_other_columns_is_skipped_and_says_which_it_has(tmp_path: Path) -> None:
    bad = BadRecords()
    folder = saved(tmp_path / "saved", TEXTS[:5])
    assert documents(f"hf-dataset:{folder}", bad, text_field="content") == []
    assert bad.files == {"no column 'content'": 1}
    assert "'text', 'id'" in bad.examples["no column 'content'"][0]


def test_null_rows_of_a_data_set_are_skipped_and_named(tmp_path: Path) -> None:
    bad = BadRecords()
    folder = saved(tmp_path / "saved", ["一", None])
    assert documents(f"hf-dataset:{folder}", bad) == [["一"]]
    assert bad.counts == {"column 'text' is null": 1}


def test_a_damaged_local_data_set_is_named_and_what_comes_before_is_kept(data_files: Path) -> None:
    bad = BadRecords()
    sources = find_inputs([f"hf-dataset:{data_files}:train"])
    (data_files / "train-1.jsonl").write_bytes(b"\x00\xff{{{")
    found = [document.paragraphs for source in sources for document in read_documents(source, bad)]
    assert found == [["一"], ["二", "三"]]
    assert bad.files == {"damaged data set": 1}
