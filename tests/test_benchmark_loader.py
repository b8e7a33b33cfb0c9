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
