"""What TensorBoard shows of a run that was killed and goes on."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerControl, TrainerState, TrainingArguments

from chinesebert.training.callbacks import TensorBoard


def train(directory: Path, first: int, last: int, loss: float) -> None:
    """Logs steps, and ends as a kill would: without closing anything."""
    args = TrainingArguments(output_dir=str(directory), use_cpu=True, report_to="none")
    state, control = TrainerState(is_world_process_zero=True, global_step=first - 1), TrainerControl()
    callback = TensorBoard()
    callback.on_train_begin(args, state, control)
    for step in range(first, last + 1):
        state.global_step = step
        callback.on_log(args, state, control, {"loss": loss})


def shown(directory: Path) -> list[tuple[int, float]]:
    """(step, loss) as TensorBoard reads them."""
    events = EventAccumulator(str(directory)).Reload()
    return [(event.step, event.value) for event in events.Scalars("train/loss")]


def test_steps_that_are_done_again_are_shown_once(tmp_path: Path) -> None:
    train(tmp_path, 1, 6, loss=2.0)
    train(tmp_path, 5, 7, loss=1.0)  # goes on from the checkpoint of step 4
    train(tmp_path, 8, 9, loss=0.5)
    expected = [(1, 2.0), (2, 2.0), (3, 2.0), (4, 2.0), (5, 1.0), (6, 1.0), (7, 1.0), (8, 0.5), (9, 0.5)]
    assert shown(tmp_path / "runs") == expected


def test_a_rank_that_is_not_the_first_writes_nothing(tmp_path: Path) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    TensorBoard().on_train_begin(args, TrainerState(is_world_process_zero=False), TrainerControl())
    assert not (tmp_path / "runs").exists()


def test_where_the_folder_cannot_be_written_no_other_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs").write_text("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    args = TrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to="none")
    state, callback = TrainerState(is_world_process_zero=True), TensorBoard()
    with pytest.raises(OSError, match="runs"):
        callback.on_train_begin(args, state, TrainerControl())
    with pytest.raises(OSError, match="runs"):
        callback.on_log(args, state, TrainerControl(), {"loss": 1.0})
    assert list((tmp_path / "here").iterdir()) == []
