"""Token ids that are looked up are those of the tokenizer's own ``encode``, with the same places, whatever the text."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from chinesebert.corpus import token_ids
from chinesebert.corpus.token_ids import TokenTable
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

PIECES = [
    *["重庆", "银行行长", "。", "，", "“好”", "…", "——", "〇", "豈", "龘", "𠮷", "𪜎", "\U0002f800"],
    *["Python", "reading", "READING", "3.5", "２０２６", "ＡＢ", "don't", "C++", "a" * 101, "x" * 200],
    *["か", "が", "か\u3099", "각", "각", "ก็", "İ", "ß", "ς", "é", "e\u0301", "\u0301", "ǆ", "ﬁ", "Ⅷ", "①", "㎏"],
    *["😀", "👨‍👩‍👧", "❤️", "\u200d", "\u200b", "\ufeff", "\ufffd", "\0", "\x85", "\xad", "\u2028", "\u1fef"],
    *[" ", "\u3000", "\xa0", "\t", "\n", "\r\n", "\v", "\f"],
    *["[MASK]", "[CLS]", "[UNK]", "[PAD]", "[unused1]", "##ing", "##", "#", "[", "]"],
]
TEXT = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=12
).map("".join)


def encode_whole(tokenizer: ChineseBertTokenizer, text: str) -> list[tuple[int, int, int]]:
    """Id, start and end of every token, by one call of the backend for the whole text; special tokens are text."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.encode_special_tokens = True
    encoding = backend.encode(text, add_special_tokens=False)
    return [(number, *offsets) for number, offsets in zip(encoding.ids, encoding.offsets, strict=True)]


def looked_up(table: TokenTable, text: str) -> list[tuple[int, int, int]]:
    """The same from the table."""
    tokens = table.encode(text)
    ends = tokens.starts + tokens.lengths
    return list(zip(tokens.input_ids.tolist(), tokens.starts.tolist(), ends.tolist(), strict=True))


def build(vocabulary: Path, kind: str) -> ChineseBertTokenizer:
    """A tokenizer with other settings than the default, or with tokens added by its user."""
    options = {
        "cased": {"do_lower_case": False},
        "accents kept": {"do_lower_case": True, "strip_accents": False},
        "Han not set apart": {"tokenize_chinese_chars": False},
    }
    tokenizer = ChineseBertTokenizer.from_vocabulary(vocabulary, **options.get(kind, {}))
    if kind == "added words":
        tokenizer.add_tokens(["重庆银", "pyth", "行。"])
    if kind == "added special token":
        tokenizer.add_special_tokens({"additional_special_tokens": ["<人>", "长"]})
    if kind == "added word stripping spaces":
        tokenizer.add_tokens([AddedToken("行", lstrip=True, rstrip=True, single_word=True)])
    return tokenizer


KINDS = [
    *["default", "cased", "accents kept", "Han not set apart"],
    *["added words", "added special token", "added word stripping spaces"],
]


@pytest.fixture(scope="module", params=KINDS)
def pair(small_vocabulary: Path, request: pytest.FixtureRequest) -> tuple[ChineseBertTokenizer, TokenTable]:
    """A tokenizer and its table."""
    tokenizer = build(small_vocabulary, request.param)
    return tokenizer, TokenTable(tokenizer)


@settings(max_examples=60)
@given(text=TEXT)
@example(text="")
@example(text="\n")
@example(text="重庆" + "か\u3099" + "か\n\u3099")
@example(text="重\u0301庆 a\u0301b")
@example(text="行 行\n行行重庆银行。")
def test_every_token_is_that_of_encode_on_a_line(pair: tuple[ChineseBertTokenizer, TokenTable], text: str) -> None:
    tokenizer, table = pair
    text = text.replace("\n", "")  # an added token may take the white space beside it; lines are told apart below
    assert looked_up(table, text) == encode_whole(tokenizer, text)


@settings(max_examples=60)
@given(lines=st.lists(TEXT.map(lambda text: text.replace("\n", "")), max_size=4))
def test_lines_are_encoded_as_if_each_were_alone(
    pair: tuple[ChineseBertTokenizer, TokenTable], lines: list[str]
) -> None:
    tokenizer, table = pair
    expected, begin = [], 0
    for line in lines:
        expected += [(number, begin + start, begin + end) for number, start, end in encode_whole(tokenizer, line)]
        begin += len(line) + 1
    assert looked_up(table, "\n".join(lines)) == expected


@pytest.mark.parametrize("kind", ["default", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:3])])
def test_every_character_of_unicode_is_encoded_as_the_tokenizer_does(small_vocabulary: Path, kind: str) -> None:
    tokenizer = build(small_vocabulary, kind)
    codes = [code for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    text = "一".join(map(chr, codes))
    assert looked_up(TokenTable(tokenizer), text) == encode_whole(tokenizer, text)


def test_the_default_vocabulary_gives_the_tokens_of_encode(
    tokenizer: ChineseBertTokenizer, sample_paragraphs: list[str]
) -> None:
    text = "\n".join(sample_paragraphs)
    assert looked_up(TokenTable(tokenizer), text) == encode_whole(tokenizer, text)


def test_a_corpus_gives_the_tokens_of_encode(tokenizer: ChineseBertTokenizer, shared: Path) -> None:
    import gzip

    with gzip.open(shared / "data" / "corpus" / "small.txt.gz") as file:
        text = file.read(1_000_000).decode("utf-8", errors="ignore")
    assert looked_up(TokenTable(tokenizer), text) == encode_whole(tokenizer, text)


def test_arrays_have_the_documented_types(small_tokenizer: ChineseBertTokenizer) -> None:
    for text in ("", "重庆 reading"):
        tokens = TokenTable(small_tokenizer).encode(text)
        assert (tokens.input_ids.dtype, tokens.starts.dtype, tokens.lengths.dtype) == (np.int32, np.int64, np.int64)


def test_a_special_token_written_in_the_text_is_text(small_tokenizer: ChineseBertTokenizer) -> None:
    ids = TokenTable(small_tokenizer).encode("看[MASK]和[SEP]").input_ids.tolist()
    assert not {small_tokenizer.mask_token_id, small_tokenizer.sep_token_id} & set(ids)


def test_using_the_tokenizer_does_not_change_what_the_table_says(small_vocabulary: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_vocabulary(small_vocabulary)
    table = TokenTable(tokenizer)
    before = looked_up(table, "重庆 reading")
    tokenizer("重庆 reading", truncation=True, padding="max_length", max_length=4)
    assert looked_up(table, "另一个 text") and looked_up(table, "重庆 reading") == before


def test_more_different_words_than_are_remembered_make_no_difference(
    small_tokenizer: ChineseBertTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_ids, "_MOST_PIECES", 3)
    table = TokenTable(small_tokenizer)
    text = " ".join(f"read{number}" for number in range(10)) + " read1"
    assert looked_up(table, text) == encode_whole(small_tokenizer, text)
    assert len(table._pieces) <= 3
