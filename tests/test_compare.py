"""launch.compare: runs side by side."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chinesebert.finetuning.comparison import model_label, read_runs
from chinesebert.finetuning.results import write_json
from launch.compare import main
from tests.conftest import ROOT


def write_run(directory: Path, task: str, model: str, dev: Any, test: Any = None, **more: Any) -> Path:
    """A folder as a finished run leaves it, as far as comparisons read it."""
    split = {
        "dev": {"examples": 20, "f1": dev, "recall": 0.1},
        "test": {"examples": 30, **({"f1": test} if test else {})},
    }
    start = {"task": task, "metric": "f1", "model": model, "train_examples": 1000}
    directory.mkdir(parents=True)
    write_json(directory / "metrics.json", {**start, **split, **more})
    return directory


def seeds(*values: float, mean: float, sd: float) -> dict[str, Any]:
    return {"mean": mean, "sd": sd, "max": max(values), "values": list(values)}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    write_run(tmp_path / "a" / "ner", "ner", "models/small/hf", 0.5, 0.625)
    write_run(tmp_path / "a" / "csl", "csl", "models/small/hf", 0.25)
    figure = seeds(0.7, 0.9, mean=0.8, sd=0.1414)
    write_run(tmp_path / "b", "ner", "models/large", figure, seeds=[1, 2])
    return [tmp_path / "a", tmp_path / "b"]


def test_tasks_go_down_and_models_across(runs: list[Path], tmp_path: Path) -> None:
    assert main([*map(str, runs), "--output", str(tmp_path / "table.md")]) == 0
    dev, test, examples = (tmp_path / "table.md").read_text(encoding="utf-8").split("\n\n**")
    assert (
        dev.split("\n")[2:]
        == [
            "| task | figure (%) | small | large |",
            "| --- | --- | ---: | ---: |",
            "| csl | f1 | 25.00 | – |",
            "| ner | f1 | 50.00 | 80.00 ± 14.14 |",
            "",
        ][:4]
    )
    assert test.startswith("test**") and "| ner | f1 | 62.50 | – |" in test
    assert "csl" not in test  # it has no labels there
    assert "| ner | 1,000 | 20 | 30 | 2 |" in examples


def test_one_split_is_shown_alone(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*map(str, runs), "--split", "test"]) == 0
    assert "62.50" in (told := capsys.readouterr().out) and "50.00" not in told


def test_models_are_called_as_one_likes(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*map(str, runs), "--names", "小", "大"]) == 0
    assert "小" in capsys.readouterr().out
    assert main([*map(str, runs), "--names", "one"]) == 2
    assert "--names: 1 for 2 folders" in capsys.readouterr().err


def test_bars_are_drawn(runs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert main([*map(str, runs), "--plot", str(tmp_path / "bars.png")]) == 0
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_bars_of_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", "ner", "m", 0.5)
    assert main([str(run), "--plot", str(tmp_path / "bars.png"), "--split", "test"]) == 2
    assert "none of these runs has figures for the test split" in capsys.readouterr().err
    assert not (tmp_path / "bars.png").exists()


def test_two_runs_of_one_task_with_one_model_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(write_run(tmp_path / name, "ner", "m", 0.5)) for name in "ab"]
    assert main(pair) == 2
    assert "are both ner with m; tell them apart with --names" in capsys.readouterr().err
    assert main([*pair, "--names", "first", "second"]) == 0


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, message in ((tmp_path, "holds no finished run"), (tmp_path / "none", "there is no such folder")):
        assert main([str(folder)]) == 2
        assert message in capsys.readouterr().err


def test_seeds_without_a_summary_are_no_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "seed-42", "ner", "m", 0.5)
    assert main([str(tmp_path)]) == 2
    assert "not all seeds of this run are finished" in capsys.readouterr().err


def test_another_metrics_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "metrics.json", {"loss": 1.0})
    assert main([str(tmp_path)]) == 2
    assert "is not what a fine-tuning run writes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "random", "label"),
    [
        ("runs/small/model/hf", False, "small"),
        ("runs/small/checkpoint-500/hf", False, "small"),
        ("chinesebert-base", False, "chinesebert-base"),
        ("chinesebert-base", True, "chinesebert-base, random weights"),
        ("model", False, "model"),
    ],
)
def test_a_model_is_called_by_what_says_something(model: str, random: bool, label: str) -> None:
    assert model_label({"model": model, "random_weights": random}) == label


def test_folders_of_several_tasks_are_read(runs: list[Path]) -> None:
    assert [(run.summary["task"], run.model) for run in read_runs(runs)] == [
        ("csl", "small"),
        ("ner", "small"),
        ("ner", "large"),
    ]


def test_it_is_a_module() -> None:
    command = [sys.executable, "-m", "launch.compare", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and "--plot" in result.stdout
