"""Logging back-ends that fail in the middle of a run, and before it."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import CallbackHandler

from chinesebert.errors import InputError
from chinesebert.training.pretraining import build_callbacks
from chinesebert.training.reporting import Reporting
from tests.test_held_out import settings_of
from tests.test_pretraining import SETTINGS

# A back-end that this environment lacks.
MISSING = next(name for name in ("clearml", "wandb", "mlflow", "dvclive") if importlib.util.find_spec(name) is None)


class Backend(TrainerCallback):
    """Fails with a given error, after it has noted what it was told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.error = error

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._hear("begin", None)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self._hear("log", logs)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._hear("end", None)

    def _hear(self, event: str, logs: Any) -> None:
        self.heard.append((event, logs))
        if self.error is not None:
            raise self.error


def train(backend: TrainerCallback, directory: str = "") -> None:
    """What a run tells its callbacks."""
    args = TrainingArguments(output_dir=directory, use_cpu=True, report_to="none")
    state, control = TrainerState(is_world_process_zero=True), TrainerControl()
    handler = CallbackHandler([Reporting(backend)], None, None, None, None)
    handler.on_train_begin(args, state, control)
    for step in (1, 2):
        state.global_step = step
        handler.on_step_end(args, state, control)
        handler.on_log(args, state, control, {"loss": 3.0 / step})
        handler.on_save(args, state, control)
    handler.on_train_end(args, state, control)


EVENTS = [("begin", None), ("log", {"loss": 3.0}), ("log", {"loss": 1.5}), ("end", None)]


def test_a_backend_hears_all_that_it_would_hear_alone(capsys: pytest.CaptureFixture[str]) -> None:
    backend = Backend()
    train(backend)
    assert backend.heard == EVENTS
    assert capsys.readouterr().err == ""


def test_a_backend_that_fails_is_asked_again_and_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    backend = Backend(OSError("No space\nleft on device"))
    train(backend)
    assert backend.heard == EVENTS
    assert capsys.readouterr().err.count("warning: Backend fails (No space left on device); training goes on") == 1


def test_a_backend_that_is_not_set_up_ends_the_run_at_its_start() -> None:
    with pytest.raises(RuntimeError, match="log in first"):
        train(Backend(RuntimeError("log in first")))


def test_tensorboard_that_cannot_write_ends_nothing(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").write_text("")  # where its folder would be
    train(TensorBoardCallback(), str(tmp_path))
    assert "warning: TensorBoardCallback fails" in capsys.readouterr().err


def test_a_backend_that_is_not_installed_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    args = settings_of(SETTINGS, tmp_path / "recipe.yaml", report_to=MISSING)
    with pytest.raises(InputError, match=r"report_to: .*Callback cannot be used .*install"):
        build_callbacks(args)
