"""A whole run with the real launcher on two CPU ranks, what it leaves, and going on after a stop."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from chinesebert import ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.training.run_log import log_path, read_log
from launch.report import main as report
from tests.conftest import ROOT
from tests.pretraining_runs import PROGRAM, Settings, assert_same_bits, error_of, launch, losses, stage
from tests.rank_server import RankServer

STEPS = 6


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Settings, corpora_directory: Path) -> Settings:
    """With evaluation, a progress bar and TensorBoard; without an output_dir."""
    return tiny_recipe | {
        "eval_data": [str(corpora_directory / "heldout")],
        "global_batch_size": 16,
        "per_device_eval_batch_size": 8,
        "eval_max_rows": 24,
        "max_steps": STEPS,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "save_steps": 3,
        "report_to": "tensorboard",
        "disable_tqdm": False,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: Settings) -> Path:
    """The output of one whole run on two ranks."""
    directory = tmp_path_factory.mktemp("run")
    shown = launch(recipe | {"output_dir": str(directory / "out")}, directory)
    (directory / "shown.txt").write_text(shown)
    return directory / "out"


def history(run_directory: Path, step: int = STEPS) -> list[dict[str, Any]]:
    """What a run logged up to a step."""
    return [entry for entry in read_log(log_path(run_directory)) if entry["step"] <= step]


def test_the_loss_falls(run: Path) -> None:
    assert losses(run)[-1] < losses(run)[0] - 0.2


def test_held_out_text_is_evaluated(run: Path) -> None:
    evaluations = [entry for entry in history(run) if "eval_loss" in entry]
    assert [entry["step"] for entry in evaluations] == [3, 6]
    for entry in evaluations:
        for name in ("whole_word_char", "whole_word_word", "character_char"):
            assert 0 <= entry[f"eval_{name}_accuracy"] <= 1
    assert evaluations[1]["eval_loss"] < evaluations[0]["eval_loss"]


def test_the_run_says_what_it_is_about_to_do(run: Path) -> None:
    shown = (run.parent / "shown.txt").read_text()
    assert "16 rows = 2 ranks x 4 rows x 2 accumulated" in shown
    assert "unigram entropy" in shown


def test_checkpoints_are_complete_and_nothing_else_is_left(run: Path) -> None:
    for step in (3, 6):
        names = {path.name for path in (run / f"checkpoint-{step}").iterdir()}
        assert names == {"hf", "run.json", "optimizer-exp_avg.safetensors", "optimizer-exp_avg_sq.safetensors"}
    assert not list(run.glob(".*"))


def test_the_resolved_recipe_is_saved(run: Path) -> None:
    saved = yaml.safe_load((run / "recipe.yaml").read_text())
    assert saved["global_batch_size"] == 16
    assert saved["weight_decay"] == 0.0  # a default that the recipe did not name


def test_tensorboard_has_the_losses(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = run.rglob("events.out.tfevents.*")
    log = EventAccumulator(str(events.parent)).Reload()
    assert [event.step for event in log.Scalars("train/loss")] == list(range(1, STEPS + 1))
    assert len(log.Scalars("eval/whole_word_word_accuracy")) == 2


def test_the_model_loads_without_missing_or_unexpected_weights(run: Path) -> None:
    for directory in (run / "hf", run / "checkpoint-3" / "hf"):
        _, info = ChineseBertForMaskedLM.from_pretrained(directory, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]


def test_the_final_model_is_that_of_the_last_checkpoint(run: Path) -> None:
    final, last = (load_file(run / part / "model.safetensors") for part in ("hf", f"checkpoint-{STEPS}/hf"))
    assert all(torch.equal(final[name], last[name]) for name in last)


def test_the_saved_model_has_the_glyphs_it_was_trained_with(run: Path, glyphs: Path) -> None:
    from chinesebert.glyph import Glyphs

    weights = load_file(run / "hf" / "model.safetensors")
    images = torch.from_numpy(Glyphs.load(glyphs).images.copy()).flatten(start_dim=1)
    assert torch.equal(weights["bert.embeddings.glyph_embeddings.embedding.weight"], images)


def test_fill_mask_works_on_the_result(run: Path) -> None:
    from transformers import pipeline

    guesses = pipeline("fill-mask", model=str(run / "hf"), top_k=3)("今天的天气很[MASK]。")
    assert len(guesses) == 3
    assert all(guess["token_str"] for guess in guesses)


def test_the_tokenizer_of_the_model_is_that_of_the_corpus(run: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    assert ChineseBertTokenizer.from_pretrained(run / "hf").fingerprint == small_tokenizer.fingerprint


def test_every_step_says_how_fast_it_was(run: Path) -> None:
    for entry in history(run):
        if entry["kind"] == "train":
            assert entry["tokens_per_second"] == pytest.approx(2 * entry["tokens_per_second_per_device"])
            assert entry["mfu"] > 0
            assert 0 <= entry["padding"] < 0.1
            assert 0 <= entry["data_wait"] <= 1
            assert entry["memory_gb"] > 0


def test_the_report_shows_losses_accuracies_and_guesses(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, page = tmp_path / "loss.png", tmp_path / "report.html"
    cloze = str(ROOT / "configs/pretrain/cloze.txt")
    assert report([str(run), "--cloze", cloze, "--plot", str(plot), "--output", str(page)]) == 0
    shown = capsys.readouterr().out
    evaluations = [entry for entry in history(run) if "eval_loss" in entry]
    assert f"{losses(run)[0]:.3f} at step 1  ->  {losses(run)[-1]:.3f} at step {STEPS}" in shown
    assert f"whole words {evaluations[-1]['eval_whole_word_word_accuracy']:.1%}" in shown
    assert "unigram entropy of the corpus" in shown
    row = next(line for line in shown.splitlines() if line.startswith("请把门【关】上。"))
    assert row.count("%") == 3
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "Masked-LM loss" in page.read_text(encoding="utf-8")


def test_the_end_of_a_run_leaves_a_report_and_a_model_card(run: Path) -> None:
    assert (run / "report.html").read_text(encoding="utf-8").count("data:image/png") > 3
    card = (run / "hf" / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: fill-mask" in card
    assert f"{STEPS} steps from scratch" in card


def test_the_report_names_the_line_of_a_bad_cloze_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences = tmp_path / "cloze.txt"
    sentences.write_text("他【去】了。\n没有括号。\n", encoding="utf-8")
    assert report([str(run), "--cloze", str(sentences)]) == 2
    assert f"{sentences}:2: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint_with_the_same_bits(run: Path, recipe: Settings, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    shutil.copytree(run / "checkpoint-3", output / "checkpoint-3")
    (output / ".unfinished" / "hf").mkdir(parents=True)  # as left by a kill in the middle of a save
    (output / ".unfinished" / "hf" / "rest").write_text("")
    launch(recipe | {"output_dir": str(output)}, tmp_path)
    assert losses(output) == losses(run)[3:]
    assert_same_bits(output / "checkpoint-6", run / "checkpoint-6")
    assert not list(output.glob(".*"))
    assert not list(output.glob("checkpoint-6/hf/rest"))


def test_corpora_are_mixed_by_weight(
    recipe: Settings, rank_server: RankServer, corpora_directory: Path, tmp_path: Path
) -> None:
    """Six of ten rows from the small corpus: 38 and 58 of 96."""
    corpora = [str(corpora_directory / part) for part in ("train", "heldout")]
    mixed = {"train_data": corpora, "data_weights": [2, 3], "eval_strategy": "no", "output_dir": str(tmp_path / "out")}
    shown = rank_server.run(recipe | mixed)
    said = re.findall(r"(60\.00)% of the rows: (\d+) drawn from (\d+) = .*heldout", shown)
    assert [(share, drawn) for share, drawn, _ in said] == [("60.00", "58")] * 2  # before and after
    logged = [entry["epochs_corpus_2"] for entry in history(tmp_path / "out") if "loss" in entry]
    assert logged[-1] == pytest.approx(58 / int(said[0][2]), abs=1e-4)
    assert logged == sorted(logged)


@pytest.mark.parametrize(
    "number", [pytest.param(0, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 3]
)
def test_every_zero_stage_measures_the_same(
    run: Path, rank_server: RankServer, recipe: Settings, tmp_path: Path, number: int
) -> None:
    """The recipe's ZeRO 1 is the measure. 25 held-out rows on two ranks leave one of them a row short."""
    recipe = recipe | {"deepspeed": stage(number), "eval_max_rows": 25, "output_dir": str(tmp_path / "out")}
    rank_server.run(recipe)
    assert losses(tmp_path / "out") == pytest.approx(losses(run), rel=1e-4)
    _, info = ChineseBertForMaskedLM.from_pretrained(tmp_path / "out" / "hf", output_loading_info=True)
    assert not info["missing_keys"]


def test_raw_text_is_refused_with_what_to_do(recipe: Settings, tmp_path: Path) -> None:
    text = ROOT / "data_prep" / "sample" / "train" / "news.txt"
    shown = launch(recipe | {"output_dir": str(tmp_path / "out"), "train_data": [str(text)]}, tmp_path, status=None)
    assert str(text) in error_of(shown)
    assert "python -m data_prep corpus" in error_of(shown)
    assert not (tmp_path / "out").exists()


def run_alone(*flags: str) -> "subprocess.CompletedProcess[str]":
    """Starts the program without a launcher."""
    environment = {name: value for name, value in os.environ.items() if name != "RANK"}
    command = [sys.executable, PROGRAM, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)


def test_help_needs_no_launcher() -> None:
    """Messages of the program name ``--help``."""
    result = run_alone("--help")
    assert result.returncode == 0, result.stderr
    assert "--train_data" in result.stdout
    assert "error:" not in result.stderr


def test_without_the_launcher_it_says_how_to_start() -> None:
    result = run_alone("--config", "configs/pretrain/demo.yaml")
    assert result.returncode == 2
    assert "deepspeed" in error_of(result.stderr)
