"""The benchmark of the model: that it measures all it says, of models that are the same function."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import memory, model, timing
from benchmarks.straightforward import StraightforwardChineseBert
from benchmarks.variants import DTYPES, INFERENCE, MODES, TRAINING, VARIANTS, build_ours, make_config, variants_in
from chinesebert.configuration_chinesebert import ChineseBertConfig

LENGTHS = (8, 16)
TINY = [
    "--size",
    "tiny",
    "--rounds",
    "2",
    "--batch_tokens",
    "32",
    "--characters",
    "5000",
    "--lengths",
    *map(str, LENGTHS),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny matrices are not worth a second thread; the program sets the number, and the next tests want theirs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny run of all sections writes; memory is measured in this process, which starts no others for it."""
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "measure_in_new_process", memory.measure)
        model.main([*TINY, "--device", "cpu", "--json", str(path)])
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_mode_type_and_length_is_measured(figures: dict[str, Any]) -> None:
    wanted = {(mode, dtype, length) for mode in MODES for dtype in DTYPES for length in LENGTHS}
    assert {(cell["mode"], cell["dtype"], cell["length"]) for cell in figures["cells"]} == wanted
    assert not any(cell["note"] for cell in figures["cells"])


def test_every_variant_has_its_speed_and_memory(figures: dict[str, Any]) -> None:
    for cell in figures["cells"]:
        assert list(cell["variants"]) == variants_in(cell["mode"])
        for measured in cell["variants"].values():
            assert len(measured["seconds"]) == cell["rounds"] == 2
            assert measured["tokens_per_second"] > 0
            assert measured["peak_memory_mib"] is None or measured["peak_memory_mib"] > 0


def test_ratios_are_positive_and_targets_are_for_base_size(figures: dict[str, Any]) -> None:
    pairs = {TRAINING: {("ours", "bert"), ("ours", "straightforward")}}
    pairs[INFERENCE] = pairs[TRAINING] | {("ours_folded", "bert"), ("ours_folded", "straightforward")}
    for cell in figures["cells"]:
        assert {(ratio["variant"], ratio["baseline"]) for ratio in cell["ratios"]} == pairs[cell["mode"]]
        for ratio in cell["ratios"]:
            assert 0 < ratio["lowest"] <= ratio["paired"] <= ratio["highest"]
            assert ratio["of_medians"] > 0
            assert ratio["target"] is ratio["met"] is None


def test_hardware_versions_and_settings_are_recorded(figures: dict[str, Any]) -> None:
    assert {"cpu", "cores", "threads", "device"} <= figures["hardware"].keys()
    assert {"date", "python", "torch", "transformers"} <= figures["versions"].keys()
    assert figures["settings"]["lengths"] == list(LENGTHS)
    assert figures["model"]["vocab_size"] == 22_528


def test_the_models_of_the_benchmark_are_one_function(figures: dict[str, Any]) -> None:
    equivalence = figures["equivalence"]
    assert equivalence["largest_logit"] > 0.1
    assert equivalence["straightforward_and_ours"] < 1e-5
    assert equivalence["folded_and_ours"] < 1e-5


def test_the_tokenizer_agrees_with_the_chain_it_is_timed_against(figures: dict[str, Any]) -> None:
    tokenizer = figures["tokenizer"]
    assert tokenizer["ids_equal"] and tokenizer["syllables_equal"]
    assert tokenizer["ratio"]["of_medians"] > 0


def shared_models(**changes: Any) -> tuple[Any, StraightforwardChineseBert, dict[str, torch.Tensor]]:
    """Our model and the straightforward one with the same weights, and inputs for both, letters as ``letter_ids``."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "num_syllables": 50, "hidden_size": 32, "num_attention_heads": 4}
    sizes |= {"num_hidden_layers": 2, "intermediate_size": 64, "initializer_range": 0.2}  # ten times the usual
    config = ChineseBertConfig(**sizes | changes, attn_implementation="sdpa")
    ours, paper = build_ours(config).eval(), StraightforwardChineseBert(config).eval()
    paper.load_weights(ours.state_dict())
    input_ids, pinyin_ids = torch.randint(300, (3, 20)), torch.randint(51, (3, 20))
    letter_ids = ours.bert.embeddings.pinyin_embeddings.letter_ids[pinyin_ids].long()
    return ours, paper, {"input_ids": input_ids, "pinyin_ids": pinyin_ids, "letter_ids": letter_ids}


def test_the_straightforward_model_is_ours_with_padding_and_segments() -> None:
    ours, paper, ids = shared_models(type_vocab_size=2)
    mask = torch.ones(3, 20, dtype=torch.long)
    mask[1, 12:] = 0
    others = {"attention_mask": mask, "token_type_ids": (torch.arange(20) > 9).long().expand(3, 20)}
    with torch.no_grad():
        expected = paper(ids["input_ids"], ids["letter_ids"], **others).logits
        logits = ours(ids["input_ids"], ids["pinyin_ids"], **others).logits
    torch.testing.assert_close(logits[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=1e-5)


def test_the_straightforward_model_has_our_loss_and_gradients() -> None:
    ours, paper, ids = shared_models(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    labels = torch.where(torch.rand(3, 20) < 0.3, ids["input_ids"], -100)
    expected = paper.train()(ids["input_ids"], ids["letter_ids"], labels=labels).loss
    loss = ours.train()(ids["input_ids"], ids["pinyin_ids"], labels=labels).loss
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    loss.backward()
    expected.backward()
    gradients = dict(paper.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, atol=1e-5, rtol=1e-4, msg=name)


def test_a_weight_that_is_missing_is_refused() -> None:
    ours, paper, _ = shared_models()
    state = ours.state_dict()
    del state["bert.embeddings.map_fc.weight"]
    with pytest.raises(RuntimeError, match="map_fc"):
        paper.load_weights(state)


def test_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    run = model.start([*TINY, "--device", "cpu"])
    path = tmp_path / "batch.pt"
    run.sample.batch(2, 16, number=0).save(path)
    task = memory.MemoryTask("ours_folded", INFERENCE, "float32", "tiny", [str(path)], "cpu", threads=1)
    measured = memory.measure_in_new_process(task)
    assert len(measured.peaks) == 1
    if measured.peaks[0] is not None and measured.before is not None:
        assert measured.before < measured.peaks[0]


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    task = memory.MemoryTask("bert", INFERENCE, "float32", "tiny", [str(tmp_path / "none.pt")], "cpu", threads=1)
    with pytest.raises(RuntimeError, match=r"none\.pt"):
        memory.measure_in_new_process(task)


def test_variants_take_turns_in_changing_order_on_the_same_input() -> None:
    calls: list[tuple[str, int]] = []
    recorded: dict[str, list[float]] = {}
    runs = {name: lambda given, name=name: calls.append((name, given)) for name in "abc"}
    timing.measure_in_turn(recorded, runs, lambda number: number, torch.device("cpu"), rounds=3, warm_up=1)
    assert [name for name, _ in calls[3:]] == [*"abc", *"cba", *"bca"]
    assert [given for _, given in calls] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert {name: len(times) for name, times in recorded.items()} == {"a": 3, "b": 3, "c": 3}


def test_an_interrupted_run_writes_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(run: model.Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(model.SECTIONS, "speed", interrupt)
    path = tmp_path / "figures.json"
    model.main([*TINY, "--sections", "equivalence", "speed", "--json", str(path)])
    assert "folded and ours" in capsys.readouterr().out
    assert json.loads(path.read_text(encoding="utf-8"))["interrupted"] is True


def test_what_a_device_cannot_do_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, mode: str, dtype: str, *_: object) -> None:
        raise RuntimeError(f"{dtype} is not implemented\nlong trace")

    monkeypatch.setattr(model, "make_step", refuse)
    run = model.start([*TINY, "--modes", INFERENCE, "--dtypes", "bfloat16"])
    model.measure_speed(run)
    assert [cell.note for cell in run.cells] == ["speed: bfloat16 is not implemented; "] * 2
    assert run.figures()["cells"][0]["ratios"] == []


def test_targets_are_held_against_the_ratio_of_the_medians() -> None:
    cell = timing.Cell(TRAINING, "float32", 8, 2)
    cell.seconds = {"bert": [1.0, 1.2, 1.1], "straightforward": [1.0, 1.0, 1.0], "ours": [0.9, 1.0, 0.8]}
    run = model.start(["--size", "base", "--modes", TRAINING])
    run.cells = [cell]
    first, second = run.figures()["cells"][0]["ratios"]
    assert first["of_medians"] == pytest.approx(1.1 / 0.9) and first["met"] is True
    assert second["of_medians"] == pytest.approx(1 / 0.9) and second["met"] is False


def test_lengths_past_the_positions_are_refused() -> None:
    with pytest.raises(SystemExit):
        model.start(["--lengths", "513"])


@pytest.mark.parametrize("name", VARIANTS)
def test_all_variants_have_the_same_sizes(name: str) -> None:
    config = make_config("tiny")
    built = VARIANTS[name].build(config).config
    for size in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "hidden_dropout_prob"):
        assert getattr(built, size) == getattr(config, size)
    assert built._attn_implementation == "sdpa"
