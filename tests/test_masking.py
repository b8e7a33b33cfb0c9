"""Masking: how much, which tokens, whole words or single characters, and that the pinyin gives no answer away."""

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chinesebert.corpus.format import unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.corpus.packing import RowDresser, RowPlan, Rows
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import IGNORE_INDEX, MaskedTokens, Masking, number_words
from chinesebert.masking_strategies import MASKING_STRATEGIES, NGRAM_SHARES, SPAN_SHARES, word_begins
from chinesebert.sample_draws import SampleDraws
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

WORD_STRATEGIES = ["wwm", "ngram", "span"]
STRATEGIES = st.sampled_from(list(MASKING_STRATEGIES))
# No deadline: on a busy machine any example may be slow once.
few = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def masking(small_tokenizer: ChineseBertTokenizer) -> Masking:
    """The recipe's masking for the small vocabulary."""
    return Masking(
        small_tokenizer.mask_token_id, small_tokenizer.ordinary_token_ids(), small_tokenizer.default_pinyin_ids()
    )


@pytest.fixture(scope="module")
def rows(corpus: PreparedCorpus) -> list[Rows]:
    """The sample text as packed rows of 128."""
    plan, dresser = RowPlan([corpus], 128), RowDresser(128, cls_token_id=101, sep_token_id=102, pad_token_id=0)
    rows = dresser([plan.locate(row) for row in range(len(plan))], np.zeros(len(plan), dtype=np.bool_))
    return [Rows(*arrays) for arrays in zip(*vars(rows).values(), strict=True)]


@pytest.fixture(scope="module")
def sentences(corpus: PreparedCorpus) -> list[Rows]:
    """The sentences of 20 to 30 tokens in the sample text, without special tokens: short samples."""
    [block] = corpus.blocks
    starts = np.flatnonzero(unpack_sentence_starts(block.pinyin_and_starts))
    found = []
    for start, end in zip(starts, np.append(starts[1:], len(block.input_ids)), strict=True):
        if 20 <= end - start <= 30:
            ids, annotations = block.input_ids[start:end].astype(np.int64), block.pinyin_and_starts[start:end]
            pinyin_ids = unpack_pinyin_ids(annotations).astype(np.int64)
            ones = np.ones_like(ids)
            found.append(Rows(ids, pinyin_ids, ones, ones, unpack_word_starts(annotations), ones.astype(np.bool_)))
    return found


def mask(masking: Masking, row: Rows, sample: int = 0, seed: int = 0) -> MaskedTokens:
    """One row, its arrays of shape ``[L]``, masked alone."""
    return mask_together(masking, [row], [sample], seed)[0]


def mask_together(
    masking: Masking, rows: list[Rows], samples: Iterable[int], seed: int = 0, rates: list[float] | None = None
) -> list[MaskedTokens]:
    """Rows of one length masked as one batch; each result is of one row, ``[L]``."""
    names = ("input_ids", "pinyin_ids", "word_starts", "is_text")
    arrays = [np.stack([getattr(row, name) for row in rows]) for name in names]
    masked = masking(*arrays, SampleDraws(seed, list(samples)), None if rates is None else np.array(rates))
    size = len(rows[0].input_ids)
    return [
        MaskedTokens(
            masked.input_ids[number],
            masked.pinyin_ids[number],
            masked.labels[number],
            masked.places[masked.places // max(size, 1) == number] - number * size,
            masked.whole_words[number],
        )
        for number in range(len(rows))
    ]


def mask_all(masking: Masking, rows: Iterable[Rows], times: int = 1) -> list[tuple[Rows, MaskedTokens]]:
    """Every row masked so many times, each time with other random numbers; rows of one length in one batch."""
    rows = list(rows) * times
    if len({len(row.input_ids) for row in rows}) == 1:
        return list(zip(rows, mask_together(masking, rows, range(len(rows))), strict=True))
    return [(row, mask(masking, row, sample)) for sample, row in enumerate(rows)]


def chosen(masked: MaskedTokens) -> NDArray[np.bool_]:
    return masked.labels != IGNORE_INDEX


def assert_share(hits: int, trials: int, share: float) -> None:
    """Three standard deviations of independent draws; the seeds are fixed, so this passes or fails for good."""
    sigma = np.sqrt(share * (1 - share) / trials)
    assert abs(hits / trials - share) < 3 * sigma, f"{hits} of {trials} = {hits / trials:.4f}, wanted {share}"


def under(masking: Masking, strategy: str) -> Masking:
    return dataclasses.replace(masking, strategy=strategy)


def words_only(masking: Masking) -> Masking:
    return under(masking, "wwm")


def characters_only(masking: Masking) -> Masking:
    return under(masking, "char")


def texts_of(row: Rows) -> list[list[list[int]]]:
    """The uninterrupted texts of a row, each as its words, by the definition."""
    texts: list[list[list[int]]] = []
    for word in slow_words(row):
        if texts and texts[-1][-1][-1] == word[0] - 1:
            texts[-1].append(word)
        else:
            texts.append([word])
    return texts


# ------------------------------------------------------------------------------------------------------------- how much


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_fifteen_percent_of_the_text_is_chosen(masking: Masking, rows: list[Rows], strategy: str) -> None:
    masked = mask_all(under(masking, strategy), rows, times=4)
    tokens = sum(int(row.is_text.sum()) for row, _ in masked)
    assert_share(sum(int(chosen(result).sum()) for _, result in masked), tokens, 0.15)


@pytest.mark.parametrize("mode", [words_only, characters_only])
def test_short_texts_are_masked_at_the_same_rate(masking: Masking, sentences: list[Rows], mode) -> None:
    # Rounding the count of a sentence always down (or up) would show: 0.15 of 25 is 3.75.
    masked = mask_all(mode(masking), sentences, times=5)
    tokens = sum(len(row.input_ids) for row, _ in masked)
    assert_share(sum(int(chosen(result).sum()) for _, result in masked), tokens, 0.15)


@pytest.mark.parametrize("probability", [0.05, 0.4])
def test_the_rate_is_a_setting(masking: Masking, rows: list[Rows], probability: float) -> None:
    masked = mask_all(dataclasses.replace(masking, probability=probability), rows)
    tokens = sum(int(row.is_text.sum()) for row, _ in masked)
    assert_share(sum(int(chosen(result).sum()) for _, result in masked), tokens, probability)


@few
@given(st.data())
def test_every_sample_with_text_has_a_label(masking: Masking, data: st.DataObject) -> None:
    row = made_row(data, min_text=1)
    strategy = data.draw(STRATEGIES)
    assert chosen(mask(under(masking, strategy), row, data.draw(st.integers(0, 99)))).any()


def test_each_sample_of_a_batch_has_a_rate_of_its_own(masking: Masking, rows: list[Rows]) -> None:
    rates = [0.05, 0.15, 0.6]
    count = len(rows) // 3 * 3
    masked = mask_together(masking, rows[:count], range(count), rates=rates * (count // 3))
    for number, rate in enumerate(rates):
        tokens = sum(int(row.is_text.sum()) for row in rows[number:count:3])
        assert_share(sum(int(chosen(result).sum()) for result in masked[number::3]), tokens, rate)


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_at_a_rate_of_one_everything_is_chosen(masking: Masking, rows: list[Rows], strategy: str) -> None:
    everything = dataclasses.replace(masking, strategy=strategy, probability=1.0)
    assert all(np.array_equal(chosen(masked), row.is_text) for row, masked in mask_all(everything, rows[:30]))


def test_more_rows_than_the_sort_has_bits_for_are_refused(masking: Masking) -> None:
    nothing = np.zeros((65537, 1), dtype=np.int64)
    with pytest.raises(ValueError, match="at most 65,536 rows"):
        masking(nothing, nothing, nothing > 0, nothing > 0, SampleDraws(0, range(65537)))


def test_an_unknown_strategy_is_refused_with_those_there_are(masking: Masking) -> None:
    with pytest.raises(ValueError, match=r"no masking strategy 'word'; there are wwm\+char, char, wwm, ngram, span"):
        under(masking, "word")


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_sample_without_text_is_left_as_it_is(masking: Masking, length: int, strategy: str) -> None:
    nothing = np.zeros(length, dtype=np.bool_)
    masking = under(masking, strategy)
    row = Rows(np.full(length, 101), np.zeros(length, np.int64), nothing, nothing, nothing, nothing)
    for sample in range(20):
        masked = mask(masking, row, sample)
        assert not chosen(masked).any()
        assert np.array_equal(masked.input_ids, row.input_ids)


# ---------------------------------------------------------------------------------------------------- words, characters


def made_row(data: st.DataObject, min_text: int = 0) -> Rows:
    """A row of any structure: special tokens anywhere, words of any length, text that begins inside a word."""
    flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
    drawn = np.array(data.draw(flags.filter(lambda pairs: sum(text for text, _ in pairs) >= min_text)))
    is_text, word_starts = drawn[:, 0], drawn[:, 0] & drawn[:, 1]
    input_ids = np.where(is_text, 200 + np.arange(len(drawn)), 101)
    pinyin_ids = np.where(is_text, 1 + np.arange(len(drawn)), 0)
    return Rows(input_ids, pinyin_ids, is_text.astype(np.int64), np.arange(len(drawn)), word_starts, is_text)


def slow_words(row: Rows) -> list[list[int]]:
    """The places of each word, by the definition: from a start to the next start or to where the text stops."""
    words: list[list[int]] = []
    for place, (start, text) in enumerate(zip(row.word_starts, row.is_text, strict=True)):
        if text and (start or not words or words[-1][-1] != place - 1):
            words.append([place])
        elif text:
            words[-1].append(place)
    return words


@few
@given(st.data())
def test_no_word_is_masked_in_part(masking: Masking, data: st.DataObject) -> None:
    row = made_row(data)
    strategy = data.draw(st.sampled_from(WORD_STRATEGIES))
    marks = chosen(mask(under(masking, strategy), row, data.draw(st.integers(0, 99))))
    for word in slow_words(row):
        assert len(set(marks[word])) == 1


@pytest.mark.parametrize("strategy", WORD_STRATEGIES)
def test_no_word_of_the_sample_text_is_masked_in_part(masking: Masking, rows: list[Rows], strategy: str) -> None:
    for row, masked in mask_all(under(masking, strategy), rows):
        assert masked.whole_words
        marks = chosen(masked)
        assert all(len(set(marks[word])) == 1 for word in slow_words(row))


def test_single_characters_are_masked_without_the_rest_of_their_word(masking: Masking, rows: list[Rows]) -> None:
    halves = words = 0
    for row, masked in mask_all(characters_only(masking), rows):
        marks = chosen(masked)
        for word in slow_words(row):
            if len(word) == 2 and marks[word].any():
                words += 1
                halves += not marks[word].all()
    # Drawn independently, one of two is masked in 2 * 0.15 * 0.85 and both in 0.15 ** 2 of all words.
    assert_share(halves, words, 2 * 0.85 / (2 * 0.85 + 0.15))


def test_nine_samples_of_ten_are_masked_by_words(masking: Masking, rows: list[Rows]) -> None:
    masked = mask_all(masking, rows, times=4)
    assert_share(sum(result.whole_words for _, result in masked), len(masked), 0.9)


def test_words_of_every_length_are_equally_likely(masking: Masking, rows: list[Rows]) -> None:
    hits, trials = np.zeros(4), np.zeros(4)
    for row, masked in mask_all(words_only(masking), rows, times=8):
        marks = chosen(masked)
        for word in slow_words(row):
            if len(word) < 4:
                trials[len(word)] += 1
                hits[len(word)] += marks[word[0]]
    for length in (1, 2, 3):
        share, sigma = hits[length] / trials[length], np.sqrt(0.15 * 0.85 / trials[length])
        # Exact equality and an exact count exclude each other: 2 % of the share are allowed on top of chance.
        assert abs(share - 0.15) < 3 * sigma + 0.003, f"words of {length} tokens are chosen with {share:.4f}"


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_every_place_of_a_row_is_equally_likely(masking: Masking, rows: list[Rows], strategy: str) -> None:
    full = [row for row in rows if row.is_text[1:-1].all()]
    hits = sum(chosen(masked).astype(int) for _, masked in mask_all(under(masking, strategy), full, times=20))
    share = hits[1:-1] / (20 * len(full))
    sigma = np.sqrt(0.15 * 0.85 / (20 * len(full)))
    assert np.abs(share - 0.15).max() < 4.5 * sigma  # the highest of 126


@few
@given(st.data())
def test_words_are_numbered_in_order_from_one(data: st.DataObject) -> None:
    row = made_row(data)
    numbers = number_words(row.word_starts, row.is_text)
    words = slow_words(row) + [[int(place)] for place in np.flatnonzero(~row.is_text)]
    wanted = np.zeros(len(numbers), dtype=np.int64)
    for number, word in enumerate(sorted(words), start=1):
        wanted[word] = number
    assert np.array_equal(numbers, wanted)


# ------------------------------------------------------------------------------------------------------- runs of words


def word_lengths_of_runs(masking: Masking, strategy: str, row: Rows, samples: range) -> list[int]:
    """How many words each run has that a strategy cuts a row of single-token words into."""
    found = []
    for sample in samples:
        words = word_begins(row.word_starts, row.is_text)[None]
        units = MASKING_STRATEGIES[strategy](0.9)(words, row.is_text[None], SampleDraws(0, [sample]))
        found += np.diff(np.flatnonzero(units.starts[0]))[:-1].tolist()  # the last may be cut short
    return found


@pytest.mark.parametrize(("strategy", "shares"), [("ngram", NGRAM_SHARES), ("span", SPAN_SHARES)])
def test_runs_have_as_many_words_as_often_as_the_paper_says(
    masking: Masking, strategy: str, shares: tuple[float, ...]
) -> None:
    ones = np.ones(2000, dtype=np.bool_)
    row = Rows(200 + np.arange(2000), np.arange(2000), ones, ones, ones, ones)
    lengths = word_lengths_of_runs(masking, strategy, row, range(20))
    assert sum(shares) == pytest.approx(1)
    for words, share in enumerate(shares, start=1):
        assert_share(lengths.count(words), len(lengths), share)
    assert max(lengths) == len(shares)


def test_spans_have_the_mean_length_of_spanbert() -> None:
    assert sum(words * share for words, share in enumerate(SPAN_SHARES, start=1)) == pytest.approx(3.8, abs=0.01)


@few
@given(st.data())
def test_runs_are_consecutive_words_and_stop_where_the_text_does(masking: Masking, data: st.DataObject) -> None:
    row = made_row(data)
    strategy = data.draw(st.sampled_from(["ngram", "span"]))
    words = word_begins(row.word_starts, row.is_text)[None]
    draws = SampleDraws(data.draw(st.integers(0, 99)), [0])
    starts = MASKING_STRATEGIES[strategy](0.9)(words, row.is_text[None], draws).starts[0]
    assert not (starts & ~words[0]).any()
    for text in texts_of(row):
        assert starts[text[0][0]]
        run_sizes = np.diff([number for number, word in enumerate(text) if starts[word[0]]] + [len(text)])
        assert run_sizes.max() <= {"ngram": 4, "span": 10}[strategy]


@pytest.mark.parametrize("strategy", ["ngram", "span"])
def test_runs_mask_neighbours_together_more_often_than_words_alone(
    masking: Masking, rows: list[Rows], strategy: str
) -> None:
    together = {}
    for name in ("wwm", strategy):
        pairs = [
            (marks[one[0]], marks[two[0]])
            for row, masked in mask_all(under(masking, name), rows[:100])
            for marks in [chosen(masked)]
            for text in texts_of(row)
            for one, two in itertools.pairwise(text)
        ]
        together[name] = np.mean([second for first, second in pairs if first])
    assert together["wwm"] < 0.2
    assert together[strategy] > 0.4


# ----------------------------------------------------------------------------------------------------- what is replaced


def test_eighty_ten_ten(masking: Masking, rows: list[Rows]) -> None:
    total = masked_tokens = kept = 0
    for _, masked in mask_all(masking, rows, times=4):
        places = chosen(masked)
        total += int(places.sum())
        masked_tokens += int((masked.input_ids[places] == masking.mask_token_id).sum())
        kept += int((masked.input_ids[places] == masked.labels[places]).sum())
    # A random token is the old one by chance once in 2,396 times: far below what is measured here.
    assert_share(masked_tokens, total, 0.8)
    assert_share(kept, total, 0.1)
    assert_share(total - masked_tokens - kept, total, 0.1)


@few
@given(st.data())
def test_special_tokens_and_padding_are_never_chosen(masking: Masking, data: st.DataObject) -> None:
    row = made_row(data)
    masked = mask(masking, row, data.draw(st.integers(0, 99)))
    assert not chosen(masked)[~row.is_text].any()
    assert np.array_equal(masked.input_ids[~row.is_text], row.input_ids[~row.is_text])
    assert np.array_equal(masked.pinyin_ids[~row.is_text], row.pinyin_ids[~row.is_text])


def test_replacements_are_ordinary_tokens(
    masking: Masking, rows: list[Rows], small_tokenizer: ChineseBertTokenizer
) -> None:
    always = dataclasses.replace(masking, mask_share=0.0, random_share=1.0)
    drawn = {int(t) for _, masked in mask_all(always, rows) for t in masked.input_ids[chosen(masked)]}
    tokens = small_tokenizer.convert_ids_to_tokens(sorted(drawn))
    assert not drawn & set(small_tokenizer.all_special_ids)
    assert not [token for token in tokens if token.startswith("[unused") or not token.strip()]


def test_replacements_are_drawn_from_the_whole_vocabulary(masking: Masking, rows: list[Rows]) -> None:
    always = dataclasses.replace(masking, mask_share=0.0, random_share=1.0)
    drawn = np.concatenate([masked.input_ids[chosen(masked)] for _, masked in mask_all(always, rows, times=4)])
    ordinary = masking.ordinary_token_ids
    counts = np.bincount(np.searchsorted(ordinary, drawn), minlength=len(ordinary))
    expected = len(drawn) / len(ordinary)
    assert ((counts - expected) ** 2 / expected).sum() < len(ordinary) + 4 * np.sqrt(2 * len(ordinary))


def test_masked_token_has_no_pinyin(masking: Masking, rows: list[Rows]) -> None:
    for _, masked in mask_all(masking, rows):
        assert not masked.pinyin_ids[masked.input_ids == masking.mask_token_id].any()


def test_replaced_token_carries_its_own_pinyin(masking: Masking, rows: list[Rows]) -> None:
    always = dataclasses.replace(masking, mask_share=0.0, random_share=1.0)
    for _, masked in mask_all(always, rows[:50]):
        places = chosen(masked)
        assert np.array_equal(masked.pinyin_ids[places], masking.default_pinyin_ids[masked.input_ids[places]])


def test_kept_token_keeps_its_pinyin_in_context(masking: Masking, rows: list[Rows]) -> None:
    never = dataclasses.replace(masking, mask_share=0.0, random_share=0.0)
    in_context = 0
    for row, masked in mask_all(never, rows):
        assert np.array_equal(masked.input_ids, row.input_ids)
        assert np.array_equal(masked.pinyin_ids, row.pinyin_ids)
        in_context += int((row.pinyin_ids != masking.default_pinyin_ids[row.input_ids])[chosen(masked)].sum())
    assert in_context > 0  # else the sample text could not tell a reading in context from the most common one


def test_labels_are_the_original_tokens(masking: Masking, rows: list[Rows]) -> None:
    for row, masked in mask_all(masking, rows):
        places = chosen(masked)
        assert np.array_equal(masked.labels[places], row.input_ids[places])


def test_tokens_that_were_not_chosen_are_unchanged(masking: Masking, rows: list[Rows]) -> None:
    for row, masked in mask_all(masking, rows):
        others = ~chosen(masked)
        assert np.array_equal(masked.input_ids[others], row.input_ids[others])
        assert np.array_equal(masked.pinyin_ids[others], row.pinyin_ids[others])


# ----------------------------------------------------------------------------------------------------------- randomness


def masked_arrays(masked: MaskedTokens) -> NDArray[np.int64]:
    return np.stack([masked.input_ids, masked.pinyin_ids, masked.labels])


def test_same_seed_and_sample_give_the_same_mask(masking: Masking, rows: list[Rows]) -> None:
    one, two = (mask(masking, rows[0], sample=5, seed=3) for _ in range(2))
    assert np.array_equal(masked_arrays(one), masked_arrays(two))


def test_the_global_generator_changes_nothing(masking: Masking, rows: list[Rows]) -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)
        results.append(masked_arrays(mask(masking, rows[0])))
    assert np.array_equal(*results)


def test_samples_and_seeds_give_masks_of_their_own(masking: Masking, rows: list[Rows]) -> None:
    places = [(sample, seed) for sample in range(20) for seed in range(20)]
    masks = {chosen(mask(characters_only(masking), rows[0], sample, seed)).tobytes() for sample, seed in places}
    assert len(masks) == len(places)


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_a_sample_is_masked_the_same_whatever_batch_it_is_in(masking: Masking, rows: list[Rows], strategy: str) -> None:
    masking = under(masking, strategy)
    together = mask_together(masking, rows[:40], range(100, 140))
    others = mask_together(masking, rows[39::-1], range(139, 99, -1))[::-1]
    for number, (one, two) in enumerate(zip(together, others, strict=True)):
        alone = mask(masking, rows[number], 100 + number)
        assert np.array_equal(masked_arrays(one), masked_arrays(alone))
        assert np.array_equal(masked_arrays(two), masked_arrays(alone))
        assert one.whole_words == two.whole_words == alone.whole_words


def test_the_places_are_those_of_the_labels(masking: Masking, rows: list[Rows]) -> None:
    names = ("input_ids", "pinyin_ids", "word_starts", "is_text")
    arrays = [np.stack([getattr(row, name) for row in rows[:9]]) for name in names]
    masked = masking(*arrays, SampleDraws(0, range(9)))
    assert np.array_equal(masked.places, np.flatnonzero(masked.labels != IGNORE_INDEX))


def test_masks_of_one_sample_say_nothing_of_the_next(masking: Masking, rows: list[Rows]) -> None:
    """Two masks of one row by characters share the places that chance gives them."""
    full = next(row for row in rows if row.is_text[1:-1].all())
    masks = [chosen(masked) for masked in mask_together(characters_only(masking), [full] * 2000, range(2000))]
    shared = sum(int((one & two).sum()) for one, two in itertools.pairwise(masks))
    assert_share(shared, 1999 * 126, 0.15**2)


@few
@given(st.data())
def test_inputs_are_left_as_they_are(masking: Masking, data: st.DataObject) -> None:
    row = made_row(data)
    before = {name: array.copy() for name, array in vars(row).items()}
    mask(masking, row)
    assert all(np.array_equal(before[name], array) for name, array in vars(row).items())
