"""Every shipped configuration is complete and means what it says."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.training.arguments import parse_arguments
from chinesebert.training.cloze import read_cloze
from chinesebert.training.timeline import check_divides
from tests.conftest import ROOT

RECIPES = sorted((ROOT / "configs" / "pretrain").glob("*.yaml"))
MODELS = sorted((ROOT / "configs" / "model").glob("*.json"))
STAGES = sorted((ROOT / "configs" / "deepspeed").glob("*.json"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    flags = ["--train_data", "a", "--eval_data", "b", "--output_dir", str(tmp_path), "--bf16", "false"]
    args = parse_arguments(["--config", str(path), *flags])
    assert Path(args.model or "").is_file()
    assert Path(str(args.deepspeed)).is_file()
    assert args.max_length <= json.loads(Path(args.model or "").read_text())["max_position_embeddings"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_opens_with_launch_line_and_hardware(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"--config configs/pretrain/{path.name}" in head
    assert "hardware" in head


@pytest.mark.parametrize("name", ["base", "large"])
def test_every_value_of_a_paper_recipe_has_its_source_beside_it(name: str) -> None:
    text = (ROOT / "configs" / "pretrain" / f"{name}.yaml").read_text(encoding="utf-8")
    values = text.split("\nlogging_steps")[0].split("\n\n", 1)[1]  # how often to log and save is nobody's finding
    for line in values.splitlines():
        if line and not line.startswith("#"):
            assert re.search(r"# (paper|BERT|here)\b", line), line


@pytest.mark.parametrize(
    ("name", "steps", "batch", "rate", "warmup", "layers", "hidden"),
    [("base", 500_000, 3_200, 1e-4, 20_000, 12, 768), ("large", 280_000, 8_000, 3e-4, 90_000, 24, 1024)],
)
def test_paper_recipes_carry_the_papers_values(
    name: str, steps: int, batch: int, rate: float, warmup: int, layers: int, hidden: int
) -> None:
    recipe = yaml.safe_load((ROOT / "configs" / "pretrain" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert (recipe["max_steps"], recipe["global_batch_size"]) == (steps, batch)
    assert (recipe["learning_rate"], recipe["warmup_steps"], recipe["max_length"]) == (rate, warmup, 512)
    model = json.loads((ROOT / recipe["model"]).read_text())
    assert (model["num_hidden_layers"], model["hidden_size"]) == (layers, hidden)
    check_divides(batch, recipe["per_device_train_batch_size"], ranks=8)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_model_sizes_are_a_configuration(path: Path) -> None:
    sizes = json.loads(path.read_text())
    assert set(sizes) <= set(ChineseBertConfig().to_dict())
    config = ChineseBertConfig(**sizes)
    assert config.hidden_size % config.num_attention_heads == 0


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_deepspeed_stage_is_the_one_in_the_name(path: Path) -> None:
    assert json.loads(path.read_text())["zero_optimization"]["stage"] == int(path.stem[-1])


def test_cloze_sentences_are_well_formed() -> None:
    assert len(read_cloze(ROOT / "configs" / "pretrain" / "cloze.txt")) >= 8


def test_scripts_that_ci_runs_are_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
