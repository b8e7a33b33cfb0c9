"""Counting a step's work, the peaks of devices, and the figures of a logging interval."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.masking import IGNORE_INDEX
from chinesebert.training.device_peak import DevicePeak, device_peak, listed_peak, measured_peak
from chinesebert.training.flops import BatchCounts, count_batch, expected_counts, forward_flops, training_flops
from chinesebert.training.throughput import Meter, memory_in_use
from tests.pretraining_runs import Settings, entries
from tests.rank_server import RankServer

CLS, SEP, PAD = 2, 3, 0
SIZES: dict[str, Any] = {
    "num_hidden_layers": 3,
    "hidden_size": 64,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "vocab_size": 500,
    "num_syllables": 90,
    "max_position_embeddings": 64,
}


def batch_of(rows: int, length: int, masked: int) -> dict[str, torch.Tensor]:
    """Rows of one segment each without padding, with some places of each row masked."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 500, (rows, length), generator=generator)
    ids[:, 0], ids[:, -1] = CLS, SEP
    labels = torch.full((rows, length), IGNORE_INDEX)
    labels[:, 1 : masked + 1] = ids[:, 1 : masked + 1]
    return {
        "input_ids": ids,
        "pinyin_ids": torch.randint(0, 91, (rows, length), generator=generator),
        "segment_ids": torch.ones(rows, length, dtype=torch.long),
        "labels": labels,
    }


@pytest.mark.parametrize("changes", [{}, {"glyph_trainable": True}, {"pronunciation_loss_weight": 0.5}])
@pytest.mark.parametrize(("rows", "length", "masked"), [(4, 32, 5), (2, 64, 1), (7, 16, 14)])
def test_the_count_is_that_of_the_model_as_it_runs(
    rows: int, length: int, masked: int, changes: dict[str, Any]
) -> None:
    config = ChineseBertConfig(**SIZES, **changes)
    model, batch = ChineseBertForMaskedLM(config).train(), batch_of(rows, length, masked)
    heard = {"pinyin_labels": torch.full_like(batch["labels"], 7)} if changes.get("pronunciation_loss_weight") else {}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # it knows no fused attention on CPUs
        model(**batch, **heard).loss.backward()
    counted = training_flops(config, count_batch(batch, (CLS, SEP), IGNORE_INDEX))
    counts = counter.get_flop_counts()["Global"]
    convolutions = sum(flops for operation, flops in counts.items() if "convolution" in str(operation))  # left out
    assert counted == pytest.approx(counter.get_total_flops() - convolutions, rel=0.02)


def test_a_batch_is_counted_by_hand() -> None:
    """Two rows: segments of 3 and 4 with one place of padding; one of 5 with three."""
    batch = {
        "input_ids": torch.tensor([[CLS, 7, SEP, CLS, 8, 7, SEP, PAD], [CLS, 9, 9, 9, SEP, PAD, PAD, PAD]]),
        "pinyin_ids": torch.tensor([[0, 4, 0, 0, 5, 4, 0, 0], [0, 0, 6, 6, 0, 0, 0, 0]]),
        "segment_ids": torch.tensor([[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 0, 0, 0]]),
        "labels": torch.tensor([[-100, 11, -100, -100, -100, -100, -100, -100], [-100, -100, 9, 9] + [-100] * 4]),
    }
    counts = count_batch(batch, (CLS, SEP), IGNORE_INDEX)
    assert counts == BatchCounts(
        places=16,
        padding=4,
        text_tokens=6,
        masked=3,
        pairs=9 + 16 + 25,
        distinct_tokens=6,
        distinct_syllables=4,
    )
    assert counts.tokens == 12


def test_a_batch_of_padding_costs_no_more_than_its_distinct_ids() -> None:
    empty = {name: torch.zeros(2, 4, dtype=torch.long) for name in ("input_ids", "pinyin_ids", "segment_ids")}
    empty["labels"] = torch.full((2, 4), IGNORE_INDEX)
    counts = count_batch(empty, (CLS, SEP), IGNORE_INDEX)
    assert (counts.tokens, counts.pairs, counts.masked) == (0, 0, 0)
    parts = forward_flops(ChineseBertConfig(**SIZES), counts)
    assert {name for name, flops in parts.items() if flops} == {"fusion"}


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 64), length=st.integers(8, 64), masking=st.floats(0, 1))
def test_more_masked_places_never_cost_less(rows: int, length: int, masking: float) -> None:
    config = ChineseBertConfig(**SIZES)
    batch = expected_counts(config, rows, length, masking)
    more = expected_counts(config, rows, length, min(1.0, masking + 0.1))
    assert training_flops(config, batch) <= training_flops(config, more)
    assert batch.masked <= batch.text_tokens <= batch.tokens == rows * length


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A800-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.4),
        ("NVIDIA H20", 148),
        ("NVIDIA B200", 2250),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", 181),
        ("NVIDIA L4", 121),
        ("NVIDIA A40", 149.7),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 3090", 71),
        ("NVIDIA RTX A6000", 154.8),
    ],
)
def test_the_peak_of_a_device_goes_by_its_name(name: str, tera: float) -> None:
    assert listed_peak(name) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    "name", ["Tesla T4", "NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GB200", "cpu", ""]
)
def test_a_device_whose_peak_is_not_known_is_not_guessed(name: str) -> None:
    assert listed_peak(name) is None


def test_the_peak_of_a_cpu_is_measured() -> None:
    peak = device_peak(torch.device("cpu"), torch.float32)
    assert peak.flops > 1e8
    assert "measured" in peak.source
    assert measured_peak(torch.device("cpu"), torch.float32, seconds=0) > 1e8


def test_all_ranks_have_the_same_peak(rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path) -> None:
    """The log is that of the first rank. What it measures of the work for a token does not hang on the time it took."""
    recipe, work = tiny_recipe | {"max_steps": 2}, {}
    for name, peaks in (("same", [2e11, 2e11]), ("first is slow", [1e11, 3e11]), ("first is fast", [3e11, 1e11])):
        output = tmp_path / name
        rank_server.run(recipe | {"output_dir": str(output)}, before="tests.faults:set_peaks", options=[peaks])
        work[name] = [entry["mfu"] / entry["tokens_per_second"] for entry in entries(output)]
    assert work["first is slow"] == pytest.approx(work["same"])
    assert work["first is fast"] == pytest.approx(work["same"])


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def counts(text_tokens: float = 90, padding: float = 0) -> BatchCounts:
    """100 places."""
    return BatchCounts(100, padding, text_tokens, 10, 1000, 50, 20)


def meter(clock: Clock, peak: float | None = 1e9, ranks: int = 1) -> Meter:
    given = None if peak is None else DevicePeak(peak, "given")
    return Meter(ChineseBertConfig(**SIZES), torch.device("cpu"), given, ranks, clock)


def test_figures_of_an_interval_by_hand() -> None:
    clock = Clock()
    measured = meter(clock)
    for _ in range(2):
        with measured.waiting():
            clock.now += 0.5
        measured.add(counts(padding=5))
        clock.now += 1.5
    with measured.paused():
        clock.now += 1000
    figures = measured.figures()
    assert figures["tokens_per_second"] == pytest.approx(180 / 4)
    assert figures["tokens_per_second_per_device"] == figures["tokens_per_second"]
    assert figures["data_wait"] == pytest.approx(0.25)
    assert figures["padding"] == pytest.approx(0.05)
    flops = 2 * training_flops(ChineseBertConfig(**SIZES), counts(padding=5))
    assert figures["mfu"] == pytest.approx(flops / 4 / 1e9)
    assert figures["memory_gb"] > 0


def test_figures_are_those_of_all_ranks_together() -> None:
    clock = Clock()
    measured = meter(clock, ranks=2)
    measured.add(counts())
    clock.now += 2
    alone = meter(clock)
    other = [60.0, 100.0, 20.0, 0.0, 1.0, 2.0]
    figures = measured.figures(lambda sums: [a + b for a, b in zip(sums, other, strict=True)])
    assert figures["tokens_per_second"] == pytest.approx((90 + 60) / 2)
    assert figures["tokens_per_second_per_device"] == pytest.approx((90 + 60) / 4)
    assert figures["padding"] == pytest.approx(0.1)
    assert figures["data_wait"] == pytest.approx(0.25)
    assert alone.figures()["tokens_per_second"] == 0


def test_each_interval_begins_anew() -> None:
    clock = Clock()
    measured = meter(clock)
    measured.add(counts())
    clock.now += 1
    measured.figures()
    measured.add(counts(text_tokens=30))
    clock.now += 1
    assert measured.figures()["tokens_per_second"] == pytest.approx(30)


def test_waiting_that_fails_counts_too() -> None:
    clock = Clock()
    measured = meter(clock)
    with pytest.raises(StopIteration), measured.waiting():
        clock.now += 1
        raise StopIteration
    clock.now += 1
    assert measured.figures()["data_wait"] == pytest.approx(0.5)


def test_without_a_peak_there_is_no_utilisation() -> None:
    assert "mfu" not in meter(Clock(), peak=None).figures()


def test_memory_of_a_cpu_process_is_its_resident_set() -> None:
    assert 50e6 < memory_in_use(torch.device("cpu")) < 1e12
