"""The benchmark of pretraining: that it measures all it says, and that the feeds hold what is counted."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import pretrain
from benchmarks.data_prep import SAMPLE, read_texts
from benchmarks.feeds import (
    FeedSettings,
    Places,
    PreparedText,
    count_places,
    our_feed,
    packed_feed,
    padded_batches,
    padded_feed,
    tokenized,
)
from benchmarks.pretrain import OURS, PACKED, PADDED, VARIANTS, Cell, Round
from chinesebert.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKEN_IDS

CLS_ID, SEP_ID, PAD_ID, MASK_ID = (SPECIAL_TOKEN_IDS[name] for name in (CLS, SEP, PAD, MASK))
TINY = ["--sizes", "tiny", "--lengths", "16", "32", "--places", "64", "--rounds", "2", "--round_seconds", "0.01"]
TINY += ["--characters", "4000", "--workers", "0", "--threads", "1", "--device", "cpu"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The program sets the number of threads, and the next tests want theirs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> PreparedText:
    return PreparedText(tmp_path_factory.mktemp("text") / "corpus", read_texts([str(SAMPLE)], 4_000))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny run writes."""
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "LOADER_SECONDS", 0.01)
        pretrain.main([*TINY, "--json", str(path)])
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_variant_is_measured_at_every_length(figures: dict[str, Any]) -> None:
    assert [cell["length"] for cell in figures["cells"]] == [16, 32]
    for cell in figures["cells"]:
        assert list(cell["variants"]) == list(VARIANTS)
        assert cell["rounds"] == 2 and cell["steps_per_round"] >= 1 and not cell["note"]
        for measured in cell["variants"].values():
            assert len(measured["tokens_per_second_by_round"]) == 2
            assert 0 <= measured["waiting_share"] < 1
            assert 0 < measured["masked_share"] < measured["text_share"]
            assert 0 <= measured["padding_share"] <= 1.0001 - measured["text_share"]  # both are rounded
            assert measured["loader_ratio"] * measured["tokens_per_second"] == pytest.approx(
                measured["loader_tokens_per_second"], rel=1e-3
            )


def test_ratios_are_within_their_range_and_tiny_models_have_no_targets(figures: dict[str, Any]) -> None:
    for cell in figures["cells"]:
        assert [ratio["of"] for ratio in cell["ratios"]] == [PACKED, PADDED, "loader"]
        assert all(ratio["of_medians"] > 0 and ratio["target"] is ratio["met"] is None for ratio in cell["ratios"])
        for ratio in cell["ratios"][:2]:
            assert 0 < ratio["lowest"] <= ratio["paired"] <= ratio["highest"]


def test_hardware_versions_settings_and_text_are_recorded(figures: dict[str, Any]) -> None:
    assert {"cpu", "cores", "threads", "device"} <= figures["hardware"].keys()
    assert {"date", "python", "torch", "transformers"} <= figures["versions"].keys()
    assert figures["settings"]["input"] == [SAMPLE.name] and figures["settings"]["workers"] == 0
    assert figures["text"]["tokens"] > 3_000


@pytest.mark.parametrize("feed", [padded_feed, packed_feed, our_feed])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_feed_masks_and_stays_within_the_places_of_a_batch(text: PreparedText, feed: Any, workers: int) -> None:
    settings = FeedSettings(length=32, places=128, workers=workers)
    total = Places()
    for batch in itertools.islice(feed(text, settings), 20):
        assert batch["input_ids"].shape[1] <= 32
        assert batch["input_ids"].numel() <= 128
        total += count_places(batch)
    assert 0.1 < total.masked / total.text < 0.2


@pytest.mark.parametrize("feed", [packed_feed, our_feed])
def test_packed_batches_have_all_their_places(text: PreparedText, feed: Any) -> None:
    settings = FeedSettings(length=32, places=128, workers=0)
    assert all(batch["input_ids"].shape == (4, 32) for batch in itertools.islice(feed(text, settings), 10))


def test_only_sentences_are_padded_much(text: PreparedText) -> None:
    shares = {}
    for name, variant in VARIANTS.items():
        batches = itertools.islice(variant.feed(text, FeedSettings(length=64, places=512, workers=0)), 10)
        total = sum(map(count_places, batches), Places())
        shares[name] = total.padding / total.places
    assert shares[PACKED] == 0 <= shares[OURS] < 0.05 < shares[PADDED]


def test_the_feeds_of_the_baselines_hold_the_text_of_the_corpus(text: PreparedText) -> None:
    tokens = text.corpus.manifest.tokens
    assert sum(map(len, text.sentences)) == sum(map(len, text.documents)) == tokens
    batches = list(itertools.islice(padded_feed(text, FeedSettings(256, 256, workers=0)), 400))
    longest = max(map(len, text.sentences))
    assert longest <= 254  # none is cut, so that one epoch is the whole text
    seen = itertools.accumulate(count_places(batch).text for batch in batches)
    assert tokens in seen


def test_tokenized_segments_have_special_tokens_around_each() -> None:
    assert tokenized([[7, 8], [9]]) == {
        "input_ids": [CLS_ID, 7, 8, SEP_ID, CLS_ID, 9, SEP_ID],
        "special_tokens_mask": [1, 0, 0, 1, 1, 0, 1],
    }


def test_what_stood_at_masked_places_is_counted() -> None:
    # The last but one is a token of text that was replaced by [SEP], as transformers' collator may.
    ids = torch.tensor([[CLS_ID, 7, MASK_ID, SEP_ID, SEP_ID, PAD_ID]])
    labels = torch.tensor([[-100, -100, 8, 9, -100, -100]])
    assert count_places({"input_ids": ids, "labels": labels}) == Places(places=6, text=3, padding=1, masked=2)


@given(st.lists(st.integers(3, 30), min_size=1, max_size=40), st.integers(8, 100))
def test_padded_batches_fit_and_come_by_every_row_once_an_epoch(lengths: list[int], places: int) -> None:
    batches = itertools.takewhile(bool, padded_batches(lengths, places))
    seen: list[int] = []
    while len(seen) < len(lengths):
        batch = next(batches)
        assert len(batch) == 1 or len(batch) * max(lengths[number] for number in batch) <= places
        seen += batch
    assert sorted(seen[: len(lengths)]) == list(range(len(lengths)))


def cell_of(speeds: dict[str, list[int]]) -> Cell:
    """A base cell whose rounds trained so many tokens in a second."""
    cell = Cell("base", 128, "float32", 1024, steps_per_round=1)
    for name, tokens in speeds.items():
        cell.rounds[name] = [Round(1.0, 0.0, Places(1024, one, 0), 1.0, Places(1024, 4 * one, 0)) for one in tokens]
    return cell


def test_targets_are_held_against_the_ratio_of_the_medians_on_a_cpu() -> None:
    cell = cell_of({PADDED: [10, 12, 11], PACKED: [25, 25, 40], OURS: [30, 31, 20]})
    packed, padded, loader = cell.figures("cpu")["ratios"]
    assert packed["of_medians"] == pytest.approx(30 / 25) and packed["met"] is True
    assert (packed["lowest"], packed["highest"]) == (0.5, 31 / 25)
    assert padded["of_medians"] == pytest.approx(30 / 11) and padded["met"] is True
    assert loader["of_medians"] == pytest.approx(4) and loader["met"] is False
    assert [ratio["target"] for ratio in cell.figures("cuda")["ratios"]] == [None, None, pretrain.LOADER_TARGET]


def test_an_interrupted_run_writes_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrain, "measure", interrupt)
    path = tmp_path / "figures.json"
    pretrain.main([*TINY, "--json", str(path)])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["interrupted"] is True and written["cells"][0]["variants"] == {}
    assert "median tokens of a sentence" in capsys.readouterr().out


def test_what_does_not_fit_a_device_is_written_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory\nlong trace")

    monkeypatch.setattr(pretrain, "measure", refuse)
    pretrain.main(TINY)
    assert "tiny, float32, length 16: CUDA out of memory\n" in capsys.readouterr().out


def test_lengths_past_the_positions_of_a_size_are_passed_over() -> None:
    args = pretrain.parse(["--device", "cpu"])
    cells = [(cell.size, cell.length) for cell in pretrain.make_cells(args)]
    assert cells == [("demo", 128), ("base", 128), ("base", 512)]
    with pytest.raises(SystemExit):
        pretrain.parse(["--sizes", "demo", "--lengths", "512"])


class Steps:
    """A contender whose steps take so many seconds."""

    def __init__(self, *seconds: float) -> None:
        self.left = list(seconds)

    def train(self, steps: int) -> tuple[float, float, Places]:
        return sum(self.left.pop(0) for _ in range(steps)), 0.0, Places()


def test_a_long_first_step_is_not_repeated_to_warm_up() -> None:
    assert pretrain.warm_up(Steps(9.0), long=2.0) == 9.0  # type: ignore[arg-type]
    assert pretrain.warm_up(Steps(1.0, 0.3), long=2.0) == 0.3  # type: ignore[arg-type]


def test_short_steps_come_in_rounds_of_many() -> None:
    assert pretrain.steps_in(2.0, 0.3) == 7
    assert pretrain.steps_in(2.0, 5.0) == 1
