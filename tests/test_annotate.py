"""Token ids, pinyin, word starts and sentence starts of one document are aligned, whatever the text."""

from pathlib import Path

import jieba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chinesebert.corpus.annotate import Annotations, Annotator, sentence_starts
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

PIECES = [
    *["重庆", "重要", "银行行长", "长大", "我爱北京天安门", "一个不是", "他说：“好。”", "真的吗？！", "……"],
    *[
        "Python",
        "reading",
        "3.5",
        "v2.0.",
        "２０２６",
        "ＡＢ",
        "😀",
        "👨‍👩‍👧",
        "𠮷",
        "豈",
        "〇",
        "龘",
        "か",
        "e\u0301",
        "İ",
    ],
    *[
        "，",
        "。",
        "！",
        "?",
        "．",
        " ",
        "\u3000",
        "\u200b",
        "\u2028",
        "\t",
        "\0",
        "\ufffd",
        "[MASK]",
        "[CLS]",
        "[UNK]",
        "##a",
    ],
]
TEXT = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=12).map("".join)


@pytest.fixture(scope="module")
def own_tokenizer(small_vocabulary: Path) -> ChineseBertTokenizer:
    return ChineseBertTokenizer.from_vocabulary(small_vocabulary)


@pytest.fixture(scope="module")
def annotator(own_tokenizer: ChineseBertTokenizer) -> Annotator:
    return Annotator(own_tokenizer)


def tokens(tokenizer: ChineseBertTokenizer, document: Annotations) -> list[str]:
    return tokenizer.convert_ids_to_tokens(document.input_ids.tolist())


def grouped(tokenizer: ChineseBertTokenizer, document: Annotations, starts: np.ndarray) -> list[str]:
    """The tokens of a document joined between the marked starts."""
    parts: list[str] = []
    for token, start in zip(tokens(tokenizer, document), starts, strict=True):
        if start:
            parts.append("")
        parts[-1] += token.removeprefix("##")
    return parts


# ------------------------------------------------------------------------------------------------------------- any text


@settings(max_examples=200, deadline=None)
@given(text=TEXT)
@example(text="")
@example(text="v2.0. 3.5")
def test_all_arrays_have_one_entry_a_token(annotator: Annotator, text: str) -> None:
    document = annotator.annotate([text])
    length = len(document.input_ids)
    assert [len(a) for a in (document.pinyin_ids, document.word_starts, document.sentence_starts)] == [length] * 3
    assert (document.input_ids.dtype, document.pinyin_ids.dtype) == (np.uint16, np.uint16)
    assert (document.word_starts.dtype, document.sentence_starts.dtype) == (np.bool_, np.bool_)


@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_tokens_and_pinyin_are_those_of_the_tokenizer(
    annotator: Annotator, small_tokenizer: ChineseBertTokenizer, text: str
) -> None:
    document = annotator.annotate([text])
    encoded = small_tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    assert document.input_ids.tolist() == encoded["input_ids"]
    assert document.pinyin_ids.tolist() == encoded["pinyin_ids"]


@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_a_token_of_one_character_carries_its_reading_in_context(
    annotator: Annotator, small_tokenizer: ChineseBertTokenizer, text: str
) -> None:
    readings = small_tokenizer.readings.syllable_ids(text)
    encoded = small_tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    expected = [readings[start] if end - start == 1 else 0 for start, end in encoded["offset_mapping"]]
    assert annotator.annotate([text]).pinyin_ids.tolist() == expected


@settings(max_examples=200, deadline=None)
@given(paragraphs=st.lists(TEXT, min_size=1, max_size=3))
def test_starts_are_consistent(
    annotator: Annotator, own_tokenizer: ChineseBertTokenizer, paragraphs: list[str]
) -> None:
    document = annotator.annotate(paragraphs)
    assert not (document.sentence_starts & ~document.word_starts).any()
    assert document.word_starts[:1].all() and document.sentence_starts[:1].all()
    continues = np.array([token.startswith("##") for token in tokens(own_tokenizer, document)], dtype=np.bool_)
    assert not (document.word_starts & continues).any()


@settings(max_examples=100, deadline=None)
@given(paragraphs=st.lists(TEXT, max_size=4))
def test_a_document_is_its_paragraphs_on_lines(annotator: Annotator, paragraphs: list[str]) -> None:
    apart, together = annotator.annotate(paragraphs), annotator.annotate(["\n".join(paragraphs)])
    for name in ("input_ids", "pinyin_ids", "word_starts", "sentence_starts"):
        assert getattr(together, name).tolist() == getattr(apart, name).tolist(), name


@settings(max_examples=100, deadline=None)
@given(paragraphs=st.lists(TEXT, max_size=4))
def test_each_document_is_annotated_as_if_it_were_alone(annotator: Annotator, paragraphs: list[str]) -> None:
    whole = annotator.annotate(paragraphs)
    lengths = [len(annotator.annotate([paragraph]).input_ids) for paragraph in paragraphs]
    assert np.diff(whole.document_starts).tolist() == lengths


@settings(max_examples=100, deadline=None)
@given(paragraphs=st.lists(TEXT, max_size=4))
def test_a_document_is_its_paragraphs_one_after_another(annotator: Annotator, paragraphs: list[str]) -> None:
    whole = annotator.annotate(paragraphs)
    parts = [annotator.annotate([paragraph]) for paragraph in paragraphs]
    for name in ("input_ids", "pinyin_ids", "word_starts", "sentence_starts"):
        joined = [value for part in parts for value in getattr(part, name).tolist()]
        assert getattr(whole, name).tolist() == joined, name


def test_a_special_token_written_in_the_text_is_text(annotator: Annotator, own_tokenizer: ChineseBertTokenizer) -> None:
    document = annotator.annotate(["看[MASK]和[SEP]"])
    special = {own_tokenizer.mask_token_id, own_tokenizer.sep_token_id}
    assert special & set(document.input_ids.tolist()) == set()


def test_using_the_tokenizer_does_not_change_what_its_annotator_does(small_vocabulary: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_vocabulary(small_vocabulary)
    annotator = Annotator(tokenizer)
    text = "看[MASK]和重庆的重要银行"
    before = annotator.annotate([text]).input_ids.tolist()
    tokenizer(text, truncation=True, padding="max_length", max_length=4)
    assert annotator.annotate([text]).input_ids.tolist() == before


# ---------------------------------------------------------------------------------------------------------------- words


def test_words_are_jieba_s_on_the_sample_text(
    annotator: Annotator, own_tokenizer: ChineseBertTokenizer, sample_paragraphs: list[str]
) -> None:
    han = [text for text in sample_paragraphs if not any(c.isascii() or c.isspace() for c in text)][:100]
    assert len(han) > 50
    for text in han:  # one character is one token here, so the words can be read off
        document = annotator.annotate([text])
        starts = np.flatnonzero(document.word_starts).tolist()
        words = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
        cut = jieba.lcut(text)
        sentence_cuts = set(np.flatnonzero(document.sentence_starts).tolist())
        assert "".join(words) == text
        if len(words) != len(cut):  # only a sentence may begin inside a word of jieba's, such as "……"
            assert set(starts) - sentence_cuts <= set(np.cumsum([0, *map(len, cut)]).tolist()), text
        else:
            assert words == cut


def test_the_pieces_of_a_latin_word_are_one_word(annotator: Annotator, own_tokenizer: ChineseBertTokenizer) -> None:
    document = annotator.annotate(["用pythoning读书"])
    assert tokens(own_tokenizer, document) == ["用", "python", "##ing", "读", "书"]
    assert document.word_starts.tolist() == [True, True, False, True, False]


def test_white_space_between_words_starts_no_token_twice(
    annotator: Annotator, own_tokenizer: ChineseBertTokenizer
) -> None:
    document = annotator.annotate(["重庆 重庆\u3000 银行"])
    assert grouped(own_tokenizer, document, document.word_starts) == ["重庆", "重庆", "银行"]


# ------------------------------------------------------------------------------------------------------------ sentences


def sentences(text: str) -> list[str]:
    """A text cut where ``sentence_starts`` says."""
    starts = np.flatnonzero(sentence_starts(text)).tolist()
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    "expected",
    [
        ["今天好。", "明天也好。"],
        ["他说：“好。”", "我走了。"],
        ["真的吗？！", "真的！！！", "好"],
        ["我……", "不知道"],
        ["等等……", " 好"],  # white space belongs to what follows
        ["圆周率是3.14，文件是a.txt。", "完"],
        ["Hello there.", " Good bye."],
        ["（完。）", "【新。】", "《书。》", "「话。」", "『话。』", "末"],
        ["没有句号的一句话"],
        ["，。", "开头"],
        ["Really?", " Yes!", " OK"],
    ],
    ids=lambda expected: "|".join(expected),
)
def test_a_sentence_ends_after_its_mark_and_what_closes_it(expected: list[str]) -> None:
    assert sentences("".join(expected)) == expected


@pytest.mark.parametrize("text", ["3.5", "a.txt和b.py", "www.example.com很好", "U.S.A", "……"])
def test_a_mark_inside_or_at_the_end_starts_nothing(text: str) -> None:
    assert sentences(text) == [text]


def test_a_web_address_is_one_sentence() -> None:
    assert sentences("见http://example.com/a?b=c&d=e。完") == ["见http://example.com/a?b=c&d=e。", "完"]


def test_an_empty_text_has_no_sentence() -> None:
    assert sentence_starts("").shape == (0,)


def test_the_first_token_after_white_space_starts_the_sentence(
    annotator: Annotator, own_tokenizer: ChineseBertTokenizer
) -> None:
    document = annotator.annotate(["等等……\u3000 重庆。银行"])
    assert grouped(own_tokenizer, document, document.sentence_starts) == ["等等……", "重庆。", "银行"]


def test_every_paragraph_starts_a_sentence_and_a_word(annotator: Annotator) -> None:
    document = annotator.annotate(["重", "庆"])  # jieba would make one word of them in one paragraph
    assert document.word_starts.tolist() == document.sentence_starts.tolist() == [True, True]


@pytest.mark.parametrize("paragraphs", [[], [""], [" ", "\u200b"]])
def test_a_document_without_a_token_is_empty(annotator: Annotator, paragraphs: list[str]) -> None:
    document = annotator.annotate(paragraphs)
    assert (len(document.input_ids), len(document.word_starts)) == (0, 0)


def test_a_block_leaves_out_documents_without_a_token(annotator: Annotator) -> None:
    block = annotator.annotate(["重庆", " ", "", "银行"]).block()
    assert block.document_starts.tolist() == [0, 2, 4]


def test_empty_paragraphs_between_others_are_passed_over(annotator: Annotator) -> None:
    document = annotator.annotate(["重庆", "", " ", "银行"])
    assert document.sentence_starts.tolist() == [True, False, True, False]
