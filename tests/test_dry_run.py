"""The arithmetic of a run that has not begun, against hand-checked cases and the model itself."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.errors import InputError
from chinesebert.training.device_peak import DevicePeak, memory_in_name, peak_of
from chinesebert.training.dry_run import (
    Plan,
    PlannedCorpus,
    PlannedPhase,
    Precision,
    activation_memory,
    checkpoint_size,
    describe_plan,
    expected_seconds,
    image_bytes,
    parameters_by_part,
    state_memory,
    total_flops,
)
from tests.pretraining_runs import ENVIRONMENT, PROGRAM, ROOT, Settings, error_of

PAPER = PlannedPhase(steps=500_000, length=512, global_batch_size=3200, micro_batch_size=50)
H100 = DevicePeak(989.4e12, "listed by its maker")


def plan(**changes: Any) -> Plan:
    """The paper's base recipe on eight GPUs of 80 GB."""
    settings: dict[str, Any] = {
        "config": ChineseBertConfig(),
        "phases": [PAPER],
        "corpora": [PlannedCorpus("web", 4_000_000_000, 188.0)],
        "ranks": 8,
        "precision": "autocast",
        "zero_stage": 1,
        "device": "H100",
        "peak": H100,
        "mfu": 0.4,
        "device_memory": 80e9,
        "checkpoints_kept": 3,
        "checkpoints_written": 100,
    }
    return Plan(**settings | changes)


def test_the_base_recipe_takes_the_operations_counted_on_paper() -> None:
    """500,000 steps of 3,200 rows of 512: 4.6e20, counted by hand from 6 operations a weight and token."""
    assert total_flops(ChineseBertConfig(), [PAPER]) == pytest.approx(4.6e20, rel=0.05)


def test_the_large_recipe_takes_the_operations_counted_on_paper() -> None:
    large = ChineseBertConfig(num_hidden_layers=24, hidden_size=1024, num_attention_heads=16, intermediate_size=4096)
    phase = PlannedPhase(steps=280_000, length=512, global_batch_size=8000, micro_batch_size=50)
    assert total_flops(large, [phase]) == pytest.approx(2.1e21, rel=0.1)


def test_phases_add_up() -> None:
    config, short = ChineseBertConfig(), PlannedPhase(1000, 128, 3200, 100)
    assert total_flops(config, [PAPER, short]) == pytest.approx(
        total_flops(config, [PAPER]) + total_flops(config, [short])
    )


def test_forty_hours_on_eight_gpus() -> None:
    assert expected_seconds(4.6e20, 8, 989.4e12, 0.4) / 3600 == pytest.approx(40.4, abs=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"glyph_trainable": True},
        {"type_vocab_size": 2},
        {"masked_lm_pooler": True},
        {"pronunciation_loss_weight": 0.5},
    ],
)
def test_parameters_are_those_of_the_model(changes: dict[str, Any]) -> None:
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 72}
    config = ChineseBertConfig(**sizes, vocab_size=300, num_syllables=50, max_position_embeddings=40, **changes)
    model = ChineseBertForMaskedLM(config)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert sum(parameters_by_part(config).values()) == trained
    images = [buffer.nbytes for name, buffer in model.named_buffers() if "glyph" in name]
    assert image_bytes(config) == sum(images)


@pytest.mark.parametrize(
    ("precision", "stage", "bytes_a_parameter"),
    [
        ("float32", 0, 16),  # 4 weights + 4 gradients + 8 moments
        ("float32", 1, 14),  # 4 + 4 + (4 master weights + 8) / 2
        ("float32", 2, 12),
        ("float32", 3, 10),
        ("bfloat16", 0, 16),  # 2 + 2 + 4 + 8
        ("bfloat16", 1, 10),
        ("bfloat16", 2, 9),
        ("bfloat16", 3, 8),
    ],
)
def test_memory_is_what_deepspeed_was_measured_to_hold(
    precision: Precision, stage: int, bytes_a_parameter: float
) -> None:
    """On two ranks with AdamW, DeepSpeed 0.19.8: all tensors of a process between two backward passes of a step."""
    assert state_memory(1000, stage, 2, precision).total == pytest.approx(1000 * bytes_a_parameter)


@pytest.mark.parametrize("stage", range(4))
def test_autocast_adds_copies_of_the_weights(stage: int) -> None:
    added = state_memory(1000, stage, 4, "autocast").total - state_memory(1000, stage, 4, "float32").total
    assert added == pytest.approx(2 * 1000)


@pytest.mark.parametrize("precision", ["float32", "autocast", "bfloat16"])
def test_activations_are_what_autograd_keeps(precision: Precision) -> None:
    config = ChineseBertConfig(
        num_hidden_layers=4,
        hidden_size=256,
        num_attention_heads=8,
        intermediate_size=1024,
        vocab_size=2000,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = ChineseBertForMaskedLM(config).train().to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    rows, length, masked = 8, 128, 19
    labels = torch.full((rows, length), -100)
    labels[:, :masked] = 5
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    ids = torch.randint(10, 2000, (rows, length), generator=torch.Generator().manual_seed(0))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast")
    with autocast, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(ids, ids % 1400, segment_ids=torch.ones_like(ids), labels=labels)
    found = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    found += rows * masked * 2000 * 8  # scores and gradients, which are not kept but there at the loss
    assert activation_memory(config, rows, length, masked / length, precision) == pytest.approx(found, rel=0.15)


def test_a_checkpoint_holds_weights_once_and_two_moments() -> None:
    parameters = 106_664_960
    assert checkpoint_size(ChineseBertConfig()) == {"hf": 4 * parameters + 22_528 * 1_728, "optimizer": 8 * parameters}


@pytest.mark.parametrize("glyph_trainable", [False, True])
def test_the_weights_of_a_checkpoint_take_what_is_written(tmp_path: Path, glyph_trainable: bool) -> None:
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}
    config = ChineseBertConfig(**sizes, vocab_size=2000, glyph_trainable=glyph_trainable)
    ChineseBertForMaskedLM(config).save_pretrained(tmp_path)
    found = (tmp_path / "model.safetensors").stat().st_size
    assert checkpoint_size(config)["hf"] == pytest.approx(found, rel=0.03)  # names, and the spelling of syllables


def test_the_description_says_what_the_run_is() -> None:
    shown = describe_plan(plan())
    assert "106,664,960 parameters" in shown
    assert "500,000 steps of 3,200 rows of 512 = 8 ranks x 50 rows x 8 accumulated" in shown
    assert "web: 4,000,000,000 tokens, read 188.00 times" in shown
    assert re.search(r"ZeRO 1 .*<- this run", shown)
    assert re.search(r"work +4\.\d+e\+20", shown)
    assert re.search(r"time +\d\d\.?\d? hours on 8 x H100 if 40% of the peak", shown)
    assert "3 kept and one being written" in shown
    assert "does not fit" not in shown


def test_what_is_assumed_of_the_time_is_said() -> None:
    """4.6e20 operations over 8 x 989.4e12 x 0.4 a second, in 500,000 steps; 4 bytes a gradient."""
    shown = describe_plan(plan())
    assert "(MFU: assumed, --dry_run_mfu sets it), 989.4 TFLOP/s each (listed by its maker)" in shown
    assert re.search(r"28\d ms a step, in which the ranks add up 427 MB of gradients", shown)  # without padding, 290
    assert "gradients over their network" not in describe_plan(plan(ranks=1))


def test_the_description_says_which_stages_do_not_fit() -> None:
    lines = describe_plan(plan(device_memory=12e9)).splitlines()
    assert [line.split("  does")[0][2:8] for line in lines if line.endswith("does not fit")] == ["ZeRO 0", "ZeRO 1"]


def test_every_phase_has_its_line() -> None:
    shown = describe_plan(plan(phases=[PlannedPhase(900, 128, 64, 8), PlannedPhase(100, 512, 128, 2)]))
    assert "phase 1  900 steps of 64 rows of 128 = 8 ranks x 8 rows x 1 accumulated" in shown
    assert "phase 2  100 steps of 128 rows of 512 = 8 ranks x 2 rows x 8 accumulated" in shown
    assert "run      1,000 steps, 70,400 rows" in shown


def test_many_phases_are_cut_short() -> None:
    shown = describe_plan(plan(phases=[PlannedPhase(10, 128, 64 * size, 8) for size in range(1, 21)]))
    assert "phase 3 " in shown
    assert "… and 14 phases between" in shown
    assert "phase 18" in shown
    assert "phase 10" not in shown


# --------------------------------------------------------------------------------------------------- other machines


def planned(recipe: Settings, directory: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """What the program prints of a plan, without a launcher."""
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe | {"output_dir": str(directory / "out")}))
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "RANK"}
    command = [sys.executable, PROGRAM, "--config", str(path), "--dry_run", *flags]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_plan_for_hundreds_of_gpus_is_made_without_one(tiny_recipe: Settings, tmp_path: Path) -> None:
    """Attention of the other machine may need what is not installed here."""
    recipe = tiny_recipe | {"global_batch_size": 4096, "bf16": True, "attention": "flash_attention_2"}
    result = planned(
        recipe, tmp_path, "--dry_run_ranks", "512", "--dry_run_device", "H100 80GB", "--dry_run_mfu", "0.3"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "8 steps of 4,096 rows of 64 = 512 ranks x 4 rows x 2 accumulated" in result.stdout
    assert "memory   a device of 80 GB, autocast, 512 ranks" in result.stdout
    assert re.search(r"on 512 x H100 80GB if 30% of the peak .* 989\.4 TFLOP/s each", result.stdout)
    assert not (tmp_path / "out").exists()


def test_a_number_of_ranks_that_does_not_divide_the_batch_is_no_plan(tiny_recipe: Settings, tmp_path: Path) -> None:
    result = planned(tiny_recipe, tmp_path, "--dry_run_ranks", "3")
    assert result.returncode == 2
    assert "8 rows cannot be shared by 3 ranks" in error_of(result.stderr)


@pytest.mark.parametrize(
    ("name", "flops", "memory"),
    [
        ("H100", 989.4e12, None),
        ("h100 pcie", 756e12, None),
        ("A100 40GB", 312e12, 40e9),
        ("NVIDIA A100-SXM4-80GB", 312e12, 80e9),
        ("rtx 4090 24 GB", 165.2e12, 24e9),
    ],
)
def test_a_device_is_known_by_its_name(name: str, flops: float, memory: float | None) -> None:
    assert peak_of(name).flops == pytest.approx(flops)
    assert memory_in_name(name) == memory


def test_an_unknown_device_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"MI300: no peak is listed .* B200, H200 NVL, H200, .* A100, .* RTX 3090"):
        peak_of("MI300")
