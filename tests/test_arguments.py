"""The settings of a run: recipes, flags that override them, and what is refused."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from chinesebert.errors import InputError
from chinesebert.training.arguments import _USED, PretrainingArguments, is_used, parse_arguments

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


# Flags of TrainingArguments that this program would pass over without a word, and what is said of them.
UNUSED = {
    "fp16": "use bf16",
    "optim": "use optimizer",
    "num_train_epochs": "the length of a run is max_steps",
    "resume_from_checkpoint": "use resume",
    "gradient_accumulation_steps": "it follows from global_batch_size",
    "warmup_ratio": "use warmup_steps",
    "ignore_data_skip": "seeking in the data costs nothing",
    "label_smoothing_factor": "pretraining does not use it",
    "push_to_hub": "pretraining does not use it",
    "fsdp": "pretraining does not use it",
    "neftune_noise_alpha": "pretraining does not use it",
    "metric_for_best_model": "pretraining does not use it",
    "load_best_model_at_end": "pretraining does not use it",
    "data_seed": "pretraining does not use it",
    "group_by_length": "pretraining does not use it",
}


@pytest.mark.parametrize("name", UNUSED)
def test_a_setting_without_effect_is_refused_by_name(recipe: Path, name: str) -> None:
    known = {item.name for item in dataclasses.fields(PretrainingArguments)}
    if name not in known:
        pytest.skip(f"this version of transformers has no {name}")
    for line in (["--config", str(recipe), f"--{name}", "1"], with_setting(recipe, **{name: 1})):
        message = refusal(line)
        assert f"{name} cannot be set" in message
        assert UNUSED[name] in message


def test_every_setting_is_used_or_refused(recipe: Path) -> None:
    """What transformers adds in a new version must not be taken and passed over."""
    ours = set(PretrainingArguments.__annotations__)
    for item in dataclasses.fields(PretrainingArguments):
        if item.init and item.name not in ours | _USED | {"local_rank"}:  # the last comes from the launcher
            assert "cannot be set" in refusal(["--config", str(recipe), f"--{item.name}", "1"]), item.name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("global_batch_size", 0),
        ("per_device_train_batch_size", -1),
        ("logging_steps", 0.5),
        ("save_steps", 0),
        ("batch_size_start", 0),
        ("batch_size_start", -4),
        ("nonfinite_steps", 0),
        ("eval_max_rows", 0),
    ],
)
def test_a_number_that_must_be_whole_and_above_0_is_named(recipe: Path, name: str, value: float) -> None:
    assert f"{name} is {value}: it must be a whole number above 0" in refusal(with_setting(recipe, **{name: value}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", None, "seed is null: it must be a number"),
        ("save_steps", None, "save_steps is null: it must be a number"),
        ("logging_steps", None, "logging_steps is null: it must be a number"),
        ("learning_rate", None, "learning_rate is null: it must be a number"),
        ("single_sentence_probability", None, "single_sentence_probability is null: it must be a number"),
        ("weight_decay", [1], "weight_decay is [1]: it must be a number"),
        ("max_grad_norm", True, "max_grad_norm is True: it must be a number"),
        ("learning_rate", float("inf"), "learning_rate is inf: it must be a number"),
        ("seed", 1.5, "seed is 1.5: it must be a whole number, 0 or above"),
        ("dataloader_num_workers", -1, "dataloader_num_workers is -1: it must be a whole number, 0 or above"),
        ("dataloader_prefetch_factor", 0, "dataloader_prefetch_factor is 0: it must be a whole number above 0"),
        ("learning_rate", -1e-4, "learning_rate is -0.0001: it must be 0 or above"),
        ("max_grad_norm", -1, "max_grad_norm is -1: it must be 0 or above"),
        ("adam_beta1", 1.5, "adam_beta1 is 1.5: it must be 0 or above, and below 1"),
        ("adam_beta2", 1, "adam_beta2 is 1: it must be 0 or above, and below 1"),
        ("adam_epsilon", 0, "adam_epsilon is 0: it must be above 0"),
        ("masking_probability", 0, "masking_probability is 0: it must be above 0, and at most 1"),
        ("max_length", 4, "max_length 4: rows need 6 tokens or more"),
        ("phases", [{"steps": 3, "max_length": 4}, {}], "max_length 4: rows need 6 tokens or more"),
        ("train_data", [None], "train_data: None is not the folder of a corpus"),
        ("report_to", ["foo"], "foo is not supported"),
    ],
)
def test_a_value_that_no_run_can_have_is_named(recipe: Path, name: str, value: object, message: str) -> None:
    assert message in refusal(with_setting(recipe, **{name: value}))


def test_a_whole_number_may_be_written_with_a_point(recipe: Path) -> None:
    args = parse_arguments(with_setting(recipe, per_device_train_batch_size=4.0, seed=3.0, save_steps=2.0))
    assert [type(value) for value in (args.per_device_train_batch_size, args.seed, args.save_steps)] == [int] * 3
    assert args.timeline.segments[0].micro_batches(1) == 2


@pytest.mark.parametrize("weights", [[], [1.0, 2.0]])
def test_a_corpus_that_is_given_twice_is_refused(recipe: Path, weights: list[float]) -> None:
    message = refusal(with_setting(recipe, train_data=["some/corpus", "some/./corpus"], data_weights=weights))
    assert "train_data: some/./corpus and some/corpus are the same corpus" in message


def test_a_link_to_a_corpus_is_that_corpus(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    both = [str(tmp_path / "corpus"), str(tmp_path / "link")]
    assert "are the same corpus" in refusal(with_setting(recipe, train_data=both))


def test_held_out_text_that_is_given_twice_is_refused(recipe: Path) -> None:
    assert "eval_data: a and a are the same corpus" in refusal(with_setting(recipe, eval_data=["a", "a"]))


@pytest.mark.parametrize("increment", [0, -2])
def test_a_ramp_needs_increments_above_0(recipe: Path, increment: int) -> None:
    ramp = {"batch_size_start": 4, "batch_size_ramp_steps": 3, "batch_size_increment": increment}
    assert "batch_size_increment" in refusal(with_setting(recipe, **ramp))


@pytest.mark.parametrize("name", ["batch_size_increment", "batch_size_ramp_steps"])
def test_a_ramp_without_a_start_is_refused(recipe: Path, name: str) -> None:
    assert "batch_size_start" in refusal(with_setting(recipe, **{name: 4}))


def test_phases_may_be_given_as_a_flag(recipe: Path) -> None:
    phases = "[{steps: 6, max_length: 128, per_device_train_batch_size: 2}, {max_length: 256}]"
    args = parse_arguments(["--config", str(recipe), "--phases", phases])
    assert [(phase.steps, phase.length, phase.micro_batch_size) for phase in args.timeline.phases] == [
        (6, 128, 2),
        (4, 256, 4),
    ]
    assert args.max_length == 256


@pytest.mark.parametrize("last", [{"max_length": 64}, {"steps": 4, "max_length": 64}])
def test_the_resolved_recipe_makes_the_same_phases(recipe: Path, last: dict[str, int]) -> None:
    """The first phase has the length of the recipe, which is not that of the longest."""
    args = parse_arguments(with_setting(recipe, max_length=32, phases=[{"steps": 6}, last]))
    saved = {"max_length": args.max_length, "phases": args.phases}
    assert saved["phases"][0] == {"steps": 6, "max_length": 32, "per_device_train_batch_size": 4}
    again = parse_arguments(with_setting(recipe, **saved))
    assert again.timeline.phases == args.timeline.phases
    assert again.phases == args.phases


def test_the_last_phase_of_a_resolved_recipe_has_what_is_left(recipe: Path) -> None:
    args = parse_arguments(with_setting(recipe, phases=[{"steps": 6, "max_length": 32}, {}]))
    longer = parse_arguments(with_setting(recipe, phases=args.phases, max_steps=20))
    assert [phase.steps for phase in longer.timeline.phases] == [6, 14]


def test_phases_that_are_not_yaml_are_refused(recipe: Path) -> None:
    assert "phases: is not YAML" in refusal(["--config", str(recipe), "--phases", "[{steps: 6"])


def test_a_batch_that_ranks_cannot_share_is_refused_at_once(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "8 rows cannot be shared by 3 ranks" in refusal(["--config", str(recipe)])


def test_a_checkpoint_to_begin_with_needs_neither_sizes_nor_images(recipe: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    del content["model"], content["glyphs"]
    recipe.write_text(yaml.safe_dump(content))
    assert parse_arguments(["--config", str(recipe), "--init_from", "a"]).init_from == "a"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", "many"),
        ("learning_rate", "fast"),
        ("lr_scheduler_type", "linaer"),
        ("seed", "x"),
        ("max_length", "long"),
        ("bf16", "maybe"),
    ],
)
def test_a_value_of_another_kind_is_named(recipe: Path, name: str, value: str) -> None:
    for line in (["--config", str(recipe), f"--{name}", value], with_setting(recipe, **{name: value})):
        assert value in refusal(line)


def test_a_flag_without_its_value_is_named(recipe: Path) -> None:
    assert "--max_steps" in refusal(["--config", str(recipe), "--max_steps"])


def test_a_word_that_belongs_to_no_flag_is_named(recipe: Path) -> None:
    assert "somewhere belongs to no flag" in refusal(["--config", str(recipe), "somewhere"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dry_run_ranks", "64"], "dry_run_ranks says what a plan is made for: add --dry_run"),
        (["--dry_run_device", "H100"], "dry_run_device says what a plan is made for: add --dry_run"),
        (["--dry_run", "--dry_run_ranks", "0"], "dry_run_ranks is 0: it must be a whole number above 0"),
        (["--dry_run", "--dry_run_device", "H100"], "peaks are listed for bfloat16 alone; add --bf16 true"),
        (["--dry_run", "--bf16", "true", "--dry_run_device", "T4"], "T4: no peak is listed"),
        (["--dry_run", "--dry_run_mfu", "0"], "dry_run_mfu is 0"),
    ],
)
def test_a_plan_for_nothing_is_refused(recipe: Path, flags: list[str], message: str) -> None:
    assert message in refusal(["--config", str(recipe), *flags])


def test_a_plan_is_made_for_the_ranks_it_names(recipe: Path) -> None:
    plan = ["--config", str(recipe), "--dry_run", "--dry_run_ranks"]
    assert parse_arguments([*plan, "2"]).dry_run_ranks == 2
    assert "8 rows cannot be shared by 3 ranks" in refusal([*plan, "3"])


def test_help_names_what_can_be_set_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--help"])
    assert ended.value.code == 0
    shown = set(re.findall(r"^  --(\w+)", capsys.readouterr().out, re.MULTILINE))
    assert {"train_data", "max_steps", "learning_rate", "config", "dry_run"} <= shown
    refused = {name for name in shown - {"config"} if not is_used(name.removeprefix("no_"))}
    assert refused == set()
