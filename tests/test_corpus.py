"""The corpus program end to end: what it writes, that it is the same each time, and what it says about bad input."""

import gzip
import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chinesebert.corpus.format import (
    MAX_SYLLABLE_ID,
    Manifest,
    pack_annotations,
    unpack_pinyin_ids,
    unpack_sentence_starts,
    unpack_word_starts,
)
from chinesebert.corpus.reader import PreparedCorpus, open_corpora
from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKENS
from data_prep.__main__ import main

Captured = pytest.CaptureFixture[str]
TEXT = "重庆的银行。长大！\n一个不是\n\n龘😀。\n"


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """Two short documents: 18 tokens, 2 of them unknown to the small vocabulary."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def prepare(text: Path, output: Path, vocabulary: Path, *flags: str) -> int:
    return main(["corpus", "--input", str(text), "--output", str(output), "--tokenizer", str(vocabulary), *flags])


def files(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(corpus: Path) -> Dataset:
    return Dataset.from_file(str(corpus / "shard-00000.arrow"), in_memory=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_vocabulary: Path) -> Path:
    """``TEXT``, prepared. Do not change it."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    assert prepare(folder / "text.txt", folder / "corpus", small_vocabulary) == 0
    return folder / "corpus"


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared corpus to damage."""
    return Path(shutil.copytree(prepared, tmp_path / "copy"))


# ------------------------------------------------------------------------------------------------------ what is written


def test_a_shard_opens_with_datasets_and_its_rows_are_the_documents(
    prepared: Path, small_tokenizer: ChineseBertTokenizer
) -> None:
    tokens = [small_tokenizer.convert_ids_to_tokens(ids) for ids in rows_of(prepared)["input_ids"]]
    assert ["".join(row) for row in tokens] == ["重庆的银行。长大！一个不是", "[UNK][UNK]。"]


def test_a_row_holds_the_pinyin_of_its_tokens(prepared: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    packed = np.array(rows_of(prepared)[0]["pinyin_and_starts"], dtype=np.uint16)
    syllables = ["-", *small_tokenizer.readings.syllables]
    assert " ".join(syllables[number] for number in unpack_pinyin_ids(packed)) == (
        "chong2 qing4 de yin2 hang2 - zhang3 da4 - yi2 ge4 bu2 shi4"
    )


def test_a_row_marks_where_words_and_sentences_start(prepared: Path) -> None:
    packed = np.array(rows_of(prepared)[0]["pinyin_and_starts"], dtype=np.uint16)
    assert "".join("x" if start else "." for start in unpack_word_starts(packed)) == "x.xx.xx.xx.x."
    assert "".join("x" if start else "." for start in unpack_sentence_starts(packed)) == "x.....x..x..."


@given(st.data(), st.integers(0, 20))
def test_packed_annotations_unpack_to_what_went_in(data: st.DataObject, length: int) -> None:
    pinyin = data.draw(arrays.arrays(np.uint16, length, elements=st.integers(0, MAX_SYLLABLE_ID)))
    words, sentences = (data.draw(arrays.arrays(np.bool_, length)) for _ in range(2))
    packed = pack_annotations(pinyin, words, sentences)
    assert packed.dtype == np.uint16
    assert (unpack_pinyin_ids(packed) == pinyin).all()
    assert (unpack_word_starts(packed) == words).all()
    assert (unpack_sentence_starts(packed) == sentences).all()


def test_the_manifest_counts_what_the_rows_hold(prepared: Path) -> None:
    manifest = Manifest.load(prepared)
    counts = (manifest.documents, manifest.tokens, manifest.words, manifest.sentences, manifest.unknown_tokens)
    rows = rows_of(prepared)
    packed = np.concatenate([np.array(row, dtype=np.uint16) for row in rows["pinyin_and_starts"]])
    assert counts[:2] == (2, len(packed)) == (2, 16)
    assert counts[2:4] == (unpack_word_starts(packed).sum(), unpack_sentence_starts(packed).sum())
    assert counts[4] == 2
    occurrences = Counter(token for row in rows["input_ids"] for token in row)
    assert manifest.token_counts == {str(token): count for token, count in occurrences.items()}


def test_the_manifest_has_the_size_and_hash_of_every_shard(corpora_directory: Path) -> None:
    directory = corpora_directory / "train"
    manifest = Manifest.load(directory)
    assert [shard.file for shard in manifest.shards] == sorted(path.name for path in directory.glob("*.arrow"))
    for shard in manifest.shards:
        data = (directory / shard.file).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sum(shard.tokens for shard in manifest.shards) == manifest.tokens
    assert sum(shard.documents for shard in manifest.shards) == manifest.documents


def test_the_manifest_names_the_tokenizer_and_what_read_the_text(prepared: Path, small_vocabulary: Path) -> None:
    import jieba
    import pypinyin

    manifest = Manifest.load(prepared)
    assert manifest.vocabulary_sha256 == hashlib.sha256(small_vocabulary.read_bytes()).hexdigest()
    assert manifest.readings == f"pypinyin {pypinyin.__version__}"
    assert manifest.segmenter == f"jieba {jieba.__version__}"


def test_the_entropy_of_equally_frequent_tokens_is_the_logarithm_of_their_number() -> None:
    manifest = Manifest("", "", 4, 0, "", "", token_counts={"5": 7, "6": 7, "7": 7, "8": 7})
    assert manifest.unigram_entropy() == pytest.approx(np.log(4))


def test_one_line_documents_take_at_most_4_3_bytes_a_token(tmp_path: Path, small_vocabulary: Path) -> None:
    lines = ["重庆的银行长大一个不是重庆的银行长大一个不是我们的生活很好。"] * 5000
    assert len(lines[0]) == 30
    (tmp_path / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    assert prepare(tmp_path / "text.txt", tmp_path / "out", small_vocabulary) == 0
    manifest = Manifest.load(tmp_path / "out")
    assert (manifest.documents, manifest.tokens) == (5000, 150_000)
    assert sum(path.stat().st_size for path in (tmp_path / "out").glob("*.arrow")) <= 4.3 * manifest.tokens


def test_all_kinds_of_files_give_the_same_corpus(tmp_path: Path, prepared: Path, small_vocabulary: Path) -> None:
    documents = [document.strip() for document in TEXT.split("\n\n")]
    lines = "".join(json.dumps({"body": document}) + "\n" for document in documents)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "in" / "b.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "in" / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for path in (tmp_path / "in").iterdir():
        output = tmp_path / path.name
        assert prepare(path, output, small_vocabulary, "--text_field", "body") == 0
        assert files(output)["shard-00000.arrow"] == files(prepared)["shard-00000.arrow"], path.name


def test_a_saved_tokenizer_prepares_as_its_vocabulary_does(tmp_path: Path, prepared: Path, text_file: Path) -> None:
    assert prepare(text_file, tmp_path / "out", prepared / "tokenizer") == 0
    for name in ("shard-00000.arrow", "manifest.json"):
        assert files(tmp_path / "out")[name] == files(prepared)[name], name


def test_the_corpus_opens_with_the_tokenizer_that_made_it(
    corpus: PreparedCorpus, small_tokenizer: ChineseBertTokenizer
) -> None:
    assert corpus.load_tokenizer().fingerprint == small_tokenizer.fingerprint


def test_blocks_are_the_rows_one_after_another(prepared: Path) -> None:
    (block,) = PreparedCorpus(prepared).blocks
    rows = rows_of(prepared)
    assert block.input_ids.tolist() == [token for row in rows["input_ids"] for token in row]
    assert block.pinyin_and_starts.tolist() == [value for row in rows["pinyin_and_starts"] for value in row]
    assert block.document_starts.tolist() == [0, 13, 16]


# --------------------------------------------------------------------------------------------------- bad lines, bad use


def test_bad_lines_are_skipped_counted_and_reported(tmp_path: Path, small_vocabulary: Path, capsys: Captured) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "重庆"}\n{"body": "重庆"}\n{\n{"text": "银行"}\n', encoding="utf-8")
    assert prepare(path, tmp_path / "out", small_vocabulary) == 0
    manifest = Manifest.load(tmp_path / "out")
    assert manifest.documents == 2
    assert sum(manifest.skipped.values()) == 2
    output = capsys.readouterr().out
    assert f"{path}:2: no field 'text'" in output
    assert f"{path}:3: not valid JSON" in output


def test_half_a_surrogate_pair_does_not_end_the_program(tmp_path: Path, small_vocabulary: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "重庆"}\n{"text": "\\ud83d"}\n', encoding="utf-8")
    assert prepare(path, tmp_path / "out", small_vocabulary) == 0
    assert sum(Manifest.load(tmp_path / "out").skipped.values()) == 1


def refused(capsys: Captured, status: int) -> str:
    """What a refusal prints."""
    assert status == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_strict_refuses_a_bad_line_and_writes_no_corpus(
    tmp_path: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "重庆"}\n{\n', encoding="utf-8")
    assert f"{path}:2: " in refused(capsys, prepare(path, tmp_path / "out", small_vocabulary, "--strict"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "\n \n\n", "\u200b\n"], ids=["nothing", "spaces", "no token"])
def test_an_empty_corpus_is_refused_by_the_name_of_its_file(
    tmp_path: Path, small_vocabulary: Path, capsys: Captured, content: str
) -> None:
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    error = refused(capsys, prepare(tmp_path / "text.txt", tmp_path / "out", small_vocabulary))
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert "no text" in error
    assert str(tmp_path / "text.txt") in error


def test_a_foreign_encoding_is_refused_and_leaves_nothing(
    tmp_path: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode("gb18030") * 1000)
    status = prepare(path, tmp_path / "out", small_vocabulary)
    captured = capsys.readouterr()
    assert status == 2
    assert f"{path}: not UTF-8, probably GB18030" in captured.out
    assert f"error: {path}: there is no text in any record" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_strict_says_how_to_convert_a_foreign_encoding(
    tmp_path: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode("gb18030") * 1000)
    error = refused(capsys, prepare(path, tmp_path / "out", small_vocabulary, "--strict"))
    assert f"{path}: not UTF-8, probably GB18030; convert it first: iconv -f GB18030 -t UTF-8" in error


def test_an_output_below_a_file_is_refused_by_name(text_file: Path, small_vocabulary: Path, capsys: Captured) -> None:
    output = text_file / "out"
    assert str(output) in refused(capsys, prepare(text_file, output, small_vocabulary))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a /proc, where not even root can create anything")
def test_an_output_that_only_seems_writable_is_refused_by_name(
    text_file: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    assert "/proc/out" in refused(capsys, prepare(text_file, Path("/proc/out"), small_vocabulary))


def test_a_corpus_of_another_text_is_refused_and_kept(
    copy: Path, text_file: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    before = files(copy)
    error = refused(capsys, prepare(text_file, copy, small_vocabulary))
    assert str(copy) in error and str(text_file) in error and "--overwrite" in error
    assert files(copy) == before


def test_overwriting_replaces_a_corpus(copy: Path, prepared: Path, small_vocabulary: Path) -> None:
    (copy / "stale").write_text("")
    assert prepare(prepared.parent / "text.txt", copy, small_vocabulary, "--overwrite") == 0
    assert files(copy) == files(prepared)


def test_a_failing_overwrite_keeps_the_old_corpus(
    copy: Path, prepared: Path, tmp_path: Path, small_vocabulary: Path, capsys: Captured
) -> None:
    (tmp_path / "empty.txt").write_text("")
    refused(capsys, prepare(tmp_path / "empty.txt", copy, small_vocabulary, "--overwrite"))
    assert files(copy) == files(prepared)


def test_a_tokenizer_that_is_not_there_is_named(text_file: Path, tmp_path: Path, capsys: Captured) -> None:
    assert str(tmp_path / "none") in refused(capsys, prepare(text_file, tmp_path / "out", tmp_path / "none"))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_tokenizer_is_named(text_file: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "folder").mkdir()
    error = refused(capsys, prepare(text_file, tmp_path / "out", tmp_path / "folder"))
    assert f"{tmp_path / 'folder'}: holds no saved tokenizer" in error


def test_a_damaged_tokenizer_is_named(text_file: Path, prepared: Path, tmp_path: Path, capsys: Captured) -> None:
    shutil.copytree(prepared / "tokenizer", tmp_path / "tokenizer")
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{")
    assert str(tmp_path / "tokenizer") in refused(capsys, prepare(text_file, tmp_path / "out", tmp_path / "tokenizer"))


def test_a_vocabulary_without_mask_is_refused_by_name(text_file: Path, tmp_path: Path, capsys: Captured) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(token for token in SPECIAL_TOKENS if token != "[MASK]") + "\n")
    error = refused(capsys, prepare(text_file, tmp_path / "out", vocabulary))
    assert f"{vocabulary}: the vocabulary has no [MASK]" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_a_number_of_workers_below_one_is_refused(
    text_file: Path, tmp_path: Path, small_vocabulary: Path, capsys: Captured, workers: str
) -> None:
    status = prepare(text_file, tmp_path / "out", small_vocabulary, "--workers", workers)
    assert f"--workers {workers}: give at least 1" in refused(capsys, status)


def test_a_missing_input_is_named(tmp_path: Path, small_vocabulary: Path, capsys: Captured) -> None:
    assert str(tmp_path / "none.txt") in refused(
        capsys, prepare(tmp_path / "none.txt", tmp_path / "out", small_vocabulary)
    )


# -------------------------------------------------------------------------------------------------------------- reading


def test_raw_text_in_place_of_a_corpus_is_refused_with_the_command_to_prepare_it(text_file: Path) -> None:
    for path in (text_file, text_file.parent):
        with pytest.raises(InputError) as error:
            PreparedCorpus(path)
        assert str(error.value).startswith(f"{path}: ")
        assert f"python -m data_prep corpus --input {path} --output" in str(error.value)


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none'}: no such prepared corpus; see that the path"):
        PreparedCorpus(tmp_path / "none")


def test_a_corpus_that_has_lost_its_manifest_is_not_taken_for_raw_text(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    with pytest.raises(InputError, match=rf"{copy}: has shards but no manifest\.json; copy the whole folder") as error:
        PreparedCorpus(copy)
    assert "--input" not in str(error.value)


def test_a_missing_shard_is_named(copy: Path) -> None:
    (copy / "shard-00000.arrow").unlink()
    with pytest.raises(InputError, match=f"{copy / 'shard-00000.arrow'}: .*missing.*copy it again or prepare"):
        PreparedCorpus(copy)


def test_a_truncated_shard_is_named(copy: Path) -> None:
    shard = copy / "shard-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{shard}: has [0-9,]+ bytes, the manifest says [0-9,]+; copy"):
        PreparedCorpus(copy)


def test_a_shard_of_the_right_size_that_is_no_arrow_file_is_named(copy: Path) -> None:
    shard = copy / "shard-00000.arrow"
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(InputError, match=f"{shard}: is damaged .*copy"):
        PreparedCorpus(copy)


def change_manifest(corpus: Path, **changes: object) -> None:
    path = corpus / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99, this program reads 1; prepare"),
        ({"format": "another"}, "is not the manifest of a prepared corpus.*data_prep corpus"),
        ({"shards": [{"file": "x"}]}, "the manifest is damaged.*prepare"),
        ({"shards": None}, "the manifest is damaged.*prepare"),
        ({"surprise": 1}, "the manifest is damaged.*prepare"),
    ],
    ids=["version", "format", "shard", "shards", "field"],
)
def test_a_manifest_that_cannot_be_used_is_named(copy: Path, changes: dict[str, object], message: str) -> None:
    change_manifest(copy, **changes)
    with pytest.raises(InputError, match=f"{copy / 'manifest.json'}: {message}"):
        PreparedCorpus(copy)


def test_a_manifest_that_is_not_json_is_named(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=f"{copy / 'manifest.json'}: is not JSON"):
        PreparedCorpus(copy)


def test_a_manifest_that_counts_other_tokens_is_refused(copy: Path) -> None:
    change_manifest(copy, tokens=17)
    with pytest.raises(InputError, match=f"{copy}: the shards hold 16 tokens, the manifest says 17; prepare"):
        PreparedCorpus(copy)


def test_the_tokenizer_of_a_corpus_must_be_the_one_that_made_it(copy: Path, tokenizer: ChineseBertTokenizer) -> None:
    tokenizer.save_pretrained(copy / "tokenizer")
    with pytest.raises(InputError, match=f"{copy / 'tokenizer'}: is not the tokenizer that prepared"):
        PreparedCorpus(copy).load_tokenizer()


def test_a_corpus_without_its_tokenizer_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "tokenizer")
    with pytest.raises(InputError, match=f"{copy / 'tokenizer'}: .*holds no saved tokenizer.*restore"):
        PreparedCorpus(copy).load_tokenizer()


def test_corpora_of_one_tokenizer_open_together(corpora_directory: Path) -> None:
    train, heldout = open_corpora([corpora_directory / "train", corpora_directory / "heldout"])
    assert train.manifest.tokens > heldout.manifest.tokens > 0


def test_corpora_of_different_vocabularies_are_refused_by_name(prepared: Path, tmp_path: Path, text_file: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "重", "庆"]) + "\n", encoding="utf-8")
    assert prepare(text_file, tmp_path / "other", tmp_path / "vocab.txt") == 0
    with pytest.raises(InputError) as error:
        open_corpora([prepared, tmp_path / "other"])
    assert str(error.value).startswith(f"{tmp_path / 'other'}: was prepared with another vocabulary than {prepared}")
    assert "--tokenizer" in str(error.value)


def test_corpora_of_different_readings_are_refused_as_such(prepared: Path, copy: Path) -> None:
    change_manifest(copy, tokenizer_fingerprint="another", readings="pypinyin 0.1")
    with pytest.raises(InputError, match=f"{copy}: was prepared with other readings than .*pypinyin 0.1.* --readings"):
        open_corpora([prepared, copy])
    change_manifest(copy, readings=Manifest.load(prepared).readings)
    with pytest.raises(InputError, match=r"with other readings or normalisation than .* --tokenizer and --readings"):
        open_corpora([prepared, copy])


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path, small_vocabulary: Path, capsys: Captured) -> None:
    (tmp_path / "in.txt").write_text("好\n", encoding="utf-8")
    assert prepare(tmp_path / "in.txt", tmp_path / "out", small_vocabulary) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: 1 document, 1 sentence, 1 word, 1 token (" in told
    assert "; 1 shard, 1 document, 1 token in " in told


def test_the_help_of_the_program_is_for_its_users(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "From text and fonts to what pretraining reads" in told
    assert "add_arguments" not in told
