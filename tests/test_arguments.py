"""The settings of a run: recipes, flags that override them, and what is refused."""

from pathlib import Path

import pytest
import yaml

from chinesebert.errors import InputError
from chinesebert.training.arguments import accumulation_steps, parse_arguments

MINIMAL = {
    "train_data": ["corpus"],
    "glyphs": "glyphs",
    "model": "model.json",
    "deepspeed": "configs/deepspeed/zero1.json",
    "global_batch_size": 8,
    "per_device_train_batch_size": 4,
    "max_steps": 10,
}


@pytest.fixture(autouse=True)
def single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if started without a launcher."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recipe(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smallest complete recipe."""
    monkeypatch.chdir(root)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | {"output_dir": str(tmp_path / "out")}))
    return path


def refusal(arguments: list[str]) -> str:
    """The message with which a command line is refused."""
    with pytest.raises(InputError) as caught:
        parse_arguments(arguments)
    return str(caught.value)


def with_setting(recipe: Path, **settings: object) -> list[str]:
    """The command line for the recipe with other settings in the file."""
    content = yaml.safe_load(recipe.read_text()) | settings
    recipe.write_text(yaml.safe_dump(content))
    return ["--config", str(recipe)]


def test_flags_override_the_recipe(recipe: Path) -> None:
    args = parse_arguments(["--config", str(recipe), "--max_steps", "20", "--learning_rate", "3e-4"])
    assert (args.max_steps, args.learning_rate, args.global_batch_size) == (20, 3e-4, 8)


def test_a_flag_may_be_written_with_an_equals_sign(recipe: Path) -> None:
    assert parse_arguments([f"--config={recipe}", "--max_steps=30"]).max_steps == 30


def test_several_corpora_may_be_given(recipe: Path) -> None:
    assert parse_arguments(["--config", str(recipe), "--train_data", "a", "b"]).train_data == ["a", "b"]


def test_numbers_in_scientific_notation_are_numbers(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "learning_rate: 1e-4\n")  # YAML reads 1e-4 as a string
    assert parse_arguments(["--config", str(recipe)]).learning_rate == 1e-4


def test_the_rank_that_the_launcher_appends_is_no_unknown_flag(recipe: Path) -> None:
    parse_arguments(["--local_rank=0", "--config", str(recipe)])


def test_accumulation_follows_from_the_global_batch(recipe: Path) -> None:
    assert parse_arguments(["--config", str(recipe)]).gradient_accumulation_steps == 2


@pytest.mark.parametrize(("ranks", "expected"), [(1, 16), (2, 8), (4, 4), (16, 1)])
def test_accumulation_shrinks_as_ranks_grow(ranks: int, expected: int) -> None:
    assert accumulation_steps(64, 4, ranks) == expected


def test_a_batch_that_ranks_cannot_share_names_micro_batches_that_can() -> None:
    with pytest.raises(InputError, match="the micro-batch can be 1, 2, 3, 4, 6, 12"):
        accumulation_steps(24, 5, 2)


def test_a_batch_smaller_than_the_ranks_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be shared by 8 ranks"):
        accumulation_steps(4, 1, 8)


def test_an_unknown_flag_suggests_the_nearest(recipe: Path) -> None:
    assert "did you mean learning_rate?" in refusal(["--config", str(recipe), "--learning_rat", "1"])


def test_a_shortened_flag_is_not_guessed(recipe: Path) -> None:
    assert "unknown flag --max_step" in refusal(["--config", str(recipe), "--max_step", "5"])


def test_an_unknown_key_names_the_recipe_and_suggests_the_nearest(recipe: Path) -> None:
    message = refusal(with_setting(recipe, warmup_step=3))
    assert str(recipe) in message
    assert "did you mean warmup_steps?" in message


def test_accumulation_cannot_be_set(recipe: Path) -> None:
    assert "it follows from global_batch_size" in refusal(with_setting(recipe, gradient_accumulation_steps=4))


def test_epochs_cannot_be_set(recipe: Path) -> None:
    assert "max_steps" in refusal(["--config", str(recipe), "--num_train_epochs", "3"])


@pytest.mark.parametrize("name", ["train_data", "output_dir", "glyphs", "model", "deepspeed", "max_steps"])
def test_what_every_run_needs_is_asked_for(recipe: Path, name: str) -> None:
    content = yaml.safe_load(recipe.read_text())
    del content[name]
    recipe.write_text(yaml.safe_dump(content))
    assert f"--{name}" in refusal(["--config", str(recipe)])


def test_evaluation_without_held_out_text_is_refused(recipe: Path) -> None:
    assert "--eval_data" in refusal(with_setting(recipe, eval_strategy="steps", eval_steps=5))


def test_no_in_yaml_means_no_evaluation(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "eval_strategy: no\n")  # YAML reads `no` as false
    assert parse_arguments(["--config", str(recipe)]).eval_strategy == "no"


def test_a_probability_outside_0_to_1_is_refused(recipe: Path) -> None:
    assert "masking_probability" in refusal(["--config", str(recipe), "--masking_probability", "15"])


def test_a_missing_recipe_is_named() -> None:
    assert "nowhere.yaml" in refusal(["--config", "nowhere.yaml"])


def test_a_recipe_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1\nb: 2")
    assert str(path) in refusal(["--config", str(path)])


def test_a_recipe_that_is_a_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n")
    assert "name: value" in refusal(["--config", str(path)])
