"""What a run shows while it goes on."""

import functools
import os
import sys
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from chinesebert.training.progress import LineProgress


def pretraining_progress(bars: bool) -> LineProgress:
    """A line at each log, and a bar where it is wanted and somebody sees it move."""
    return LineProgress(
        bars and sys.stderr.isatty(),
        lambda state, logs: _line(state.global_step, logs),
        functools.partial(print, flush=True),
    )


class TensorBoard(TensorBoardCallback):
    """The figures of all starts of a run as one curve, in ``runs`` or where ``TENSORBOARD_LOGGING_DIR`` says.

    transformers begins a folder at each start, and steps that are done again after a kill are in both. Here the new
    start takes back what the one before wrote of later steps than it goes on from.
    """

    logging_dir: str | None
    tb_writer: Any

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Opens the folder at the step that the run stands at."""
        if self.logging_dir is None:
            self.logging_dir = os.path.join(args.output_dir or "", "runs")
        if state.is_world_process_zero and self.tb_writer is None:
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=state.global_step + 1)
        super().on_train_begin(args, state, control, **kwargs)


def _line(step: int, logs: dict[str, float]) -> str:
    if "eval_loss" in logs:
        return (
            f"step {step:>7,}  held-out loss {logs['eval_loss']:.3f}  right: whole words "
            f"{logs['eval_whole_word_word_accuracy']:.1%}, their characters "
            f"{logs['eval_whole_word_char_accuracy']:.1%}, single characters {logs['eval_character_char_accuracy']:.1%}"
        )
    if "loss" in logs:
        skipped = f"  {logs['skipped_steps']:,} skipped" if logs.get("skipped_steps") else ""
        mfu = f"  MFU {logs['mfu']:.1%}" if "mfu" in logs else ""
        return (
            f"step {step:>7,}  loss {logs['loss']:.3f}  grad norm {logs['grad_norm']:.2f}  lr "
            f"{logs['learning_rate']:.2e}  epoch {logs['epoch']:.2f}  {logs['tokens_per_second']:,.0f} tokens/s{mfu}"
            f"{skipped}"
        )
    return ""
