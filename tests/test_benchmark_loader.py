"""The benchmark of the loader: that it measures every case that it is asked for."""

import json
from pathlib import Path

import pytest

from benchmarks import loader


def test_every_case_is_measured(corpora_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    options = ["--lengths", "64", "128", "--rows", "4", "--strategies", "char", "span", "--rounds", "1"]
    loader.main(["--corpus", str(corpora_directory / "train"), *options, "--json", str(path)])
    figures = json.loads(path.read_text(encoding="utf-8"))
    cases = [(cell["strategy"], cell["length"], cell["rows"]) for cell in figures["cells"]]
    assert cases == [("char", 64, 4), ("char", 128, 4), ("span", 64, 4), ("span", 128, 4)]
    assert all(0 < cell["lowest"] <= cell["tokens_per_second"] <= cell["highest"] for cell in figures["cells"])
    assert all(0 <= cell["padding"] < 0.02 for cell in figures["cells"])
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_what_workers_deliver_is_measured_in_the_form_of_a_recipe(
    corpora_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_TOKENS_DELIVERED", 1000)
    path = tmp_path / "figures.json"
    options = ["--lengths", "64", "--rows", "4", "--workers", "1", "2", "--micro_batches", "3x64", "--rounds", "2"]
    loader.main(["--corpus", str(corpora_directory / "train"), *options, "--json", str(path)])
    cells = json.loads(path.read_text(encoding="utf-8"))["delivered"]
    assert [(cell["rows"], cell["length"], cell["workers"]) for cell in cells] == [(3, 64, 1), (3, 64, 2)]
    assert all(0 < cell["lowest"] <= cell["tokens_per_second"] <= cell["highest"] for cell in cells)


def test_a_form_of_micro_batches_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loader.main(["--corpus", "somewhere", "--micro_batches", "50"])
    assert "50: write ROWSxLENGTH" in capsys.readouterr().err
