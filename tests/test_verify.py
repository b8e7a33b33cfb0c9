"""A good corpus passes, and whatever is wrong with one is named: the shard, the document, the token, the rule."""

import json
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.checksums import PIECE_BYTES, changed_bit, file_checksums, file_crc32
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.format import SCHEMA, Block, Manifest
from chinesebert.corpus.shard_stream import StoredBatch, read_shard
from chinesebert.corpus.verification import Failure, Findings, Rule, records, shard, verify_corpus
from chinesebert.corpus.verification.records import RecordChecker
from chinesebert.corpus.verification.shard import check_shard
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from data_prep.__main__ import main
from data_prep.inspection.blocks import CorpusBlocks
from data_prep.inspection.documents import sentences_of
from tests.small_corpora import (
    DOCUMENTS,
    change_block,
    change_manifest,
    flip_bit,
    prepare,
    refresh_manifest,
    rewrite_shard,
    shard_blocks,
)

Captured = pytest.CaptureFixture[str]
WORD, SENTENCE = 0x8000, 0x4000


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """``DOCUMENTS`` in two shards of several record batches. Do not change it."""
    return prepare(tmp_path_factory.mktemp("good") / "corpus", DOCUMENTS, small_tokenizer)


@pytest.fixture
def corpus(good: Path, tmp_path: Path) -> Path:
    """A copy of the good corpus to damage."""
    return Path(shutil.copytree(good, tmp_path / "corpus"))


def failures(corpus: Path) -> list[Failure]:
    return verify_corpus(corpus).findings.failures


def only_failure(corpus: Path) -> Failure:
    found = failures(corpus)
    assert len(found) == 1, [str(failure) for failure in found]
    return found[0]


def failure_of(corpus: Path, rule: Rule) -> Failure:
    return next(failure for failure in failures(corpus) if failure.rule == rule)


# --------------------------------------------------------------------------------------------------------- what is good


def test_a_good_corpus_passes_and_says_so_in_one_line(good: Path, capsys: Captured) -> None:
    assert main(["verify", str(good)]) == 0
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert f"{good}: OK, every checksum and all {len(Rule)} rules hold; 2 shards, 6 documents," in output


def test_what_the_corpus_program_writes_passes(corpora_directory: Path) -> None:
    for part in ("train", "heldout"):
        assert failures(corpora_directory / part) == []


def test_the_small_corpus_has_what_these_tests_need(good: Path) -> None:
    documents = [
        [len(block.document_starts) - 1 for block in shard_blocks(path)] for path in sorted(good.glob("*.arrow"))
    ]
    assert documents == [[2, 2], [2]]


def test_a_manifest_without_crc32_passes(corpus: Path) -> None:
    shards = json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))["shards"]
    change_manifest(corpus, shards=[{name: entry[name] for name in entry if name != "crc32"} for entry in shards])
    assert failures(corpus) == []


def test_every_byte_of_the_shards_is_reported_twice_as_progress(good: Path) -> None:
    seen: list[int] = []
    verify_corpus(good, progress=seen.append)
    size = sum(path.stat().st_size for path in good.glob("*.arrow"))
    overhead = 2 * 300  # headers and end markers belong to no record batch
    assert 2 * size - overhead <= sum(seen) <= 2 * size


@pytest.fixture(scope="module")
def checker(good: Path, small_tokenizer: ChineseBertTokenizer) -> RecordChecker:
    return RecordChecker(Manifest.load(good), small_tokenizer)


PIECES = [
    "重庆",
    "一个",
    "豈",
    "金",
    "\uf90a",
    "〇",
    "a〇",
    "龘",
    "reading",
    "e\u0301",
    "葛\U000e0100",
    "か",
    "[MASK]",
    "##a",
    "。",
    " ",
]


@pytest.fixture(scope="module")
def annotator(small_tokenizer: ChineseBertTokenizer) -> Annotator:
    return Annotator(small_tokenizer)


@given(st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=12).map("".join))
def test_whatever_the_annotator_makes_of_a_text_passes(checker: RecordChecker, annotator: Annotator, text: str) -> None:
    block, findings = annotator.annotate([text, "一"]).block(), Findings(limit=10)
    checker.check(StoredBatch(0, 0, 0, 0, block.batch(), ()), "shard", findings)
    assert [str(failure) for failure in findings.failures] == []


# -------------------------------------------------------------------------------------------------------- a changed bit


@pytest.mark.parametrize(("column", "name"), [(0, "input_ids"), (1, "pinyin_and_starts")])
def test_a_changed_bit_in_a_value_is_traced_to_its_document_and_token(corpus: Path, column: int, name: str) -> None:
    path = corpus / "shard-00000.arrow"
    second = list(read_shard(path))[1]
    was = second.batch.column(column).values[second.batch.column(0).offsets[1].as_py() + 3].as_py()
    begin, _ = second.spans[2 * column + 1]
    byte = begin + 2 * (second.batch.column(0).offsets[1].as_py() + 3)
    flip_bit(path, byte + 1, 1)
    failure = failure_of(corpus, Rule.CRC32)
    assert (failure.file, failure.documents, failure.token) == ("shard-00000.arrow", (3, 3), 3)
    assert failure.what == f"bit 1 of byte {byte + 1:,} has changed: {name} is {was ^ 1 << 9}, was {was}"


def test_a_changed_bit_in_an_offset_is_traced_to_the_documents_on_both_sides(corpus: Path) -> None:
    path = corpus / "shard-00000.arrow"
    begin, _ = next(read_shard(path)).spans[0]
    flip_bit(path, begin + 4, 0)
    assert failure_of(corpus, Rule.CRC32).documents == (0, 1)
    assert [failure.documents for failure in failures(corpus) if failure.rule == Rule.LENGTHS] == [(0, 0), (1, 1)]


def test_a_changed_bit_in_a_header_is_traced_to_the_documents_of_its_batch_or_stops_the_reading(corpus: Path) -> None:
    path = corpus / "shard-00000.arrow"
    second = list(read_shard(path))[1]
    flip_bit(path, second.begin + 1, 0)  # the continuation marker
    assert "no record could be read there" in failure_of(corpus, Rule.CRC32).what
    assert f"byte {second.begin:,} is damaged" in failure_of(corpus, Rule.STREAM).what
    assert "documents read before this: 2" in failure_of(corpus, Rule.STREAM).what


def test_any_single_bit_that_changes_is_found_and_named(corpus: Path, checker: RecordChecker) -> None:
    path = corpus / "shard-00001.arrow"
    entry = Manifest.load(corpus).shards[1]
    for bit in range(0, 8 * path.stat().st_size, 211):
        flip_bit(path, bit // 8, bit % 8)
        found = Findings(limit=10)
        check_shard(path, entry, checker, found, lambda read: None)
        named = {failure.rule: failure for failure in found.failures}
        assert named[Rule.SHA256].file == "shard-00001.arrow"
        assert f"bit {bit % 8} of byte {bit // 8:,} has changed" in named[Rule.CRC32].what
        flip_bit(path, bit // 8, bit % 8)


def test_without_crc32_a_changed_reading_is_still_traced_by_the_rule_it_breaks(corpus: Path) -> None:
    shards = json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))["shards"]
    change_manifest(corpus, shards=[entry | {"crc32": ""} for entry in shards])
    path = corpus / "shard-00000.arrow"
    flip_bit(path, next(read_shard(path)).spans[3][0], 0)
    failure = failure_of(corpus, Rule.READINGS)
    assert (failure.file, failure.documents, failure.token) == ("shard-00000.arrow", (0, 0), 0)
    assert "the token" in failure.what and "(重) has the syllable" in failure.what


def test_damage_of_many_bytes_is_traced_to_a_range_of_documents(corpus: Path) -> None:
    path = corpus / "shard-00000.arrow"
    data = bytearray(path.read_bytes())
    begin, end = next(read_shard(path)).spans[1]
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    crc = failure_of(corpus, Rule.CRC32)
    assert crc.documents == (0, 3)  # the whole of so small a file is one piece
    assert [failure.documents for failure in failures(corpus) if failure.rule == Rule.SPECIAL_TOKENS] == [
        (0, 0),
        (1, 1),
    ]


@given(st.binary(min_size=1, max_size=300), st.data())
def test_the_crc_of_a_piece_tells_which_bit_changed(piece: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(piece) - 1))
    changed = bytearray(piece)
    changed[bit // 8] ^= 1 << (bit % 8)
    assert changed_bit(zlib.crc32(piece), zlib.crc32(changed), len(piece)) == bit


def test_two_changed_bits_are_not_taken_for_one() -> None:
    assert changed_bit(zlib.crc32(bytes(100)), zlib.crc32(bytes([1, *bytes(98), 1])), 100) is None


def test_the_last_piece_of_a_file_may_be_short(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(PIECE_BYTES + 5))
    assert file_checksums(tmp_path / "file").crc32 == f"{zlib.crc32(bytes(PIECE_BYTES)):08x}{zlib.crc32(bytes(5)):08x}"
    assert file_crc32(tmp_path / "file") == file_checksums(tmp_path / "file").crc32


# ---------------------------------------------------------------------------- rules of documents and tokens, one by one


def set_value(array: str, position: int, change: Callable[[int], int]) -> Callable[[Block], None]:
    def apply(block: Block) -> None:
        values = getattr(block, array)
        values[position] = change(int(values[position]))

    return apply


SHARD = "shard-00000.arrow"


@pytest.mark.parametrize(
    ("rule", "token", "change", "what"),
    [
        (Rule.TOKEN_IDS, 3, set_value("input_ids", 16, lambda _: 65535), "id 65535 is outside the vocabulary"),
        (Rule.SPECIAL_TOKENS, 3, set_value("input_ids", 16, lambda _: 103), r"the special token 103 \(\[MASK\]\)"),
        (Rule.SYLLABLE_IDS, 3, set_value("pinyin_and_starts", 16, lambda value: value | 0x3FFF), "syllable id 16383"),
        (Rule.READINGS, 3, set_value("pinyin_and_starts", 16, lambda value: value & WORD | 1), r"\(长\) .* 1 \(a\)"),
        (Rule.READINGS, 3, set_value("pinyin_and_starts", 16, lambda value: value & WORD), r"\(长\) .* 0 \(none\)"),
        (Rule.DOCUMENT_STARTS, 0, set_value("pinyin_and_starts", 13, lambda value: value & ~SENTENCE), r"\(银\)"),
        (Rule.SENTENCE_STARTS, 1, set_value("pinyin_and_starts", 14, lambda value: value | SENTENCE), "but no word"),
    ],
    ids=["token", "special", "syllable", "reading", "no reading", "document start", "sentence start"],
)
def test_a_token_that_breaks_one_rule_is_named(
    corpus: Path, rule: Rule, token: int, change: Callable[[Block], None], what: str
) -> None:
    change_block(corpus / SHARD, 0, change)
    failure = only_failure(corpus)
    assert (failure.rule, failure.file, failure.documents, failure.token) == (rule, SHARD, (1, 1), token)
    assert re.search(what, failure.what), failure.what


def test_a_continuation_piece_that_starts_a_word_is_named(corpus: Path) -> None:
    change_block(corpus / SHARD, 1, set_value("pinyin_and_starts", 8, lambda value: value | WORD))
    failure = only_failure(corpus)
    assert (failure.rule, failure.documents, failure.token) == (Rule.CONTINUATIONS, (2, 2), 8)
    assert "(##ing)" in failure.what


def test_an_empty_document_is_named(corpus: Path) -> None:
    change_block(
        corpus / SHARD,
        1,
        lambda block: Block(block.input_ids, block.pinyin_and_starts, np.insert(block.document_starts, 1, 0)),
    )
    failure = only_failure(corpus)
    assert (failure.rule, failure.documents) == (Rule.EMPTY_DOCUMENTS, (2, 2))


def replace_batch(corpus: Path, number: int, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
    batches = [block.batch() for block in shard_blocks(corpus / SHARD)]
    batches[number] = change(batches[number])
    rewrite_shard(corpus / SHARD, batches)


def list_batch(*columns: list[list[int | None] | None]) -> pa.RecordBatch:
    arrays = [pa.array(column, type=pa.list_(pa.uint16())) for column in columns]
    return pa.record_batch(arrays, schema=SCHEMA)


def test_columns_of_different_lengths_are_named(corpus: Path) -> None:
    replace_batch(corpus, 1, lambda batch: list_batch([[200, 200], [200]], [[0xC000], [0xC000, 0x8000]]))
    found = [failure for failure in failures(corpus) if failure.rule == Rule.LENGTHS]
    assert [failure.documents for failure in found] == [(2, 2), (3, 3)]
    assert found[0].what == "input_ids holds 2 tokens, pinyin_and_starts 1"


@pytest.mark.parametrize(
    "columns", [([[200], None], [[0xC000], [0xC000]]), ([[200], [200]], [[0xC000], [None]])], ids=["list", "value"]
)
def test_a_null_is_named(corpus: Path, columns: tuple[list[list[int | None] | None], ...]) -> None:
    replace_batch(corpus, 1, lambda batch: list_batch(*columns))
    found = failure_of(corpus, Rule.NULLS)
    assert (found.file, found.documents) == (SHARD, (3, 3))


def test_lists_that_leave_values_out_are_named(corpus: Path) -> None:
    first = next(read_shard(corpus / SHARD))
    data = bytearray((corpus / SHARD).read_bytes())
    for _, end in (first.spans[0], first.spans[2]):
        data[end - 4] -= 1  # the last offset of a column
    (corpus / SHARD).write_bytes(data)
    refresh_manifest(corpus)
    failure = only_failure(corpus)
    assert (failure.rule, failure.documents) == (Rule.LENGTHS, (0, 1))
    assert failure.what == "their lists do not cut the values in order (0 to 21 of 22 and 0 to 21 of 22)"


def test_a_record_batch_without_documents_is_named(corpus: Path) -> None:
    replace_batch(corpus, 1, lambda batch: list_batch([], []))
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.BATCHES, SHARD)
    assert failure.what == "record batch 1 holds no document"


def test_a_record_batch_that_goes_on_after_it_is_full_is_named(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BATCH_TOKENS", 13)
    failure = only_failure(corpus)
    assert (failure.rule, failure.file, failure.documents) == (Rule.BATCHES, SHARD, (0, 1))


def test_a_shard_that_goes_on_after_it_is_full_is_named(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "SHARD_TOKENS", 22)
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.BATCHES, SHARD)


# ---------------------------------------------------------------------------------------------------- files and streams


def test_a_shard_cut_short_is_named_with_what_could_be_read(corpus: Path) -> None:
    data = (corpus / SHARD).read_bytes()
    (corpus / SHARD).write_bytes(data[:-20])
    size = failure_of(corpus, Rule.SIZE)
    assert f"has {len(data) - 20:,} bytes, the manifest says {len(data):,}" in size.what
    assert "documents read before this: 2" in failure_of(corpus, Rule.STREAM).what


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data[:-8], "breaks off at byte .* without the marker that ends an Arrow stream"),
        (lambda data: data + b"more", "goes on after the end of the Arrow stream"),
        (lambda data: b"", "the Arrow message at byte 0 is damaged|breaks off at byte 0"),
        (lambda data: b"ARROW1" + data, "the Arrow message at byte 0 is damaged"),
    ],
    ids=["no end", "more", "empty", "another format"],
)
def test_a_shard_that_is_no_arrow_stream_is_named(corpus: Path, change: Callable[[bytes], bytes], what: str) -> None:
    (corpus / SHARD).write_bytes(change((corpus / SHARD).read_bytes()))
    refresh_manifest(corpus)
    failure = failure_of(corpus, Rule.STREAM)
    assert failure.file == SHARD
    assert re.search(what, failure.what), failure.what


# Bytes of the schema; with these values pyarrow 26.0 reads from places that are none, and the process ends.
DEADLY = {29: 8, 51: 64}


@pytest.mark.parametrize("crc32", [True, False], ids=["with CRC-32", "without"])
def test_a_damaged_schema_is_not_given_to_pyarrow(corpus: Path, crc32: bool) -> None:
    data = bytearray((corpus / SHARD).read_bytes())
    for place, value in DEADLY.items():
        data[place] = value
    (corpus / SHARD).write_bytes(data)
    if not crc32:
        entries = [asdict(entry) | {"crc32": ""} for entry in Manifest.load(corpus).shards]
        change_manifest(corpus, shards=entries)
    program = "import sys; from data_prep.__main__ import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", program, "verify", str(corpus)], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "its schema, the Arrow message at byte 0, differs from ours and may be damaged" in ended.stdout


def with_metadata(shard_path: Path) -> None:
    """Writes a shard as another program may: the same columns, the schema in other bytes."""
    batches = [block.batch() for block in shard_blocks(shard_path)]
    schema = SCHEMA.with_metadata({"writer": "another"})
    with pa.ipc.new_stream(str(shard_path), schema) as stream:
        for batch in batches:
            stream.write_batch(batch.replace_schema_metadata(schema.metadata))


def test_a_shard_of_another_writer_passes(corpus: Path) -> None:
    with_metadata(corpus / SHARD)
    refresh_manifest(corpus)
    assert failures(corpus) == []


def test_a_changed_value_in_a_shard_of_another_writer_is_traced_to_its_document(corpus: Path) -> None:
    with_metadata(corpus / SHARD)
    refresh_manifest(corpus)
    flip_bit(corpus / SHARD, next(read_shard(corpus / SHARD)).spans[1][0], 0)
    assert failure_of(corpus, Rule.CRC32).documents == (0, 0)
    assert not [failure for failure in failures(corpus) if failure.rule == Rule.STREAM]


def test_a_shard_of_other_columns_is_named(corpus: Path) -> None:
    batch = pa.record_batch([pa.array([[1]], type=pa.list_(pa.int32()))], names=["ids"])
    rewrite_shard(corpus / SHARD, [batch])
    failure = failure_of(corpus, Rule.STREAM)
    assert "its columns are ids: list<item: int32>, not input_ids: list<item: uint16>, pinyin_and_st" in failure.what


def test_a_compressed_shard_is_named(corpus: Path) -> None:
    batches = [block.batch() for block in shard_blocks(corpus / SHARD)]
    rewrite_shard(corpus / SHARD, batches, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    assert "is compressed" in failure_of(corpus, Rule.STREAM).what


def test_a_missing_shard_is_named_and_the_others_are_checked(corpus: Path) -> None:
    (corpus / SHARD).unlink()
    flip_bit(corpus / "shard-00001.arrow", 600, 0)
    assert failure_of(corpus, Rule.FILES).file == SHARD
    assert failure_of(corpus, Rule.SHA256).file == "shard-00001.arrow"


def test_a_shard_that_the_manifest_does_not_list_is_named(corpus: Path) -> None:
    shutil.copy(corpus / SHARD, corpus / "shard-00002.arrow")
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.FILES, "shard-00002.arrow")


def test_a_shard_under_another_name_is_named(corpus: Path) -> None:
    (corpus / SHARD).rename(corpus / "part.arrow")
    manifest = Manifest.load(corpus)
    change_manifest(corpus, shards=[vars(manifest.shards[0]) | {"file": "part.arrow"}, vars(manifest.shards[1])])
    failure = only_failure(corpus)
    assert (failure.rule, failure.what) == (Rule.FILES, "shard 0 is called 'part.arrow'")


def test_a_manifest_cannot_make_it_read_other_folders(corpus: Path) -> None:
    manifest = Manifest.load(corpus)
    change_manifest(corpus, shards=[vars(entry) | {"file": f"../{entry.file}"} for entry in manifest.shards])
    assert {failure.rule for failure in failures(corpus)} == {Rule.FILES}


def test_a_shard_that_cannot_be_read_is_named(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_disk(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(shard, "file_checksums", broken_disk)
    assert [failure.what for failure in failures(corpus)] == ["cannot be read (Input/output error)"] * 2


# ----------------------------------------------------------------------------------------------- what the manifest says


@pytest.mark.parametrize("name", ["documents", "tokens", "words", "sentences", "unknown_tokens"])
def test_a_total_that_the_shards_do_not_hold_is_named(corpus: Path, name: str) -> None:
    change_manifest(corpus, **{name: getattr(Manifest.load(corpus), name) + 1})
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.TOTALS, "manifest.json")
    assert failure.what.startswith(f"{name} is ")


def test_counts_of_a_shard_that_it_does_not_hold_are_named(corpus: Path) -> None:
    manifest = Manifest.load(corpus)
    change_manifest(corpus, shards=[vars(manifest.shards[0]), vars(manifest.shards[1]) | {"documents": 3}])
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.SHARD_COUNTS, "shard-00001.arrow")


def test_token_counts_that_the_shards_do_not_hold_are_named(corpus: Path) -> None:
    counts = Manifest.load(corpus).token_counts
    token = next(iter(counts))
    change_manifest(corpus, token_counts=counts | {token: counts[token] + 1, "1": 5})
    assert {failure.rule for failure in failures(corpus)} == {Rule.TOKEN_COUNTS}
    assert len(failures(corpus)) == 2


def test_a_checksum_that_changed_in_the_manifest_is_told_from_a_shard_that_changed(corpus: Path) -> None:
    manifest = Manifest.load(corpus)
    entries = [vars(manifest.shards[0]) | {"sha256": "0" * 64}, vars(manifest.shards[1]) | {"crc32": "0" * 8}]
    change_manifest(corpus, shards=entries)
    sha256, crc32 = failure_of(corpus, Rule.SHA256), failure_of(corpus, Rule.CRC32)
    assert "it is the manifest that has changed" in sha256.what
    assert (crc32.file, "whose SHA-256 is right" in crc32.what) == ("manifest.json", True)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"surprise": 1}, "the manifest is damaged"),
        ({"tokens": "16"}, "tokens is '16', not a count"),
        ({"words": -1}, "words is -1, not a count"),
        ({"segmenter": None}, "segmenter is None, not a text"),
        ({"vocabulary_sha256": "xyz"}, "lower-case hexadecimal digits"),
        ({"token_counts": {"的": 1}}, "no token id"),
        ({"skipped": []}, "skipped is"),
    ],
    ids=["version", "unknown key", "text for a number", "negative", "null", "checksum", "token id", "list"],
)
def test_a_manifest_that_says_what_cannot_be_is_named(corpus: Path, changes: dict[str, object], what: str) -> None:
    change_manifest(corpus, **changes)
    failure = only_failure(corpus)
    assert (failure.rule, failure.file) == (Rule.MANIFEST, "manifest.json")
    assert what in failure.what


def test_shards_without_a_manifest_are_a_damaged_corpus(corpus: Path, capsys: Captured) -> None:
    (corpus / "manifest.json").unlink()
    assert main(["verify", str(corpus)]) == 1
    assert "manifest.json: is missing; copy it again, or prepare the text again" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["missing", "folder", "file.txt"])
def test_what_is_no_corpus_is_bad_input(tmp_path: Path, name: str, capsys: Captured) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("重庆。")
    assert main(["verify", str(tmp_path / name)]) == 2
    assert f"error: {tmp_path / name}: " in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- the tokenizer


def test_a_corpus_without_its_tokenizer_is_checked_as_far_as_possible(corpus: Path, capsys: Captured) -> None:
    shutil.rmtree(corpus / "tokenizer")
    change_block(corpus / SHARD, 0, set_value("input_ids", 16, lambda _: 65535))
    assert main(["verify", str(corpus)]) == 1
    output = capsys.readouterr().out
    assert "tokenizer: holds no saved tokenizer" in output
    assert f"{SHARD}, document 1, token 3: the token id 65535 is outside the vocabulary" in output
    assert "not checked: rules 12 (special tokens), 14 (readings), 17 (continuations)" in output


def test_another_tokenizer_is_named(corpus: Path, tokenizer: ChineseBertTokenizer) -> None:
    tokenizer.save_pretrained(corpus / "tokenizer")
    what = [failure.what for failure in failures(corpus) if failure.rule == Rule.TOKENIZER]
    assert any(text.startswith("the fingerprint is") for text in what)
    assert any(text.startswith("the number of tokens is") for text in what)


def test_a_changed_vocabulary_file_is_named(corpus: Path) -> None:
    path = corpus / "tokenizer" / "vocab.txt"
    path.write_text(path.read_text(encoding="utf-8") + "更多\n", encoding="utf-8")
    failure = only_failure(corpus)
    assert (failure.rule, "vocab.txt" in failure.what) == (Rule.TOKENIZER, True)


# ---------------------------------------------------------------------------------------------------------- the program


def test_failures_beyond_the_limit_are_counted_and_hide_no_other_rule(corpus: Path, capsys: Captured) -> None:
    def spoil(block: Block) -> None:
        block.input_ids[:] = 103
        block.pinyin_and_starts[block.document_starts[:-1]] = WORD

    change_block(corpus / SHARD, 0, spoil)
    change_block(corpus / SHARD, 1, spoil)
    assert main(["verify", str(corpus), "--limit", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{SHARD}, document 0, token 0: holds the special token 103 ([MASK]) [rule 12, special tokens]"
    assert "… and 3 more of rule 12, special tokens" in lines
    assert sum("[rule 15, document starts]" in line for line in lines) == 1
    assert lines[-1].startswith(f"{corpus}: DAMAGED, 8 failures of 2 rules; 2 shards, 6 documents,")


def test_a_limit_of_none_is_refused(good: Path, capsys: Captured) -> None:
    assert main(["verify", str(good), "--limit", "0"]) == 2
    assert "error: --limit 0: give at least 1" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------- the documentation


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "prepared-corpus.md").read_text(encoding="utf-8")


def program(page: str, name: str) -> dict[str, Any]:
    """What one of the programs of the page defines."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if name in block)
    defined: dict[str, Any] = {"__name__": name}
    exec(compile(code, name, "exec"), defined)
    return defined


def test_the_documented_rules_are_those_that_are_checked(page: str) -> None:
    rules = re.findall(r"^(\d+)\. \*\*(.*?)\.\*\*", page, flags=re.MULTILINE)
    assert [(int(number), title.lower()) for number, title in rules] == [
        (rule.value, rule.title.lower()) for rule in Rule
    ]


def test_the_documented_manifest_has_the_keys_of_ours(page: str, good: Path) -> None:
    example = next(
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "shards" in block
    )
    ours = json.loads((good / "manifest.json").read_text(encoding="utf-8"))
    assert list(example) == list(ours)
    assert list(example["shards"][0]) == list(ours["shards"][0])


def test_the_documented_reader_reads_what_we_read(page: str, corpora_directory: Path) -> None:
    corpus, reader = corpora_directory / "heldout", program(page, "read_corpus.py")
    names = reader["read_names"](corpus / "tokenizer")
    found = [reader["read_sentences"](*document, *names) for document in reader["read_documents"](corpus)]
    blocks = CorpusBlocks(corpus)
    list(blocks)
    expected = [sentences_of(blocks.document(number), blocks.tokenizer) for number in range(len(found))]
    assert len(found) == blocks.manifest.documents
    assert found == [
        [[("".join(word.written), list(word.syllables)) for word in sentence] for sentence in document]
        for document in expected
    ]


def test_the_documented_reader_runs_by_itself(page: str, good: Path, tmp_path: Path) -> None:
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "read_corpus.py" in block
    )
    (tmp_path / "read_corpus.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-I", str(tmp_path / "read_corpus.py"), str(good)]
    shown = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env={"PYTHONUTF8": "1"}).stdout
    assert shown.splitlines()[0] == "重庆/chong2-qing4 的/de 银行/yin2-hang2 。"


def test_what_the_documented_writer_writes_passes_and_is_ours_byte_by_byte(
    page: str, corpora_directory: Path, tmp_path: Path
) -> None:
    ours = corpora_directory / "heldout"
    documents = program(page, "read_corpus.py")["read_documents"](ours)
    program(page, "write_corpus.py")["write_corpus"](tmp_path / "corpus", documents, ours / "tokenizer")
    assert failures(tmp_path / "corpus") == []
    assert (tmp_path / "corpus" / SHARD).read_bytes() == (ours / SHARD).read_bytes()
