"""The options of transfer: what is refused, and what one option means for others."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import parse_arguments
from chinesebert.finetuning.transfer.settings import CONFLICTS, TransferArguments
from tests.transfer_trainers import arguments

pytest.importorskip("accelerate")

VALUES: dict[str, Any] = {
    "freeze_encoder": True,
    "layer_lr_decay": 0.9,
    "gradual_unfreezing": "epoch",
    "lora_rank": 4,
    "fgm": 1.0,
    "r_drop": 1.0,
    "also_train": ["afqmc=."],
    "average_weights": "ema",
    "self_distillation": 1.0,
    "first_task": "afqmc",
    "first_data_dir": ".",
}


@pytest.fixture(autouse=True)
def peft_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are not to depend on whether it is installed; what is said where it is not has a test of its own."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True if name == "peft" else found(name))


def setting(option: str) -> dict[str, Any]:
    name, _, value = option.partition("=")
    return {name: (float(value) if value.isdecimal() else value) if value else VALUES[name]}


@pytest.mark.parametrize(("one", "other"), [pair[:2] for pair in CONFLICTS])
def test_options_that_make_no_sense_together_are_refused_by_both_names(one: str, other: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"--{one.replace('=', ' ')} and --{other} do not go together: \w"):
        arguments(tmp_path, **setting(one), **setting(other))
    arguments(tmp_path, **setting(one))
    arguments(tmp_path, **setting(other))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head_layers", "middle"),
        ("average_weights", "swa"),
        ("hidden_dropout", 1.0),
        ("hidden_dropout", -0.1),
        ("layer_lr_decay", 0.0),
        ("layer_lr_decay", 1.1),
        ("average_decay", 1.0),
        ("average_share", 0.0),
        ("gradual_unfreezing", "0"),
        ("gradual_unfreezing", "soon"),
        ("lora_rank", -1),
        ("r_drop", -1.0),
        ("fgm", -1.0),
        ("self_distillation", -1.0),
        ("teacher_steps", 0),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}"):
        arguments(tmp_path, **{name: value})


@pytest.mark.parametrize("also", ["afqmc", "=.", "afqmc=", "afqmc=/there/is/no/such"])
def test_another_task_needs_a_name_and_a_folder(also: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--also_train {also}: "):
        arguments(tmp_path, also_train=[also])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"first_task": "custom", "first_data_dir": "."},
            "--first_task custom: the flags that describe files of your own",
        ),
        ({"also_train": ["custom=."]}, "--also_train custom: the flags that describe files of your own"),
        ({"first_task": "afqmc", "first_data_dir": "/no/such"}, "--first_data_dir /no/such: there is no such folder"),
    ],
)
def test_another_task_is_one_that_its_name_and_a_folder_describe(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        arguments(tmp_path, **settings)


@pytest.mark.parametrize("name", ["first_task", "first_data_dir"])
def test_a_first_task_needs_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--first_task NAME and --first_data_dir DIR belong together"):
        arguments(tmp_path, **{name: VALUES[name]})


@pytest.mark.parametrize("name", ["lora_rank", "also_train", "average_weights", "self_distillation", "fgm"])
def test_what_does_not_work_with_deepspeed_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")  # as its launcher sets it
    with pytest.raises(InputError, match=f"--{name} does not work with --deepspeed"):
        arguments(tmp_path, deepspeed={"zero_optimization": {"stage": 1}}, **{name: VALUES[name]})


@pytest.mark.parametrize("part", ["optimizer", "scheduler"])
@pytest.mark.parametrize("name", ["layer_lr_decay", "gradual_unfreezing"])
def test_rates_of_layers_need_an_optimizer_that_has_them(
    name: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("RANK", "0")  # as its launcher sets it
    kinds = {"optimizer": {"type": "AdamW"}, "scheduler": {"type": "WarmupLR"}}
    path = tmp_path / "deepspeed.json"
    path.write_text(json.dumps({"zero_optimization": {"stage": 1}, part: kinds[part]}))
    with pytest.raises(InputError, match=f"--{name} does not work with DeepSpeed's own {part}"):
        arguments(tmp_path, deepspeed=str(path), **{name: VALUES[name]})


@pytest.mark.parametrize("name", ["also_train", "average_weights", "self_distillation"])
def test_what_checkpoints_do_not_hold_is_not_resumed(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--{name} cannot be resumed"):
        arguments(tmp_path, resume_from_checkpoint="somewhere", **{name: VALUES[name]})


def test_adapters_without_peft_are_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install peft"):
        arguments(tmp_path, lora_rank=4)


def test_an_average_is_the_result_whatever_step_was_the_best(tmp_path: Path) -> None:
    args = arguments(
        tmp_path, average_weights="ema", load_best_model_at_end=True, eval_strategy="epoch", save_strategy="best"
    )
    assert not args.load_best_model_at_end
    assert args.save_strategy == "no"


def test_flags_and_recipes_give_the_options(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: tnews\ngradual_unfreezing: 100\nr_drop: 4\n", encoding="utf-8")
    flags = ["--config", str(recipe), "--model_name_or_path", "m", "--output_dir", str(tmp_path), "--do_train"]
    args = parse_arguments([*flags, "--layer_lr_decay", "0.8", "--use_cpu"])
    usual = TransferArguments()
    changed = {name: getattr(args, name) for name, value in vars(usual).items() if getattr(args, name) != value}
    assert changed == {"gradual_unfreezing": "100", "r_drop": 4, "layer_lr_decay": 0.8}
