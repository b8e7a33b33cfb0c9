"""Phases, ramps, masking, schedules and optimizers of a run; and that it goes on from the middle of each."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.errors import InputError
from chinesebert.masking import MASKING_STRATEGIES
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.engine import build_optimizer, learning_rate_schedule, parameter_groups
from tests import small_corpora, tiny_checkpoints
from tests import test_warm_start as plain
from tests.pretraining_runs import (
    Settings,
    assert_same_bits,
    entries,
    error_of,
    losses,
    moments,
    stage,
    weights,
)
from tests.rank_server import RankServer
from tests.test_starting_point import write_glyphs

IN_PHASES = {"phases": [{"steps": 4, "max_length": 32, "per_device_train_batch_size": 2}, {"max_length": 64}]}
RAMP = {"global_batch_size": 12, "batch_size_start": 4, "batch_size_increment": 4, "batch_size_ramp_steps": 4}
LAMB = {"optimizer": "lamb", "deepspeed": stage(0)}
RECIPES: dict[str, Settings] = {
    "in the second phase": IN_PHASES | {"save_steps": 5},
    "in the first phase": IN_PHASES | {"save_steps": 3},
    "between phases": IN_PHASES | {"save_steps": 4},
    "in a ramp": RAMP | {"per_device_train_batch_size": 2, "save_steps": 3},
    "in a changing masking rate": {"masking_probability": 0.3, "masking_probability_end": 0.1, "save_steps": 3},
    "with lamb": LAMB | {"save_steps": 3},
    "with cosine and warm-up": {"lr_scheduler_type": "cosine", "warmup_steps": 5, "save_steps": 3},
    "in bfloat16": {"bf16": True, "save_steps": 3},
    "of a mixture": {"masking_strategy": "span", "save_steps": 3},
}
_QUICK = ("in the second phase", "in a ramp", "with lamb", "in bfloat16")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name, marks=[] if name in _QUICK else pytest.mark.slow)
        for name, changes in RECIPES.items()
    ],
)
def test_a_restart_in_the_middle_gives_the_same_bits(
    rank_server: RankServer,
    tiny_recipe: Settings,
    corpora_directory: Path,
    tmp_path: Path,
    changes: Settings,
    request: pytest.FixtureRequest,
) -> None:
    recipe = tiny_recipe | changes
    if "mixture" in request.node.name:
        recipe |= {"train_data": [str(corpora_directory / part) for part in ("train", "heldout")]}
        recipe |= {"data_weights": [3, 1]}
    rank_server.run(recipe | {"output_dir": str(tmp_path / "whole")})
    middle = f"checkpoint-{recipe['save_steps']}"
    shutil.copytree(tmp_path / "whole" / middle, tmp_path / "resumed" / middle)
    rank_server.run(recipe | {"output_dir": str(tmp_path / "resumed")})
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")[recipe["save_steps"] :]
    assert_same_bits(tmp_path / "resumed" / "checkpoint-8", tmp_path / "whole" / "checkpoint-8")


@pytest.fixture(scope="module")
def phased(rank_server: RankServer, tiny_recipe: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that begins with short rows in small batches."""
    output = tmp_path_factory.mktemp("phased")
    ramp = {"batch_size_start": 4, "batch_size_ramp_steps": 2}
    rank_server.run(tiny_recipe | IN_PHASES | ramp | {"output_dir": str(output)}, ranks=1)
    return output


def test_length_and_batch_grow_as_the_recipe_says(phased: Path) -> None:
    logged = entries(phased)
    assert [entry["length"] for entry in logged] == [32] * 4 + [64] * 4
    assert [entry["batch_size"] for entry in logged] == [4, 4, 8, 8, 8, 8, 8, 8]
    assert [entry["consumed_samples"] for entry in logged] == [4, 8, 16, 24, 32, 40, 48, 56]


def test_phases_and_ramp_are_shown_before_the_run(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path
) -> None:
    shown = rank_server.run(tiny_recipe | IN_PHASES | {"max_steps": 5, "output_dir": str(tmp_path)}, ranks=1)
    assert "batch    8 rows = 1 ranks x 2 rows x 4 accumulated, 32 tokens long, from step 1" in shown
    assert "batch    8 rows = 1 ranks x 4 rows x 2 accumulated, 64 tokens long, from step 5" in shown


def test_a_run_in_phases_does_not_go_on_with_others(
    phased: Path, rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path
) -> None:
    shutil.copytree(phased / "checkpoint-8", tmp_path / "checkpoint-8")
    recipe = tiny_recipe | {"max_steps": 12, "output_dir": str(tmp_path)}
    assert "was written with batches" in error_of(rank_server.run(recipe, ranks=1, status=2))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sorted(MASKING_STRATEGIES))
def test_every_masking_strategy_trains(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path, strategy: str
) -> None:
    rank_server.run(tiny_recipe | {"masking_strategy": strategy, "max_steps": 4, "output_dir": str(tmp_path)}, ranks=1)
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]
    # Words count as right or wrong where they are masked whole.
    assert (entries(tmp_path)[-1]["word_accuracy"] == 0) or strategy != "char"


def test_the_pronunciation_of_masked_characters_can_be_learned_too(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path
) -> None:
    recipe = tiny_recipe | {"max_steps": 8, "save_steps": 4, "pronunciation_loss_weight": 0.5}
    rank_server.run(recipe | {"output_dir": str(tmp_path / "whole")})
    shutil.copytree(tmp_path / "whole" / "checkpoint-4", tmp_path / "resumed" / "checkpoint-4")
    rank_server.run(recipe | {"output_dir": str(tmp_path / "resumed")})
    assert_same_bits(tmp_path / "resumed" / "checkpoint-8", tmp_path / "whole" / "checkpoint-8")
    assert any(name.startswith("pronunciation_head") for name in moments(tmp_path / "whole" / "checkpoint-8"))
    # The logged loss is that of the characters alone: a random model's, of either loss, is the log of the choices.
    first = entries(tmp_path / "whole")[0]
    assert first["loss"] == pytest.approx(losses(tmp_path / "whole")[0])
    assert 0 < first["pronunciation_loss"] < first["loss"]
    rank_server.run(recipe | {"pronunciation_loss_weight": 0.0, "output_dir": str(tmp_path / "without")})
    assert abs(losses(tmp_path / "without")[0] - first["loss"]) < 0.2 < 0.5 * first["pronunciation_loss"]


# ------------------------------------------------------------------------------------------------------------ schedules


def rates(name: str, steps: int = 100, warmup: int = 10, **options: Any) -> list[float]:
    """The learning rate of every step, of a run whose highest is 2."""
    schedule = learning_rate_schedule(name, 2.0, warmup, steps, options)
    return [schedule(step) for step in range(steps + 1)]


@pytest.mark.parametrize("name", ["linear", "cosine", "constant_with_warmup"])
def test_every_schedule_warms_up(name: str) -> None:
    assert rates(name)[:11] == pytest.approx([0.2 * step for step in range(11)])


def test_linear_falls_to_nothing() -> None:
    assert rates("linear")[10:] == pytest.approx([2.0 * (100 - step) / 90 for step in range(10, 101)])


def test_cosine_falls_to_nothing_along_half_a_wave() -> None:
    expected = [1 + math.cos(math.pi * (step - 10) / 90) for step in range(10, 101)]
    assert rates("cosine")[10:] == pytest.approx(expected, abs=1e-9)


def test_wsd_is_constant_until_it_decays() -> None:
    found = rates("warmup_stable_decay", num_decay_steps=20, min_lr_ratio=0.1)
    assert found[10:81] == pytest.approx([2.0] * 71)
    assert found[100] == pytest.approx(0.2)
    assert sorted(found[80:], reverse=True) == found[80:]


@pytest.mark.parametrize(
    ("name", "options"),
    [("linaer", {}), ("warmup_stable_decay", {}), ("cosine", {"periods": 3}), ("reduce_lr_on_plateau", {})],
)
def test_a_schedule_that_cannot_be_made_is_named(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"lr_scheduler_type {name}"):
        learning_rate_schedule(name, 1.0, 10, 100, options)


def test_a_run_follows_its_schedule(rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path) -> None:
    schedule = {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 4}}
    rank_server.run(tiny_recipe | schedule | {"warmup_steps": 2, "output_dir": str(tmp_path)}, ranks=1)
    expected = learning_rate_schedule("warmup_stable_decay", 1e-2, 2, 8, {"num_decay_steps": 4})
    assert [entry["learning_rate"] for entry in entries(tmp_path)] == [expected(step) for step in range(8)]


# ----------------------------------------------------------------------------------------------------------- optimizers


def test_biases_and_norms_do_not_decay(tmp_path: Path) -> None:
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    model = ChineseBertForMaskedLM(ChineseBertConfig(vocab_size=50, **sizes))
    decayed, others = parameter_groups(model, 0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    undecayed = {names[id(parameter)] for parameter in others["params"]}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    for name, parameter in model.named_parameters():
        assert (name in undecayed) == (name.endswith("bias") or "LayerNorm" in name), name
        assert parameter.requires_grad
    assert len(decayed["params"]) + len(others["params"]) == len(names)


@pytest.mark.slow
def test_weight_decay_shrinks_weights_alone(rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path) -> None:
    """Two runs of one step from the same weights differ by what decays, and by nothing else."""
    recipe = tiny_recipe | {"max_steps": 1}
    for decay in (0.0, 0.5):
        rank_server.run(recipe | {"weight_decay": decay, "output_dir": str(tmp_path / str(decay))})
    without, decayed = (weights(tmp_path / str(decay) / "checkpoint-1") for decay in (0.0, 0.5))
    same = {name for name in without if torch.equal(without[name], decayed[name])}
    assert any(name.endswith("LayerNorm.weight") for name in same)
    for name, tensor in without.items():
        if name.endswith("bias") or "LayerNorm" in name or not tensor.is_floating_point():
            assert name in same
        elif "glyph_embeddings" not in name and "letter" not in name:
            assert name not in same, name


@pytest.mark.parametrize("number", [1, 2, 3])
def test_lamb_is_refused_where_layers_are_cut_into_parts(number: int) -> None:
    with pytest.raises(InputError, match=f"ZeRO {number} cuts them"):
        build_optimizer("lamb", [{"params": [nn.Parameter(torch.ones(2, 2))]}], 1e-3, (0.9, 0.999), 1e-6, number)


def lamb_steps(weight_decay: float) -> list[float]:
    """How far, of their norms, lamb has moved two layers with gradients of very different size."""
    layers = [nn.Parameter(torch.full((3, 3), size)) for size in (1.0, 10.0)]
    optimizer = build_optimizer(
        "lamb", [{"params": layers, "weight_decay": weight_decay}], 0.01, (0.9, 0.999), 1e-12, 0
    )
    before = [layer.detach().clone() for layer in layers]
    for layer, gradient in zip(layers, (1e-3, 7.0), strict=True):
        layer.grad = torch.full_like(layer, gradient)
    optimizer.step()
    return [float((layer.detach() - old).norm() / old.norm()) for layer, old in zip(layers, before, strict=True)]


def test_lamb_moves_each_layer_by_its_own_norm() -> None:
    """The step of a layer is learning rate x its norm, whatever the size of its gradient (You et al. 2020)."""
    assert lamb_steps(weight_decay=0.1) == pytest.approx([0.01, 0.01], rel=1e-4)


def test_lamb_moves_what_does_not_decay_by_its_gradient_alone() -> None:
    first, second = lamb_steps(weight_decay=0.0)
    assert first == pytest.approx(10 * second, rel=1e-4)


def test_an_optimizer_that_needs_a_gpu_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="needs a CUDA GPU"):
        build_optimizer("deepspeed_adam", [], 1e-3, (0.9, 0.999), 1e-6, 1)


# ------------------------------------------------------------------------------------------------------ starting points


def test_a_run_begins_with_the_weights_of_another(
    phased: Path, rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path
) -> None:
    """With a learning rate of nothing its weights are those that it began with."""
    recipe = {name: value for name, value in tiny_recipe.items() if name not in ("model", "glyphs")}
    start = {"init_from": str(phased / "hf"), "learning_rate": 0.0, "max_steps": 1, "output_dir": str(tmp_path)}
    rank_server.run(recipe | start)
    begun, found = weights(phased / "checkpoint-8"), weights(tmp_path / "checkpoint-1")
    assert all(torch.equal(found[name], begun[name]) for name in begun)


@pytest.mark.slow
def test_glyph_rows_are_trained_where_that_is_asked_for(
    phased: Path, rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path
) -> None:
    recipe = tiny_recipe | {"max_steps": 6, "save_steps": 3, "glyph_trainable": True, "deepspeed": stage(2)}
    rank_server.run(recipe | {"output_dir": str(tmp_path / "whole")})
    rows = "bert.embeddings.glyph_embeddings.embedding.weight"
    first, last = (weights(tmp_path / "whole" / f"checkpoint-{step}")[rows] for step in (3, 6))
    assert first.is_floating_point()
    assert not torch.equal(first, last)
    assert rows in moments(tmp_path / "whole" / "checkpoint-6")
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "resumed" / "checkpoint-3")
    rank_server.run(recipe | {"output_dir": str(tmp_path / "resumed")})
    assert_same_bits(tmp_path / "resumed" / "checkpoint-6", tmp_path / "whole" / "checkpoint-6")


def run_from(
    server: RankServer, recipe: Settings, checkpoint: Path, tokenizer: ChineseBertTokenizer, **more: Any
) -> Path:
    """Three steps from a foreign checkpoint, on a corpus prepared with its vocabulary, twice: the second goes on."""
    folder = checkpoint.parent
    corpus = small_corpora.prepare(folder / "corpus", small_corpora.DOCUMENTS * 9, tokenizer)
    recipe = {name: value for name, value in recipe.items() if name not in ("model", "glyphs")} | {
        "train_data": [str(corpus)],
        "init_from": str(checkpoint),
        "max_length": 16,
        "max_steps": 3,
        "save_steps": 2,
        "output_dir": str(folder / "whole"),
        **more,
    }
    server.run(recipe)
    shutil.copytree(folder / "whole" / "checkpoint-2", folder / "resumed" / "checkpoint-2")
    server.run(recipe | {"output_dir": str(folder / "resumed")})
    assert_same_bits(folder / "resumed" / "checkpoint-3", folder / "whole" / "checkpoint-3")
    assert all(math.isfinite(loss) for loss in losses(folder / "whole"))
    _, info = ChineseBertForMaskedLM.from_pretrained(folder / "whole" / "hf", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return folder / "whole"


@pytest.mark.parametrize("trained", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_released_checkpoint_is_trained_further(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path, trained: bool
) -> None:
    state = tiny_checkpoints.released_state(tiny_checkpoints.reference_model())
    checkpoint = tiny_checkpoints.write_released(tmp_path / "tiny", state)
    tokenizer = ChineseBertTokenizer.from_pretrained(checkpoint)
    run = run_from(rank_server, tiny_recipe, checkpoint, tokenizer, glyph_trainable=trained)
    rows = weights(run / "checkpoint-3")[tiny_checkpoints.GLYPH_ROWS]
    assert torch.equal(rows, state[tiny_checkpoints.GLYPH_ROWS]) != trained


@pytest.mark.slow
def test_a_plain_bert_is_trained_further(rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path) -> None:
    checkpoint = tmp_path / "bert"
    checkpoint.mkdir()
    plain.write_safetensors(checkpoint)
    tokenizer = ChineseBertTokenizer.from_vocabulary(checkpoint / "vocab.txt")
    (tmp_path / "glyphs").mkdir()
    glyphs = write_glyphs(tmp_path / "glyphs", tokenizer.tokens())
    run_from(rank_server, tiny_recipe, checkpoint, tokenizer, glyphs=glyphs)
