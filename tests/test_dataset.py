"""The samples of a run: functions of seed and number alone, whoever asks for them, and the batches made of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from chinesebert.corpus.dataset import (
    FILLER_ROW,
    MODEL_INPUTS,
    HeldOutRows,
    MaskedRows,
    collate_for_evaluation,
    collate_for_training,
)
from chinesebert.corpus.order import RankBatches
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import IGNORE_INDEX, NO_WORD, Masking
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
        single, packed = (dress(*place).segment_ids for dress in (dresser.single, dresser.packed))
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
        DataLoader(samples, batch_sampler=batches, collate_fn=collate_for_training, num_workers=workers)
        for workers in (0, 2)
    ]
    for one, two in zip(*loaders, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in MODEL_INPUTS)


def test_ranks_together_see_the_samples_of_one_rank(samples: MaskedRows) -> None:
    alone = next(iter(RankBatches(0, 1, 8, 8)))
    shared = [number for rank in range(2) for number in next(iter(RankBatches(rank, 2, 4, 8)))]
    assert all(equal(samples[one], samples[two]) for one, two in zip(alone, shared, strict=True))


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
        assert np.array_equal(unmasked(rows[row]), dresser.packed(*plan.locate(row)).input_ids)


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


@pytest.mark.parametrize("collate", [collate_for_training, collate_for_evaluation])
def test_a_batch_stacks_its_samples(samples: MaskedRows, collate: Any) -> None:
    chosen = [samples[number] for number in range(5)]
    batch = collate(chosen)
    for name in MODEL_INPUTS:
        assert batch[name].dtype == torch.int64
        assert np.array_equal(batch[name].numpy(), [sample[name] for sample in chosen])


def test_a_training_batch_holds_what_the_model_takes(samples: MaskedRows) -> None:
    batch = collate_for_training([samples[0], samples[1]])
    names = {"input_ids", "pinyin_ids", "attention_mask", "position_ids", "segment_ids", "labels"}
    assert {name: tuple(array.shape) for name, array in batch.items()} == dict.fromkeys(names, (2, LENGTH))


def test_an_evaluation_batch_has_the_words_too(samples: MaskedRows) -> None:
    chosen = [samples[0], samples[1]]
    extra = collate_for_evaluation(chosen).keys() - collate_for_training(chosen).keys()
    assert extra == {"word_numbers"}
    assert collate_for_evaluation(chosen)["word_numbers"].shape == (2, LENGTH)


def test_no_two_rows_of_a_batch_share_a_word(samples: MaskedRows) -> None:
    numbers = collate_for_evaluation([samples[number] for number in range(64)])["word_numbers"]
    words = [set(row[row != NO_WORD].tolist()) for row in numbers]
    assert sum(map(len, words)) == len(set().union(*words))


def test_words_stay_apart_and_together_in_a_batch(samples: MaskedRows) -> None:
    chosen = [samples[number] for number in range(64)]
    for row, sample in zip(collate_for_evaluation(chosen)["word_numbers"].numpy(), chosen, strict=True):
        assert np.array_equal(np.diff(row), np.diff(sample["word_numbers"]))


def test_rows_masked_by_characters_have_no_words_in_a_batch(samples: MaskedRows) -> None:
    chosen = [samples[number] for number in range(64)]
    by_characters = [(sample["word_numbers"] == NO_WORD).all() for sample in chosen]
    assert any(by_characters)
    batch = collate_for_evaluation(chosen)["word_numbers"]
    assert (batch == NO_WORD).all(dim=1).tolist() == by_characters


# ------------------------------------------------------------------------------------------------- shares of the ranks


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_share_the_held_out_rows_and_stay_in_step(held_out: HeldOutRows, ranks: int) -> None:
    shares = [held_out.batches(rank, ranks, batch_size=4, most=23) for rank in range(ranks)]
    assert len({tuple(map(len, share)) for share in shares}) == 1
    rows = [number for share in shares for batch in share for number in batch if number != FILLER_ROW]
    assert sorted(rows) == list(range(23))


def test_no_more_held_out_rows_are_read_than_there_are(held_out: HeldOutRows) -> None:
    (rows,) = zip(*held_out.batches(0, 1, batch_size=1, most=10**9), strict=True)
    assert rows == tuple(range(len(held_out)))


def test_a_filler_row_counts_for_nothing(held_out: HeldOutRows) -> None:
    filler, row = held_out[FILLER_ROW], held_out[0]
    assert (filler["labels"] == IGNORE_INDEX).all()
    assert np.array_equal(filler["input_ids"], row["input_ids"])
