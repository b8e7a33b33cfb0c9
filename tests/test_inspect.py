"""What is told about a corpus is true, shown so that it can be read, and said of damaged corpora too."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chinesebert.corpus.format import Manifest, unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.shard_stream import read_shard, schema_end
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from data_prep.__main__ import main
from data_prep.inspection.blocks import CorpusBlocks
from data_prep.inspection.columns import display_width, wrapped
from data_prep.inspection.counters import DifferentKeys, FrequentKeys
from data_prep.inspection.documents import ShownDocument, Word, choose_documents, interlinear, sentences_of
from data_prep.inspection.fingerprints import Fingerprints
from data_prep.inspection.lengths import Lengths
from data_prep.inspection.statistics import collect, tokens_of_word, word_keys
from data_prep.inspection.summary import Summary, summarise
from data_prep.inspection.token_kinds import KINDS, joined, token_kinds
from tests.small_corpora import DOCUMENTS, change_manifest, flip_bit, prepare, shard_blocks

Captured = pytest.CaptureFixture[str]


def summary_of(directory: Path) -> Summary:
    blocks = CorpusBlocks(directory)
    return summarise(blocks, collect(blocks, blocks.tokenizer))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """``DOCUMENTS`` in two shards. Do not change it."""
    return prepare(tmp_path_factory.mktemp("prepared") / "corpus", DOCUMENTS, small_tokenizer)


@pytest.fixture(scope="module")
def summary(prepared: Path) -> Summary:
    return summary_of(prepared)


def inspect_json(directory: Path, capsys: Captured, *flags: str) -> dict[str, Any]:
    assert main(["inspect", str(directory), "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------------------------------------------- what is counted


def test_the_size_is_that_of_the_manifest(corpora_directory: Path) -> None:
    manifest, size = Manifest.load(corpora_directory / "train"), summary_of(corpora_directory / "train").size
    names = ("documents", "sentences", "words", "tokens")
    assert [getattr(size, name) for name in names] == [getattr(manifest, name) for name in names]
    assert size.bytes_a_token == sum(shard.bytes for shard in manifest.shards) / manifest.tokens
    assert size.unigram_entropy_nats == pytest.approx(manifest.unigram_entropy())


def plainly_counted(directory: Path) -> dict[str, list[int]]:
    """The lengths of everything, counted in plain Python token by token."""
    tokens = CorpusBlocks(directory).tokenizer.tokens()
    lengths: dict[str, list[int]] = {"document": [], "sentence": [], "word": []}
    for path in sorted(directory.glob("*.arrow")):
        for block in shard_blocks(path):
            documents = set(block.document_starts.tolist())
            sentences, words = (
                unpack_sentence_starts(block.pinyin_and_starts),
                unpack_word_starts(block.pinyin_and_starts),
            )
            for place, token in enumerate(block.input_ids):
                starts = {"document": place in documents, "sentence": sentences[place], "word": words[place]}
                for name, begins in starts.items():
                    if begins:
                        lengths[name].append(0)
                    text = tokens[token]
                    lengths[name][-1] += 1 if text == "[UNK]" else len(text.removeprefix("##"))
    return lengths


def test_lengths_are_those_of_a_plain_count(corpora_directory: Path) -> None:
    lengths = summary_of(corpora_directory / "heldout").lengths
    for name, expected in plainly_counted(corpora_directory / "heldout").items():
        found = lengths[f"{name}, characters"]
        assert (found.number, found.mean, found.longest) == (
            len(expected),
            pytest.approx(np.mean(expected)),
            max(expected),
        )
        for share, value in found.percentiles.items():
            assert value == np.percentile(expected, int(share), method="inverted_cdf"), (name, share)


def test_an_unknown_token_is_one_character_and_counted_in_the_rate(summary: Summary) -> None:
    # 龘, 😀, and the 6 of 2026, which the small vocabulary has no piece for and so loses with the rest of the number.
    assert (
        summary.tokens.unknown
        == summary.tokens.tokens_of_kind["unknown"]
        == summary.tokens.characters_of_kind["unknown"]
    )
    assert summary.tokens.unknown_share == summary.tokens.unknown / summary.size.tokens > 0


def test_tokens_and_characters_are_divided_into_kinds_without_rest(summary: Summary) -> None:
    assert sum(summary.tokens.tokens_of_kind.values()) == summary.size.tokens
    assert sum(summary.tokens.characters_of_kind.values()) == summary.size.characters


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("中", "Han"),
        ("##中", "Han"),
        ("〇", "Han"),
        ("python", "Latin"),
        ("##ing", "Latin"),
        ("mp3", "Latin"),
        ("é", "Latin"),
        ("2026", "digits"),
        ("##5", "digits"),
        ("，", "punctuation"),
        ("##", "punctuation"),
        ("😀", "punctuation"),
        ("か", "other"),
        ("д", "other"),
        ("[UNK]", "unknown"),
    ],
)
def test_tokens_have_the_kind_of_what_they_write(token: str, kind: str) -> None:
    assert KINDS[token_kinds([token])[0]] == kind


def test_syllables_and_tones_are_those_stored(corpora_directory: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    blocks = [block for path in (corpora_directory / "heldout").glob("*.arrow") for block in shard_blocks(path)]
    ids = np.concatenate([unpack_pinyin_ids(block.pinyin_and_starts) for block in blocks])
    expected = Counter(small_tokenizer.convert_pinyin_ids_to_syllables(ids[ids > 0].tolist()))
    pinyin = summary_of(corpora_directory / "heldout").pinyin
    assert pinyin.syllables_used == len(expected)
    assert pinyin.tokens == expected.total() == sum(pinyin.tones.values())
    falling = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    assert list(pinyin.most_common.items()) == falling[:20]
    assert pinyin.tones["neutral"] == sum(count for name, count in expected.items() if not name[-1].isdecimal())


def test_heteronyms_are_counted_with_all_their_readings(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    prepare(tmp_path / "corpus", ["重庆很重要。", "银行行长。", "重要", "我行。"], small_tokenizer)
    pinyin = summary_of(tmp_path / "corpus").pinyin
    found = {heteronym.character: heteronym.readings for heteronym in pinyin.most_frequent_heteronyms}
    assert found == {"重": {"zhong4": 2, "chong2": 1}, "行": {"hang2": 2, "xing2": 1}}
    assert (pinyin.heteronyms, pinyin.heteronym_tokens, pinyin.read_otherwise) == (2, 6, 2)
    assert pinyin.read_otherwise_share == 2 / pinyin.tokens


def test_an_unknown_token_makes_no_heteronym(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    prepare(tmp_path / "corpus", ["龘。靐。"], small_tokenizer)  # da2 and bing4, both [UNK]
    assert summary_of(tmp_path / "corpus").pinyin.heteronyms == 0


def test_documents_and_sentences_that_are_there_again_are_counted(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer
) -> None:
    long = "我们的银行在重庆长大一个不是。"
    prepare(tmp_path / "corpus", ["好的。", f"{long}好的。", "好的。", f"重庆。{long}", "好的。"], small_tokenizer)
    found = summary_of(tmp_path / "corpus").repetitions
    assert (found.documents.total, found.documents.different, found.documents.is_exact) == (5, 3, True)
    assert (found.sentences.total, found.sentences.different) == (7, 3)
    assert (found.long_sentences.total, found.long_sentences.different) == (2, 1)
    assert found.documents.repeated_share == pytest.approx(0.4)
    assert found.most_repeated == {long: 2}


def test_the_most_common_words_are_counted_by_their_characters(summary: Summary) -> None:
    assert list(summary.words.most_common.items())[:2] == [("重庆", 4), ("一个", 3)]
    assert summary.words.most_common_lack == 0


def test_the_vocabulary_is_counted_by_what_occurs(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    prepare(tmp_path / "corpus", ["的" * 12 + "一"], small_tokenizer)
    vocabulary = summary_of(tmp_path / "corpus").vocabulary
    assert (vocabulary.used["1"], vocabulary.used["10"], vocabulary.used["100"]) == (2, 1, 0)
    assert vocabulary.han_used == 2 < vocabulary.han < vocabulary.tokens
    assert vocabulary.coverage["100"] == 1.0


# ------------------------------------------------------------------------------------------- counting in bounded memory


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=200))
def test_percentiles_of_lengths_are_numpys(values: list[int]) -> None:
    lengths = Lengths()
    for part in np.array_split(np.array(values), 3):
        lengths.add(part)
    assert (lengths.number, lengths.longest, lengths.mean) == (len(values), max(values), pytest.approx(np.mean(values)))
    for share in (5, 50, 95):
        assert lengths.percentile(share) == np.percentile(values, share, method="inverted_cdf")


def random_keys(number: int, different: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 1 << 64, different, dtype=np.uint64)[rng.integers(0, different, number)]


def test_different_keys_are_exact_as_long_as_they_fit() -> None:
    keys, counter = random_keys(5000, 900), DifferentKeys(most=1000)
    for part in np.array_split(keys, 7):
        counter.add(part)
    assert (counter.total, counter.different, counter.is_exact) == (5000, len(np.unique(keys)), True)


def test_different_keys_beyond_what_fits_are_estimated_whatever_repeats() -> None:
    counter = DifferentKeys(most=4000)
    for part in np.array_split(random_keys(200_000, 50_000), 9):
        counter.add(part)
        counter.add(np.full(50_000, 12345, dtype=np.uint64))  # one that makes up two thirds of all
    expected = len(np.unique(random_keys(200_000, 50_000))) + 1
    assert not counter.is_exact
    assert counter.different == pytest.approx(expected, rel=0.06)  # 3,000 in the sample: three standard deviations


def test_frequent_keys_are_kept_when_rare_ones_are_forgotten() -> None:
    rng, counter = np.random.default_rng(3), FrequentKeys(most=500)
    for _ in range(20):
        rare = rng.integers(100, 1 << 64, 400, dtype=np.uint64)
        counter.add(np.concatenate([rare, np.repeat(np.arange(5, dtype=np.uint64), 50)]))
    best = counter.most_frequent(5)
    assert sorted(key for key, _, _ in best) == [0, 1, 2, 3, 4]
    assert counter.lost > 0
    assert all(1000 - counter.lost <= count <= 1000 for _, count, _ in best)


def test_a_frequent_key_remembers_where_it_was_first_met() -> None:
    counter = FrequentKeys()
    counter.add(np.array([7, 8, 7], dtype=np.uint64), np.array([10, 20, 30]))
    counter.add(np.array([8, 8], dtype=np.uint64), np.array([40, 50]))
    assert counter.most_frequent(2) == [(8, 3, 20), (7, 2, 10)]


@given(st.lists(st.lists(st.integers(1, 65535), min_size=1, max_size=4), min_size=1, max_size=20))
def test_the_key_of_a_word_holds_its_tokens(words: list[list[int]]) -> None:
    lengths = np.array(list(map(len, words)))
    starts = np.cumsum(lengths) - lengths
    keys = word_keys(np.concatenate(words).astype(np.intp), starts, lengths)
    assert [tokens_of_word(int(key)) for key in keys] == words


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=2, max_size=30))
def test_fingerprints_are_equal_for_equal_rows_only(rows: list[list[int]]) -> None:
    lengths = np.array(list(map(len, rows)))
    keys = Fingerprints().of(np.concatenate(rows).astype(np.intp), np.cumsum(lengths) - lengths)
    assert len(set(keys.tolist())) == len(set(map(tuple, rows)))


# ------------------------------------------------------------------------------------------------------ documents shown


def test_any_document_can_be_read_again(prepared: Path) -> None:
    blocks = CorpusBlocks(prepared)
    stored = [
        (block.input_ids[start:end].tolist(), block.pinyin_and_starts[start:end].tolist())
        for block in blocks
        for start, end in zip(block.document_starts, block.document_starts[1:], strict=False)
    ]
    again = [blocks.document(number) for number in range(len(stored))]
    assert [(document.input_ids.tolist(), document.pinyin_and_starts.tolist()) for document in again] == stored
    assert [(document.shard, document.row) for document in again][3:5] == [
        ("shard-00000.arrow", 3),
        ("shard-00001.arrow", 0),
    ]


def test_a_document_is_shown_in_words_with_their_pinyin(prepared: Path) -> None:
    blocks = CorpusBlocks(prepared)
    list(blocks)
    sentences = sentences_of(blocks.document(2), blocks.tokenizer)
    assert [[(word.text, word.pinyin) for word in sentence] for sentence in sentences] == [
        [("他", "ta1"), ("在", "zai4"), ("重庆", "chong2-qing4"), ("长大", "zhang3-da4"), ("。", "")],
        [("reading", ""), ("[UNK]", "")],
    ]


def word(text: str, pinyin: str = "") -> Word:
    return Word(tuple(text), tuple(pinyin.split("-")) if pinyin else ("",) * len(text))


def column_of(line: str, part: str) -> int:
    return display_width(line[: line.index(part)])


def test_pinyin_stands_under_its_word() -> None:
    document = ShownDocument("title", [[word("重庆", "chong2-qing4"), word("，"), word("长大", "zhang3-da4")]], 0)
    title, words, pinyin = interlinear(document, 80)
    for text, syllables in (("重庆", "chong2-qing4"), ("长大", "zhang3-da4")):
        assert column_of(words, text) == column_of(pinyin, syllables)
    assert (title, words.split()[0]) == ("title", "1")


def test_long_sentences_are_wrapped_between_words_and_numbered_once() -> None:
    document = ShownDocument("title", [[word("长大", "zhang3-da4")] * 9, [word("好", "hao3")]], 5)
    lines = list(interlinear(document, 50))
    assert max(map(display_width, lines)) <= 50
    assert sum(line.count("长大") for line in lines) == 9
    assert [line.split()[0] for line in lines if re.match(r" *\d", line)] == ["1", "2"]
    assert lines[-1].strip() == "… and 5 more tokens"


def test_wide_combining_and_invisible_characters_take_their_columns() -> None:
    assert [display_width(text) for text in ("中", "a", "，", "e\u0301", "\u200b", "Ａ", "")] == [2, 1, 2, 1, 0, 2, 0]


@given(
    st.lists(st.text(st.characters(categories=["Lo", "Ll", "Nd"]), min_size=1, max_size=8), max_size=20),
    st.integers(8, 40),
)
def test_wrapped_lines_keep_all_parts_and_the_width(parts: list[str], width: int) -> None:
    lines = wrapped(parts, width, separator="  ")
    assert "  ".join(lines) == "  ".join(parts)
    assert all(display_width(line) <= width or "  " not in line for line in lines)


def test_latin_words_are_set_apart_in_text_and_pieces_are_joined() -> None:
    assert joined(["用", "read", "##ing", "2026", "python", "！"]) == "用reading 2026 python！"


def test_the_same_seed_chooses_the_same_documents() -> None:
    assert choose_documents(1000, 5, seed=1) == choose_documents(1000, 5, seed=1) != choose_documents(1000, 5, seed=2)
    assert choose_documents(3, 5, seed=0) == [0, 1, 2]


# ---------------------------------------------------------------------------------------------------------- the program


def test_it_prints_the_statistics_and_documents_and_writes_the_report_beside_the_corpus(
    prepared: Path, tmp_path: Path, capsys: Captured
) -> None:
    corpus = Path(shutil.copytree(prepared, tmp_path / "corpus"))
    before = sorted(path.name for path in corpus.rglob("*"))
    assert main(["inspect", str(corpus), "--documents", "2"]) == 0
    output = capsys.readouterr().out
    for part in (
        "Size",
        "Lengths",
        "Tokens",
        "Words",
        "Pinyin",
        "Heteronyms",
        "Repetition",
        "Vocabulary",
        "chong2-qing4",
    ):
        assert part in output
    assert output.count("shard-0000") == 2
    assert f"report: {tmp_path / 'corpus-report.html'}" in output
    assert sorted(path.name for path in corpus.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "corpus-report.html"]


def test_json_is_one_object_and_nothing_else(prepared: Path, capsys: Captured, summary: Summary) -> None:
    content = inspect_json(prepared, capsys)
    assert content["size"]["documents"] == 6
    assert content["tokens"]["unknown_share"] == summary.tokens.unknown_share
    assert content["pinyin"]["tones"]["4"] == summary.pinyin.tones["4"] > 0
    assert not (prepared.parent / "corpus-report.html").exists()


class Page(HTMLParser):
    """Collects the pictures, references and text of a page, and checks that its tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[bytes] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href"):
                self.references.append(value or "")
        if tag == "img":
            self.pictures.append(base64.b64decode((dict(attributes)["src"] or "").partition("base64,")[2]))
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] == "rt" != tag:  # HTML closes these by itself
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_page_with_its_pictures_inside(prepared: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["inspect", str(prepared), "--report", str(tmp_path / "report.html"), "--documents", "6"]) == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.pictures) == 8
    assert all(Image.open(io.BytesIO(picture)).size[0] > 400 for picture in page.pictures)
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    for text in ("Heteronyms", "chong2", "重", "银", "reading"):
        assert text in page.text


def test_text_of_a_corpus_cannot_become_markup_of_the_report(
    tmp_path: Path, tokenizer: ChineseBertTokenizer, capsys: Captured
) -> None:
    prepare(tmp_path / "corpus", ["<script>alert(1)</script>&amp;重庆"], tokenizer)
    assert main(["inspect", str(tmp_path / "corpus")]) == 0
    page = (tmp_path / "corpus-report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert Page(page).open == []


def test_one_document_of_one_token_is_enough(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer, capsys: Captured
) -> None:
    prepare(tmp_path / "corpus", ["。"], small_tokenizer)
    assert main(["inspect", str(tmp_path / "corpus")]) == 0
    assert (tmp_path / "corpus-report.html").is_file()


def test_without_matplotlib_it_says_how_to_go_on(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["inspect", str(prepared)]) == 2
    assert 'pip install "chinesebert-pretraining[plots]", or leave it out: --no_report' in capsys.readouterr().err
    assert main(["inspect", str(prepared), "--no_report"]) == 0


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_what_is_no_corpus_is_refused(tmp_path: Path, name: str, capsys: Captured) -> None:
    (tmp_path / "folder").mkdir()
    assert main(["inspect", str(tmp_path / name)]) == 2
    assert f"error: {tmp_path / name}: " in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


def damage(corpus: Path, how: str) -> None:
    shard = corpus / "shard-00001.arrow"
    if how == "missing":
        shard.unlink()
    elif how == "cut short":
        shard.write_bytes(shard.read_bytes()[:-30])
    elif how == "schema":
        flip_bit(shard, schema_end(shard) // 2, 6)
    elif how in ("offsets", "values"):
        begin, _ = next(read_shard(shard)).spans[0 if how == "offsets" else 1]
        flip_bit(shard, begin + 5, 7)
    else:
        shutil.rmtree(corpus / "tokenizer")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tokens": "many"}, "manifest.json: tokens is 'many', not a count"),
        ({"tokens": 1}, "holds 6 documents of 54 tokens, its manifest says 6 of 1"),
        ({"shards": []}, "holds no document"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    prepared: Path, tmp_path: Path, changes: dict[str, object], what: str, capsys: Captured
) -> None:
    corpus = Path(shutil.copytree(prepared, tmp_path / "corpus"))
    change_manifest(corpus, **changes)
    assert main(["inspect", str(corpus)]) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("how", ["missing", "cut short", "schema", "offsets", "values", "tokenizer"])
def test_a_damaged_corpus_is_refused_by_name(prepared: Path, tmp_path: Path, how: str, capsys: Captured) -> None:
    corpus = Path(shutil.copytree(prepared, tmp_path / "corpus"))
    damage(corpus, how)
    assert main(["inspect", str(corpus)]) == 2
    error = capsys.readouterr().err
    assert str(corpus / ("tokenizer" if how == "tokenizer" else "shard-00001.arrow")) in error
    assert how == "tokenizer" or f"python -m data_prep verify {corpus}" in error
    assert how not in ("schema", "offsets", "values") or "its checksum is not that of the manifest" in error


def test_a_damaged_shard_is_refused_by_its_sha256_where_the_manifest_has_no_crc32(
    prepared: Path, tmp_path: Path, capsys: Captured
) -> None:
    corpus = Path(shutil.copytree(prepared, tmp_path / "corpus"))
    shards = json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))["shards"]
    change_manifest(corpus, shards=[shard | {"crc32": ""} for shard in shards])
    assert main(["inspect", str(corpus), "--no_report"]) == 0
    damage(corpus, "values")
    assert main(["inspect", str(corpus), "--no_report"]) == 2
    assert "shard-00001.arrow: is damaged, its checksum" in capsys.readouterr().err


def test_the_name_of_the_command_hides_no_module_of_python(root: Path) -> None:
    command = [sys.executable, "-m", "data_prep", "inspect", "--help"]  # what it imports uses Python's own inspect
    assert "--documents" in subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
