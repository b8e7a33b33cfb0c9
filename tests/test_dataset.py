"""The samples of a run: functions of seed and number alone, whoever asks for them, and the batches made of them."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from chinesebert.corpus.dataset import (
    FILLER_ROW,
    MODEL_INPUTS,
    HeldOutRows,
    LinearRate,
    MaskedRows,
    PhasedRows,
    collate,
    model_inputs,
)
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import IGNORE_INDEX, NO_WORD, Masking
from chinesebert.masking_strategies import MASKING_STRATEGIES
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

LENGTH = 128
Sample = dict[str, Any]


@pytest.fixture(scope="module")
def parts(corpus: PreparedCorpus, small_tokenizer: ChineseBertTokenizer) -> tuple[RowPlan, RowDresser, Masking]:
    """What datasets are made of."""
    tokenizer = small_tokenizer
    return (
        RowPlan([corpus], LENGTH),
        RowDresser(LENGTH, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
        Masking(tokenizer.mask_token_id, tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids()),
    )


@pytest.fixture(scope="module")
def samples(parts: tuple[RowPlan, RowDresser, Masking]) -> MaskedRows:
    """The training samples of seed 0."""
    return MaskedRows(*parts)


@pytest.fixture(scope="module")
def held_out(parts: tuple[RowPlan, RowDresser, Masking]) -> HeldOutRows:
    """The same rows, held out."""
    return HeldOutRows(*parts)


def equal(one: Sample, two: Sample) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def unmasked(sample: Sample) -> np.ndarray:
    """The tokens before masking: together with the number of a row's first token these tell rows apart."""
    return np.where(sample["labels"] == IGNORE_INDEX, sample["input_ids"], sample["labels"])


def singles(rows: MaskedRows, count: int, plan: RowPlan, dresser: RowDresser) -> list[bool]:
    """Of the first samples, which have their sentences alone; those of a single sentence look the same both ways."""
    found = []
    for number in range(count):
        place = plan.locate(rows.order.row(number))
        single, packed = dresser([place, place], np.array([True, False])).segment_ids
        if not np.array_equal(single, packed):
            found.append(np.array_equal(rows[number]["segment_ids"], single))
    return found


# -------------------------------------------------------------------------------------------------------------- samples


def test_a_sample_is_the_same_from_every_instance(
    parts: tuple[RowPlan, RowDresser, Masking], samples: MaskedRows
) -> None:
    other = MaskedRows(*parts)
    numbers = [0, 1, 389, 390, 5000, 10**12]
    # Asked in another order, so that nothing an instance remembers can help.
    again = {number: other[number] for number in reversed(numbers)}
    assert all(equal(samples[number], again[number]) for number in numbers)


def test_workers_return_what_one_process_returns(samples: MaskedRows) -> None:
    size = 4
    batches = [list(range(start, start + size)) for start in range(0, 24, size)]
    loaders = [
        DataLoader(samples, batch_sampler=batches, collate_fn=collate, num_workers=workers) for workers in (0, 2)
    ]
    for one, two in zip(*loaders, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in MODEL_INPUTS)


@pytest.mark.parametrize("kind", [MaskedRows, HeldOutRows])
@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_a_batch_has_its_samples_in_order_as_they_are_alone(
    parts: tuple[RowPlan, RowDresser, Masking], kind: type[MaskedRows], strategy: str
) -> None:
    plan, dresser, masking = parts
    rows = kind(plan, dresser, dataclasses.replace(masking, strategy=strategy))
    numbers = [5, 0, 200, 201, 3, 77, 5]
    batch = rows.__getitems__(numbers)
    for place, number in enumerate(numbers):
        alone = rows[number]
        assert all(np.array_equal(batch[name][place], alone[name]) for name in MODEL_INPUTS)


def test_an_epoch_has_every_row_once(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    packed = MaskedRows(*parts, single_probability=0.0)
    in_order = HeldOutRows(*parts, single_probability=0.0)
    seen = sorted(unmasked(packed[number]).tobytes() for number in range(len(packed), 2 * len(packed)))
    assert seen == sorted(unmasked(in_order[row]).tobytes() for row in range(len(in_order)))


def test_a_row_is_masked_anew_in_every_epoch(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    packed = MaskedRows(*parts, single_probability=0.0)
    numbers: dict[bytes, list[int]] = {}
    for number in range(3 * len(packed)):
        numbers.setdefault(unmasked(packed[number]).tobytes(), []).append(number)
    row = max(numbers.values(), key=lambda found: (unmasked(packed[found[0]]) > 0).sum())
    masks = {(packed[number]["labels"] != IGNORE_INDEX).tobytes() for number in row}
    assert len(masks) == len(row) == 3


def test_another_seed_gives_other_samples(parts: tuple[RowPlan, RowDresser, Masking], samples: MaskedRows) -> None:
    other = MaskedRows(*parts, seed=1)
    assert sum(np.array_equal(unmasked(samples[n]), unmasked(other[n])) for n in range(50)) < 5


def test_one_row_of_ten_has_its_sentences_alone(
    parts: tuple[RowPlan, RowDresser, Masking], samples: MaskedRows
) -> None:
    found = singles(samples, 2000, *parts[:2])
    assert abs(np.mean(found) - 0.1) < 3 * np.sqrt(0.1 * 0.9 / len(found))


@pytest.mark.parametrize(("probability", "seen"), [(0.0, {False}), (1.0, {True})])
def test_the_share_of_single_sentences_is_a_setting(
    parts: tuple[RowPlan, RowDresser, Masking], probability: float, seen: set[bool]
) -> None:
    assert set(singles(MaskedRows(*parts, single_probability=probability), 50, *parts[:2])) == seen


def test_every_sample_has_a_label(samples: MaskedRows) -> None:
    assert all((samples[number]["labels"] != IGNORE_INDEX).any() for number in range(len(samples)))


def test_attention_mask_is_zero_exactly_at_the_padding(samples: MaskedRows) -> None:
    for number in range(100):
        sample = samples[number]
        assert np.array_equal(sample["attention_mask"] == 0, unmasked(sample) == 0)


def test_word_numbers_go_with_the_whole_words(samples: MaskedRows) -> None:
    by_words = 0
    for number in range(200):
        sample = samples[number]
        numbers, chosen = sample["word_numbers"], sample["labels"] != IGNORE_INDEX
        if (numbers == NO_WORD).all():
            continue
        by_words += 1
        assert set(numbers[chosen]).isdisjoint(numbers[~chosen])
    assert abs(by_words / 200 - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 200)


# ------------------------------------------------------------------------------------------------------------- held out


def test_held_out_rows_are_masked_the_same_at_every_evaluation(
    parts: tuple[RowPlan, RowDresser, Masking], held_out: HeldOutRows
) -> None:
    other = HeldOutRows(*parts)
    assert all(equal(held_out[row], other[row]) for row in reversed(range(len(held_out))))


def test_held_out_rows_come_in_the_order_of_the_text(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    plan, dresser, _ = parts
    rows = HeldOutRows(*parts, single_probability=0.0)
    for row in range(0, len(rows), 40):
        packed = dresser([plan.locate(row)], np.array([False]))
        assert np.array_equal(unmasked(rows[row]), packed.input_ids[0])


def test_held_out_row_beyond_the_last_is_refused(held_out: HeldOutRows) -> None:
    with pytest.raises(IndexError):
        held_out[len(held_out)]


def test_held_out_masks_are_not_those_of_training(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    plan, dresser, masking = parts
    by_characters = dataclasses.replace(masking, whole_word_probability=0.0)
    kinds = [kind(plan, dresser, by_characters, single_probability=0.0, seed=0) for kind in (MaskedRows, HeldOutRows)]
    chosen = [[rows[number]["labels"] != IGNORE_INDEX for number in range(50)] for rows in kinds]
    # Under the same random numbers full rows are masked in the same places whatever their text is.
    assert not any(np.array_equal(one, two) for one, two in zip(*chosen, strict=True))


# -------------------------------------------------------------------------------------------------------------- batches


def batch_of(rows: MaskedRows, size: int) -> Sample:
    return collate(rows.__getitems__(range(size)))


def test_a_batch_holds_what_the_model_takes_as_int64(samples: MaskedRows) -> None:
    batch = collate(samples.__getitems__([0, 1]))
    names = [*MODEL_INPUTS, "pinyin_labels", "word_numbers"]
    assert {name: (tuple(batch[name].shape), batch[name].dtype) for name in names} == dict.fromkeys(
        names, ((2, LENGTH), torch.int64)
    )
    inputs = model_inputs(batch)
    assert inputs.keys() == {*MODEL_INPUTS, "masked_positions", "masked_per_row"}
    assert torch.equal(inputs["masked_positions"], (batch["labels"] != IGNORE_INDEX).flatten().nonzero().squeeze(1))


def test_the_syllables_before_masking_are_in_the_batch(samples: MaskedRows) -> None:
    batch = collate(samples.__getitems__([0, 1]))
    unmasked = batch["labels"] == IGNORE_INDEX
    assert torch.equal(batch["pinyin_labels"][unmasked], batch["pinyin_ids"][unmasked])
    hidden = (batch["input_ids"] != batch["labels"]) & ~unmasked
    assert (batch["pinyin_labels"][hidden] > 0).any() and not torch.equal(batch["pinyin_labels"], batch["pinyin_ids"])


def test_collating_copies_nothing(samples: MaskedRows) -> None:
    batch = samples.__getitems__([0, 1])
    tensors = collate(batch)
    assert tensors.keys() == batch.keys()
    for name, part in batch.items():
        if isinstance(part, np.ndarray):
            assert tensors[name].data_ptr() == part.ctypes.data
        else:
            assert tensors[name] is part


def test_a_batch_knows_how_many_tokens_are_masked_and_where(samples: MaskedRows) -> None:
    batch = batch_of(samples, 32)
    labelled = batch["labels"] != IGNORE_INDEX
    assert type(batch["masked_tokens"]) is int
    assert batch["masked_tokens"] == int(labelled.sum()) == len(batch["masked_places"])
    assert batch["most_masked"] == int(labelled.sum(dim=1).max())
    assert torch.equal(batch["masked_places"], labelled.flatten().nonzero().flatten())


def test_a_batch_knows_its_padding(samples: MaskedRows) -> None:
    counts = [batch_of(samples, size)["padding"] for size in (1, len(samples))]
    assert all(type(count) is int for count in counts)
    batch = batch_of(samples, len(samples))
    assert batch["padding"] == int((batch["segment_ids"] == 0).sum()) > 0


def test_no_two_rows_of_a_batch_share_a_word(samples: MaskedRows) -> None:
    numbers = batch_of(samples, 64)["word_numbers"]
    words = [set(row[row != NO_WORD].tolist()) for row in numbers]
    assert sum(map(len, words)) == len(set().union(*words))


def test_words_stay_apart_and_together_in_a_batch(samples: MaskedRows) -> None:
    for number, row in enumerate(batch_of(samples, 64)["word_numbers"].numpy()):
        assert np.array_equal(np.diff(row), np.diff(samples[number]["word_numbers"]))


def test_rows_masked_by_characters_have_no_words_in_a_batch(samples: MaskedRows) -> None:
    by_characters = [(samples[number]["word_numbers"] == NO_WORD).all() for number in range(64)]
    assert any(by_characters)
    assert (batch_of(samples, 64)["word_numbers"] == NO_WORD).all(dim=1).tolist() == by_characters


@pytest.mark.parametrize(("strategy", "words"), [("char", False), ("wwm", True), ("ngram", True), ("span", True)])
def test_every_strategy_says_whether_words_are_whole(
    parts: tuple[RowPlan, RowDresser, Masking], strategy: str, words: bool
) -> None:
    plan, dresser, masking = parts
    rows = HeldOutRows(plan, dresser, dataclasses.replace(masking, strategy=strategy))
    batch = batch_of(rows, 32)
    masked = batch["labels"] != IGNORE_INDEX
    assert (batch["word_numbers"] != NO_WORD).all() if words else (batch["word_numbers"] == NO_WORD).all()
    if words:
        assert set(batch["word_numbers"][masked].tolist()).isdisjoint(batch["word_numbers"][~masked].tolist())


# ------------------------------------------------------------------------------------------------------------ the rate


def masked_share(rows: MaskedRows, numbers: range) -> float:
    batch = rows.__getitems__(numbers)
    return batch["masked_tokens"] / (batch["labels"].size - batch["padding"])


def test_the_rate_changes_over_the_run(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    rows = MaskedRows(*parts, rate=LinearRate(0.4, 0.1, 10_000))
    shares = [masked_share(rows, range(start, start + 100)) for start in (0, 4950, 10_000, 10**9)]
    # [CLS] and [SEP] are counted here and never masked: 1 to 8 % below the rate.
    assert shares == pytest.approx([0.4, 0.25, 0.1, 0.1], rel=0.08)


def test_a_constant_rate_is_that_of_the_masking(
    parts: tuple[RowPlan, RowDresser, Masking], samples: MaskedRows
) -> None:
    rows = MaskedRows(*parts, rate=LinearRate(0.15, 0.15, 10))
    assert all(equal(rows[number], samples[number]) for number in (0, 5, 10, 1000))


def test_a_sample_has_the_rate_of_its_number_in_any_batch(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    rows = MaskedRows(*parts, rate=LinearRate(0.9, 0.1, 100))
    batch = rows.__getitems__([90, 10])
    for place, number in enumerate((90, 10)):
        assert np.array_equal(batch["labels"][place], rows[number]["labels"])


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10**12))
def test_a_linear_rate_goes_from_start_to_end(start: float, end: float, samples: int) -> None:
    rate = LinearRate(start, end, samples)
    assert rate(0) == start
    assert rate(samples) == pytest.approx(end)
    assert rate(samples * 3) == rate(samples)
    assert rate(samples // 2) == pytest.approx(start + (end - start) * (samples // 2) / samples)


@pytest.mark.parametrize("wrong", [(-0.1, 0.1, 10), (0.1, 1.1, 10), (0.1, 0.2, 0), (float("nan"), 0.2, 5)])
def test_a_rate_that_is_none_is_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="masking rate"):
        LinearRate(*wrong)


# -------------------------------------------------------------------------------------------------------------- phases

FIRST_OF_SECOND = 300


@pytest.fixture(scope="module")
def phased(corpus: PreparedCorpus, parts: tuple[RowPlan, RowDresser, Masking]) -> PhasedRows:
    """300 samples of short rows, then long ones."""
    plan, dresser, masking = parts
    short = MaskedRows(RowPlan([corpus], 64), dataclasses.replace(dresser, length=64), masking)
    return PhasedRows([(0, short), (FIRST_OF_SECOND, MaskedRows(plan, dresser, masking))])


def test_each_sample_has_the_length_of_its_phase(phased: PhasedRows) -> None:
    numbers = (0, FIRST_OF_SECOND - 1, FIRST_OF_SECOND, 10**9)
    assert [len(phased[number]["input_ids"]) for number in numbers] == [64, 64, LENGTH, LENGTH]
    assert [phased.phase_of(number) for number in numbers] == [0, 0, 1, 1]
    assert phased.__getitems__([300, 301])["input_ids"].shape == (2, LENGTH)


def test_a_run_of_one_phase_is_a_run_without_phases(
    parts: tuple[RowPlan, RowDresser, Masking], samples: MaskedRows
) -> None:
    phased = PhasedRows([(0, MaskedRows(*parts))])
    assert all(equal(phased[number], samples[number]) for number in (0, 1, 500, 10**12))


def test_every_phase_begins_with_an_epoch_of_its_rows(phased: PhasedRows) -> None:
    long = phased.phases[1]
    rows = [long.order.row(number - long.first_sample) for number in range(300, 300 + len(long))]
    assert long.first_sample == FIRST_OF_SECOND
    assert sorted(rows) == list(range(len(long)))


@pytest.mark.parametrize("weights", [(), (1,)])
def test_phases_do_not_repeat_the_order_of_one_another(
    parts: tuple[RowPlan, RowDresser, Masking], weights: tuple[int, ...]
) -> None:
    size = len(parts[0])
    phases = PhasedRows([(number * size, MaskedRows(*parts, weights=weights)) for number in range(3)]).phases
    orders = [[phase.order.row(number) for number in range(size)] for phase in phases]
    for one, two in itertools.combinations(orders, 2):
        # Two independent permutations agree in one place on average (Poisson): ten would be no accident.
        assert sum(a == b for a, b in zip(one, two, strict=True)) < 10


def test_a_row_is_masked_by_the_number_of_the_sample_in_the_run(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    plan, dresser, masking = parts
    masking = dataclasses.replace(masking, strategy="char")
    rows = MaskedRows(plan, dresser, masking, single_probability=0.0)
    phased = PhasedRows([(0, rows), (40, rows)])
    whole = [number for number in range(40, 80) if (phased[number]["segment_ids"] == 1).all()]
    same = [number for number in whole if (rows[number]["segment_ids"] == 1).all()]
    assert same
    # Rows of one segment have their text in the same places, so equal numbers give equal masks.
    assert all(np.array_equal(phased[n]["masked_places"], rows[n]["masked_places"]) for n in same)


def test_a_batch_of_two_phases_is_refused(phased: PhasedRows) -> None:
    with pytest.raises(ValueError, match="samples 299 to 300 are of phases"):
        phased.__getitems__([299, 300])


@pytest.mark.parametrize("starts", [[], [1], [0, 0], [0, 5, 3], [5, 0]])
def test_phases_that_do_not_follow_one_another_are_refused(samples: MaskedRows, starts: list[int]) -> None:
    with pytest.raises(ValueError, match="phases begin with sample 0"):
        PhasedRows([(start, samples) for start in starts])


def test_epochs_of_the_phases_add_up(phased: PhasedRows) -> None:
    short, long = map(len, phased.phases)
    assert phased.epochs(0) == 0
    assert phased.epochs(300) == pytest.approx(300 / short)
    assert phased.epochs(1000) == pytest.approx(300 / short + 700 / long)


# ------------------------------------------------------------------------------------------------- shares of the ranks


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_share_the_held_out_rows_and_stay_in_step(held_out: HeldOutRows, ranks: int) -> None:
    shares = [held_out.batches(rank, ranks, batch_size=4, most=23) for rank in range(ranks)]
    assert len({tuple(map(len, share)) for share in shares}) == 1
    rows = [number for share in shares for batch in share for number in batch if number != FILLER_ROW]
    assert sorted(rows) == held_out.chosen(23)


def test_no_more_held_out_rows_are_read_than_there_are(held_out: HeldOutRows) -> None:
    (rows,) = zip(*held_out.batches(0, 1, batch_size=1, most=10**9), strict=True)
    assert rows == tuple(range(len(held_out)))


def test_a_filler_row_counts_for_nothing(held_out: HeldOutRows) -> None:
    filler, row = held_out[FILLER_ROW], held_out[0]
    assert (filler["labels"] == IGNORE_INDEX).all()
    assert filler["masked_tokens"] == len(filler["masked_places"]) == filler["most_masked"] == 0
    assert np.array_equal(filler["input_ids"], row["input_ids"])
