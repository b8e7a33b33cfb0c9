"""The batches of one step after another, and what all ranks have in them."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from chinesebert.corpus.dataset import MaskedRows, collate, model_inputs
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import Masking
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.batches import StepReader, build_loader, pack, unpack
from chinesebert.training.flops import BatchCounts


def micro_batches() -> Iterator[dict[str, Any]]:
    """Numbered from 1, without end."""
    number = 0
    while True:
        number += 1
        yield {"number": number}


def count(batch: dict[str, Any]) -> BatchCounts:
    """As many masked tokens as its number, ten times as many of text."""
    number = batch["number"]
    return BatchCounts(100, 0, 10 * number, number, 100, 1, 1)


class Ranks:
    """Adds up as two ranks would that read the same, and remembers how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, numbers: list[float]) -> list[float]:
        self.calls += 1
        return [2 * number for number in numbers]


@pytest.mark.parametrize("ahead", [False, True])
def test_steps_follow_one_another_read_ahead_or_not(ahead: bool) -> None:
    reader = StepReader(micro_batches(), count, Ranks())
    found = []
    for size in (2, 1, 3):
        if ahead:
            reader.read_ahead(size)
        step = reader.read(size)
        found.append(([batch["number"] for batch in step.micro_batches], step.masked, step.text_tokens))
    assert found == [([1, 2], 6, 60), ([3], 6, 60), ([4, 5, 6], 30, 300)]


def test_a_step_that_was_read_ahead_begins_without_asking_other_ranks() -> None:
    ranks = Ranks()
    reader = StepReader(micro_batches(), count, ranks)
    reader.read(1)
    reader.read_ahead(2)
    asked = ranks.calls
    assert len(reader.read(2).counts) == 2
    assert ranks.calls == asked == 2


@pytest.fixture(scope="module")
def rows(corpus: PreparedCorpus, small_tokenizer: ChineseBertTokenizer) -> MaskedRows:
    """Samples of 64 tokens."""
    tokenizer = small_tokenizer
    return MaskedRows(
        RowPlan([corpus], 64),
        RowDresser(64, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
        Masking(tokenizer.mask_token_id, tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids()),
    )


def with_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """As in training, with a tensor of another type, such as flash attention takes."""
    tensors = collate(batch)
    return tensors | {"inputs": model_inputs(tensors) | {"bounds": torch.arange(3, dtype=torch.int32)}}


def assert_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_equal(value, two[name])
        elif isinstance(value, torch.Tensor):
            assert value.dtype == two[name].dtype
            assert torch.equal(value, two[name])
        else:
            assert value == two[name]


def test_workers_hand_on_what_one_process_makes(rows: MaskedRows) -> None:
    numbers = [list(range(first, first + 4)) for first in range(0, 24, 4)]
    alone = [with_inputs(rows.__getitems__(each)) for each in numbers]
    workers = list(build_loader(rows, numbers, with_inputs, 2, None, False))
    assert len(alone) == len(workers) == 6
    for one, two in zip(alone, workers, strict=True):
        assert_equal(one, two)


def test_a_batch_is_packed_into_one_tensor_and_comes_out_as_it_was(rows: MaskedRows) -> None:
    batch = with_inputs(rows.__getitems__(range(4)))
    packed = pack(batch)
    assert packed.numbers.numel() == sum(
        part.numel() for part in batch.values() if isinstance(part, torch.Tensor)
    )  # what the model takes of them is not there twice
    again = unpack(packed)
    assert_equal(batch, again)
    assert again["inputs"]["labels"].data_ptr() == again["labels"].data_ptr()
    storages = {part.untyped_storage().data_ptr() for part in again.values() if isinstance(part, torch.Tensor)}
    assert len(storages) == 1


def test_a_process_that_asks_for_no_worker_gets_one(rows: MaskedRows) -> None:
    """What reads mapped files may be ended by the kernel, and must not be the rank itself."""
    (where,) = build_loader(
        rows, [[0]], lambda batch: {"process": os.getpid(), "labels": torch.zeros(1).long()}, 0, None, False
    )
    assert where["process"] != os.getpid()
