"""What runs show while they train."""

from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from chinesebert.training.callbacks import pretraining_progress

LOGS = {"loss": 5.25, "grad_norm": 0.5, "learning_rate": 1e-3, "epoch": 0.5, "tokens_per_second": 6300.0}


@pytest.mark.parametrize("first", [True, False], ids=["first rank", "another rank"])
def test_in_a_file_there_are_lines_of_the_first_rank_and_no_bar(
    capsys: pytest.CaptureFixture[str], first: bool
) -> None:
    progress = pretraining_progress(bars=True)
    args: Any = None
    state = TrainerState(global_step=50, max_steps=100, is_world_process_zero=first)
    progress.on_train_begin(args, state, TrainerControl())
    progress.on_step_end(args, state, TrainerControl())
    progress.on_log(args, state, TrainerControl(), logs=dict(LOGS))
    progress.on_log(args, state, TrainerControl(), logs={"nothing": 1.0})
    progress.on_train_end(args, state, TrainerControl())
    shown = capsys.readouterr()
    assert shown.err == ""
    line = "step      50  loss 5.250  grad norm 0.50  lr 1.00e-03  epoch 0.50  6,300 tokens/s\n"
    assert shown.out == (line if first else "")
