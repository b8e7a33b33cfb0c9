"""One loss and one gradient for every way of sharing a global batch, other numbers of ranks, the same bits again."""

import functools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pretraining_runs import (
    Settings,
    assert_same_bits,
    entries,
    launch,
    losses,
    moments,
    stage,
    weights,
)
from tests.rank_server import RankServer


def slow(*values: Any) -> Any:
    """Values of a test that runs with all tests only."""
    return pytest.param(*values, marks=pytest.mark.slow)


# Ranks and rows of a micro-batch; of a global batch of eight, the rest is accumulated.
WHOLE = (1, 8)
SPLITS = [(2, 4), (4, 2), slow((1, 2)), slow((2, 1))]
STAGES = [0, 1, 2, 3]


def run_split(server: RankServer, recipe: Settings, directory: Path, split: tuple[int, int]) -> Path:
    """Runs ``first``, one step without clipping, and ``run``, twenty steps."""
    ranks, rows = split
    recipe = recipe | {"per_device_train_batch_size": rows, "max_steps": 20, "output_dir": str(directory / "run")}
    server.run(recipe, ranks)
    server.run(recipe | {"max_grad_norm": 0, "max_steps": 1, "output_dir": str(directory / "first")}, ranks)
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, rank_server: RankServer, exact_recipe: Settings) -> Path:
    """The global batch in one micro-batch of one rank."""
    return run_split(rank_server, exact_recipe, tmp_path_factory.mktemp("whole"), WHOLE)


@pytest.fixture(scope="module", params=SPLITS, ids=lambda split: f"{split[0]}x{split[1]}")
def split(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    rank_server: RankServer,
    exact_recipe: Settings,
) -> Path:
    """The same global batch, shared."""
    return run_split(rank_server, exact_recipe, tmp_path_factory.mktemp("split"), request.param)


def test_the_first_loss_is_that_of_the_whole_batch(whole: Path, split: Path) -> None:
    assert losses(split / "first") == pytest.approx(losses(whole / "first"), rel=1e-6)


def test_the_first_gradient_is_that_of_the_whole_batch(whole: Path, split: Path) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    expected, found = (moments(path / "first" / "checkpoint-1") for path in (whole, split))
    total = math.hypot(*(float(gradient.norm()) for gradient in expected.values()))
    assert total > 0.01
    for name, gradient in expected.items():
        # Attention does not see the bias of its keys: that gradient is rounding alone.
        allowed = 1e-5 * max(float(gradient.norm()), 1e-4 * total)
        assert float((found[name] - gradient).norm()) <= allowed, name


def test_losses_stay_those_of_the_whole_batch(whole: Path, split: Path) -> None:
    assert len(losses(split / "run")) == 20
    assert losses(split / "run") == pytest.approx(losses(whole / "run"), abs=1e-4)
    assert losses(split / "run")[-1] < losses(split / "run")[0] - 0.5  # something has been learned on the way


@pytest.mark.slow
def test_the_launcher_gives_the_losses_of_the_whole_batch(whole: Path, exact_recipe: Settings, tmp_path: Path) -> None:
    for ranks, rows in ((1, 8), (2, 4), (4, 2)):
        output = tmp_path / f"{ranks}" / "out"
        settings = {"per_device_train_batch_size": rows, "max_steps": 20, "output_dir": str(output)}
        launch(exact_recipe | settings, output.parent, ranks)
        assert losses(output) == pytest.approx(losses(whole / "run"), abs=1e-4)


# --------------------------------------------------------------------------------------------- other numbers of ranks


@pytest.fixture(scope="module")
def elastic_recipe(exact_recipe: Settings) -> Settings:
    """Twelve rows, which one, two and three ranks can share."""
    return exact_recipe | {
        "global_batch_size": 12,
        "per_device_train_batch_size": 2,
        "max_steps": 9,
        "save_steps": 3,
        "warmup_steps": 2,
    }


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, rank_server: RankServer, elastic_recipe: Settings
) -> Callable[[int], Path]:
    """A run on two ranks with a ZeRO stage."""
    directory = tmp_path_factory.mktemp("stages")

    @functools.cache
    def run(number: int) -> Path:
        output = directory / str(number)
        rank_server.run(elastic_recipe | {"deepspeed": stage(number), "output_dir": str(output)}, ranks=2)
        return output

    return run


@pytest.mark.parametrize("number", [slow(0), slow(2), 3])
def test_every_zero_stage_trains_to_the_same_losses(undisturbed: Callable[[int], Path], number: int) -> None:
    assert losses(undisturbed(number)) == pytest.approx(losses(undisturbed(1)), abs=1e-4)


TWO_ONE_TWO, TWO_THREE_ONE = ((1, 2), (0, 0)), ((3, 1), (1, 2))
CHAINS = [(3, *TWO_ONE_TWO), slow(1, *TWO_ONE_TWO), slow(2, *TWO_THREE_ONE)]
CHAINS += [slow(0, *TWO_ONE_TWO), slow(2, *TWO_ONE_TWO), *(slow(number, *TWO_THREE_ONE) for number in (0, 1, 3))]


@pytest.mark.parametrize(("number", "ranks", "stages_later"), CHAINS)
def test_a_run_goes_on_with_another_number_of_ranks(
    undisturbed: Callable[[int], Path],
    rank_server: RankServer,
    elastic_recipe: Settings,
    tmp_path: Path,
    number: int,
    ranks: tuple[int, int],
    stages_later: tuple[int, int],
) -> None:
    """Steps 1 to 3 are on two ranks, 4 to 6 and 7 to 9 on others, where asked for with other ZeRO stages."""
    before = undisturbed(number)
    for first_step, count, later in zip((3, 6), ranks, stages_later, strict=True):
        output = tmp_path / str(first_step)
        shutil.copytree(before / f"checkpoint-{first_step}", output / f"checkpoint-{first_step}")
        rank_server.run(
            elastic_recipe | {"deepspeed": stage((number + later) % 4), "output_dir": str(output)}, ranks=count
        )
        assert losses(output) == pytest.approx(losses(undisturbed(1))[first_step:], abs=1e-4)
        assert [entry["consumed_samples"] for entry in entries(output)] == list(range(12 * (first_step + 1), 109, 12))
        before = output
    final, expected = weights(before / "checkpoint-9"), weights(undisturbed(1) / "checkpoint-9")
    assert all((final[name] - expected[name]).abs().max() < 1e-3 for name in expected)


# -------------------------------------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("number", [slow(0), slow(1), slow(2), 3])
def test_a_restart_on_as_many_ranks_gives_the_same_bits(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path, number: int
) -> None:
    """With dropout, and loader workers in the second run."""
    recipe = tiny_recipe | {"deepspeed": stage(number), "save_steps": 3}
    rank_server.run(recipe | {"output_dir": str(tmp_path / "whole")})
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "resumed" / "checkpoint-3")
    rank_server.run(recipe | {"output_dir": str(tmp_path / "resumed"), "dataloader_num_workers": 1})
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")[3:]
    assert_same_bits(tmp_path / "resumed" / "checkpoint-8", tmp_path / "whole" / "checkpoint-8")
