"""How a corpus is cut into rows and how rows are dressed: nothing lost, no word cut, hardly any padding."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chinesebert.corpus.format import pack_annotations, unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.packing import MIN_SEGMENT_TOKENS, SPECIAL_TOKENS_PER_SEGMENT, RowDresser, RowPlan, Rows
from chinesebert.corpus.reader import Block, PreparedCorpus

PAD, CLS, SEP = 0, 101, 102
FIRST_TEXT_ID = 1000
LENGTHS = [6, 7, 16, 64, 128, 512]

Document = list[list[int]]
"""Sentences as lists of the lengths of their words, in tokens."""

# Words longer than the shortest rows, sentences of one token, documents of one sentence: all occur.
DOCUMENTS = st.lists(
    st.lists(st.lists(st.integers(1, 3) | st.integers(1, 12), min_size=1, max_size=12), min_size=1, max_size=6),
    min_size=1,
    max_size=8,
)
ROW_LENGTHS = st.integers(6, 40)
# No deadline: on a busy machine any example may be slow once.
few = settings(max_examples=40, deadline=None)


def make_block(documents: list[Document]) -> Block:
    """A block in which token number *n* has id 1000 + n, so that every token can be told from every other."""
    word_lengths = [length for document in documents for sentence in document for length in sentence]
    sentence_lengths = [sum(sentence) for document in documents for sentence in document]
    document_lengths = [sum(map(sum, document)) for document in documents]
    tokens = sum(word_lengths)
    flags = []
    for lengths in (word_lengths, sentence_lengths):
        starts = np.zeros(tokens, dtype=np.bool_)
        starts[np.cumsum([0, *lengths])[:-1]] = True
        flags.append(starts)
    pinyin_ids = (np.arange(tokens) % 1400 + 1).astype(np.uint16)
    return Block(
        (FIRST_TEXT_ID + np.arange(tokens)).astype(np.uint16),
        pack_annotations(pinyin_ids, *flags),
        np.cumsum([0, *document_lengths]).astype(np.int32),
    )


class OneBlock:
    """What ``RowPlan`` takes of a corpus: its blocks."""

    def __init__(self, *blocks: Block) -> None:
        self.blocks = list(blocks)


def dresser(length: int, isolate_documents: bool = True) -> RowDresser:
    return RowDresser(length, CLS, SEP, PAD, isolate_documents)


def all_rows(plan: RowPlan, mode: str, isolate_documents: bool = True) -> list[tuple[Rows, Block, int, int]]:
    """Every row of a plan, dressed, with where it comes from."""
    ranges = [plan.locate(row) for row in range(len(plan))]
    rows = dresser(plan.length, isolate_documents)(ranges, np.full(len(ranges), mode == "single"))
    return [(one_row(rows, number), *place) for number, place in enumerate(ranges)]


def one_row(rows: Rows, number: int) -> Rows:
    """The arrays of one row, ``[L]``."""
    return Rows(*(array[number] for array in vars(rows).values()))


def made_rows(documents: list[Document], length: int, mode: str, **options: bool) -> list[tuple[Rows, Block, int, int]]:
    return all_rows(RowPlan([OneBlock(make_block(documents))], length), mode, **options)


def text_of(row: Rows) -> list[int]:
    return row.input_ids[row.is_text].tolist()


def segments_of(row: Rows) -> list[slice]:
    """The runs of equal segment ids, without the padding."""
    borders = np.flatnonzero(np.diff(row.segment_ids, prepend=-1, append=-1))
    return [slice(*pair) for pair in itertools.pairwise(borders.tolist()) if row.segment_ids[pair[0]] > 0]


def padding_share(rows: list[tuple[Rows, Block, int, int]]) -> float:
    return float(np.mean([row.segment_ids == 0 for row, *_ in rows]))


@pytest.fixture(scope="module", params=[128, 512])
def sample_plan(request: pytest.FixtureRequest, corpus: PreparedCorpus) -> RowPlan:
    """Rows of the prepared sample text."""
    return RowPlan([corpus], request.param)


@pytest.fixture(scope="module")
def web_corpus(shared: Path, small_vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    """Two hundred documents of the shared web text, prepared."""
    from data_prep.__main__ import main

    directory = tmp_path_factory.mktemp("web")
    with gzip.open(shared / "data" / "corpus" / "small.txt.gz", "rt", encoding="utf-8") as file:
        documents = file.read().split("\n\n")[:200]
    text = directory / "text.txt"
    text.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    command = ["corpus", "--input", str(text), "--output", str(directory / "corpus")]
    assert main([*command, "--tokenizer", str(small_vocabulary)]) == 0
    return PreparedCorpus(directory / "corpus")


# --------------------------------------------------------------------------------------------------------- cutting rows


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_rows_hold_every_token_once_and_in_order(documents: list[Document], length: int) -> None:
    tokens = [token for row, *_ in made_rows(documents, length, "packed") for token in text_of(row)]
    assert tokens == list(range(FIRST_TEXT_ID, FIRST_TEXT_ID + sum(sum(map(sum, d)) for d in documents)))


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_a_row_begins_between_words_unless_the_word_is_longer_than_a_row(
    documents: list[Document], length: int
) -> None:
    block = make_block(documents)
    plan = RowPlan([OneBlock(block)], length)
    words = np.flatnonzero(unpack_word_starts(block.pinyin_and_starts)).tolist() + [len(block.input_ids)]
    for row in range(len(plan)):
        _, start, _ = plan.locate(row)
        word = np.searchsorted(words, start, side="right") - 1
        if words[word] != start:
            assert words[word + 1] - words[word] > length - SPECIAL_TOKENS_PER_SEGMENT


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_a_row_ends_only_where_the_next_word_does_not_fit(documents: list[Document], length: int) -> None:
    for (row, block, _, end), _ in itertools.pairwise(made_rows(documents, length, "packed")):
        left = int((row.segment_ids == 0).sum())
        words = np.flatnonzero(unpack_word_starts(block.pinyin_and_starts)).tolist() + [len(block.input_ids)]
        next_word = next(word for word in words if word > end) - end
        if end in block.document_starts:  # a document begins with [CLS] and [SEP], and not for the smallest pieces
            next_word = SPECIAL_TOKENS_PER_SEGMENT + max(next_word, MIN_SEGMENT_TOKENS)
        assert left < next_word


@few
@given(DOCUMENTS, DOCUMENTS, ROW_LENGTHS)
def test_rows_of_several_corpora_follow_one_another(one: list[Document], two: list[Document], length: int) -> None:
    blocks = [make_block(one), make_block(two)]
    together = RowPlan([OneBlock(blocks[0]), OneBlock(blocks[1])], length)
    apart = [RowPlan([OneBlock(block)], length) for block in blocks]
    wanted = [plan.locate(row)[1:] for plan in apart for row in range(len(plan))]
    assert [together.locate(row)[1:] for row in range(len(together))] == wanted
    assert together.locate(len(apart[0]))[0] is blocks[1]


def test_a_row_outside_the_plan_is_refused(corpus: PreparedCorpus) -> None:
    plan = RowPlan([corpus], 128)
    for row in (-1, len(plan)):
        with pytest.raises(IndexError, match="outside"):
            plan.locate(row)


def test_a_length_without_room_for_text_is_refused() -> None:
    with pytest.raises(ValueError, match="5 tokens are too short"):
        RowPlan([OneBlock(make_block([[[1]]]))], 5)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_sample_text_is_covered_exactly_once(corpus: PreparedCorpus, length: int) -> None:
    tokens = [text_of(row) for row, *_ in all_rows(RowPlan([corpus], length), "packed")]
    assert np.array_equal(np.concatenate(tokens), np.concatenate([block.input_ids for block in corpus.blocks]))


@pytest.mark.parametrize("mode", ["packed", "single"])
def test_padding_of_the_sample_text_is_under_one_percent(sample_plan: RowPlan, mode: str) -> None:
    assert padding_share(all_rows(sample_plan, mode)) < 0.01


@pytest.mark.parametrize("mode", ["packed", "single"])
@pytest.mark.parametrize("length", [128, 512])
def test_padding_of_web_text_is_under_one_percent(web_corpus: PreparedCorpus, length: int, mode: str) -> None:
    assert padding_share(all_rows(RowPlan([web_corpus], length), mode)) < 0.01


# -------------------------------------------------------------------------------------------------------- dressing rows

MODES = st.sampled_from(["packed", "single"])


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES, st.booleans())
def test_every_array_has_the_length_of_the_row(
    documents: list[Document], length: int, mode: str, isolated: bool
) -> None:
    for row, *_ in made_rows(documents, length, mode, isolate_documents=isolated):
        arrays = vars(row)
        assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(arrays, (length,))
        numbers = ("input_ids", "pinyin_ids", "segment_ids", "position_ids")
        assert {name: array.dtype.name for name, array in arrays.items()} == {
            name: "int64" if name in numbers else "bool" for name in arrays
        }


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES)
def test_each_segment_is_text_between_cls_and_sep(documents: list[Document], length: int, mode: str) -> None:
    for row, *_ in made_rows(documents, length, mode):
        for segment in segments_of(row):
            ids = row.input_ids[segment]
            assert (ids[0], ids[-1]) == (CLS, SEP)
            assert len(ids) > SPECIAL_TOKENS_PER_SEGMENT
            assert (ids[1:-1] >= FIRST_TEXT_ID).all()


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES, st.booleans())
def test_is_text_marks_exactly_the_text(documents: list[Document], length: int, mode: str, isolated: bool) -> None:
    for row, *_ in made_rows(documents, length, mode, isolate_documents=isolated):
        assert np.array_equal(row.is_text, row.input_ids >= FIRST_TEXT_ID)


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES)
def test_positions_restart_in_every_isolated_segment(documents: list[Document], length: int, mode: str) -> None:
    for row, *_ in made_rows(documents, length, mode):
        for segment in segments_of(row):
            assert row.position_ids[segment].tolist() == list(range(segment.stop - segment.start))


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES)
def test_segments_are_numbered_from_one(documents: list[Document], length: int, mode: str) -> None:
    for row, *_ in made_rows(documents, length, mode):
        segments = segments_of(row)
        numbers = [int(row.segment_ids[segment.start]) for segment in segments]
        assert numbers == list(range(1, len(segments) + 1))


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES, st.booleans())
def test_nothing_stands_after_the_padding_begins(
    documents: list[Document], length: int, mode: str, isolated: bool
) -> None:
    for row, *_ in made_rows(documents, length, mode, isolate_documents=isolated):
        end = segments_of(row)[-1].stop
        assert (row.segment_ids[:end] > 0).all()
        for array in (row.input_ids, row.pinyin_ids, row.segment_ids, row.word_starts, row.is_text):
            assert not array[end:].any()  # [PAD] is 0


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES)
def test_pinyin_stays_with_its_token(documents: list[Document], length: int, mode: str) -> None:
    for row, block, *_ in made_rows(documents, length, mode):
        pinyin_ids = unpack_pinyin_ids(block.pinyin_and_starts)
        wanted = np.where(row.is_text, pinyin_ids[(row.input_ids - FIRST_TEXT_ID) * row.is_text], 0)
        assert np.array_equal(row.pinyin_ids, wanted)


@few
@given(DOCUMENTS, ROW_LENGTHS, MODES)
def test_word_starts_are_those_of_the_text_and_of_each_segment(
    documents: list[Document], length: int, mode: str
) -> None:
    for row, block, *_ in made_rows(documents, length, mode):
        begins = unpack_word_starts(block.pinyin_and_starts)
        wanted = row.is_text & begins[(row.input_ids - FIRST_TEXT_ID) * row.is_text]
        wanted[[segment.start + 1 for segment in segments_of(row)]] = True
        assert np.array_equal(row.word_starts, wanted)


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_a_packed_row_has_a_segment_for_each_document(documents: list[Document], length: int) -> None:
    for row, block, start, end in made_rows(documents, length, "packed"):
        begun = [place for place in block.document_starts.tolist() if start < place < end]
        wanted = [FIRST_TEXT_ID + place for place in (start, *begun)]
        assert [row.input_ids[segment.start + 1] for segment in segments_of(row)] == wanted


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_documents_that_see_each_other_share_segment_and_positions(documents: list[Document], length: int) -> None:
    apart = made_rows(documents, length, "packed")
    together = made_rows(documents, length, "packed", isolate_documents=False)
    for (isolated, *_), (joined, *_) in zip(apart, together, strict=True):
        assert np.array_equal(joined.input_ids, isolated.input_ids)
        assert np.array_equal(joined.segment_ids, isolated.segment_ids > 0)
        assert np.array_equal(joined.position_ids, np.arange(length))


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_single_rows_are_isolated_whatever_the_switch_says(documents: list[Document], length: int) -> None:
    apart = made_rows(documents, length, "single")
    together = made_rows(documents, length, "single", isolate_documents=False)
    for (one, *_), (two, *_) in zip(apart, together, strict=True):
        assert np.array_equal(one.segment_ids, two.segment_ids)
        assert np.array_equal(one.position_ids, two.position_ids)


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_a_single_row_has_one_sentence_a_segment(documents: list[Document], length: int) -> None:
    for row, block, start, _ in made_rows(documents, length, "single"):
        begins = unpack_sentence_starts(block.pinyin_and_starts)
        begins[start] = True  # a row may begin inside a sentence
        for segment in segments_of(row):
            places = row.input_ids[segment][1:-1] - FIRST_TEXT_ID
            assert begins[places].tolist() == [True] + [False] * (len(places) - 1)


@few
@given(DOCUMENTS, ROW_LENGTHS)
@example([[[1], [6, 6], [1]]], 16)  # the second sentence does not fit, the third would
def test_a_single_row_holds_the_beginning_of_the_text_of_its_row(documents: list[Document], length: int) -> None:
    for row, _, start, end in made_rows(documents, length, "single"):
        text = text_of(row)
        assert text == list(range(FIRST_TEXT_ID + start, FIRST_TEXT_ID + end))[: len(text)]
        assert text


@few
@given(DOCUMENTS, ROW_LENGTHS)
@example([[[1], [6]]], 9)  # the word of the second sentence fits a row, but not after the first
def test_a_single_row_cuts_no_word_that_fits_a_row(documents: list[Document], length: int) -> None:
    for row, block, _, end in made_rows(documents, length, "single"):
        words = np.flatnonzero(unpack_word_starts(block.pinyin_and_starts)).tolist() + [len(block.input_ids)]
        stop = text_of(row)[-1] - FIRST_TEXT_ID + 1
        word = np.searchsorted(words, stop, side="right") - 1
        if stop not in (end, words[word]):
            assert words[word + 1] - words[word] > length - SPECIAL_TOKENS_PER_SEGMENT


@few
@given(st.data(), DOCUMENTS, ROW_LENGTHS, st.booleans())
def test_a_row_is_the_same_whatever_rows_it_is_made_with(
    data: st.DataObject, documents: list[Document], length: int, isolated: bool
) -> None:
    plan, dress = RowPlan([OneBlock(make_block(documents))], length), dresser(length, isolated)
    chosen = data.draw(st.lists(st.tuples(st.integers(0, len(plan) - 1), st.booleans()), min_size=1, max_size=6))
    together = dress([plan.locate(row) for row, _ in chosen], np.array([single for _, single in chosen]))
    for number, (row, single) in enumerate(chosen):
        alone = one_row(dress([plan.locate(row)], np.array([single])), 0)
        assert all(
            np.array_equal(*pair)
            for pair in zip(vars(one_row(together, number)).values(), vars(alone).values(), strict=True)
        )


@few
@given(DOCUMENTS, ROW_LENGTHS)
def test_a_single_row_leaves_out_only_what_does_not_fit(documents: list[Document], length: int) -> None:
    for row, block, _, end in made_rows(documents, length, "single"):
        stop = text_of(row)[-1] - FIRST_TEXT_ID + 1
        if stop == end:
            continue
        left = int((row.segment_ids == 0).sum())
        words = np.flatnonzero(unpack_word_starts(block.pinyin_and_starts)).tolist() + [len(block.input_ids)]
        next_word = next(word for word in words if word > stop) - stop
        if unpack_sentence_starts(block.pinyin_and_starts)[stop]:
            next_word = SPECIAL_TOKENS_PER_SEGMENT + max(next_word, MIN_SEGMENT_TOKENS)
        assert left < next_word


@pytest.mark.parametrize("mode", ["packed", "single"])
def test_a_row_of_the_sample_text_leaves_the_corpus_as_it_is(corpus: PreparedCorpus, mode: str) -> None:
    before = [block.input_ids.copy() for block in corpus.blocks]
    for row, *_ in all_rows(RowPlan([corpus], 128), mode)[:20]:
        row.input_ids[:] = 7
    assert all(np.array_equal(block.input_ids, ids) for block, ids in zip(corpus.blocks, before, strict=True))
