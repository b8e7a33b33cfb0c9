"""What a run shows while it goes on."""

import time
from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments


class PretrainingProgress(ProgressCallback):
    """The progress bar of transformers, with one readable line at each log instead of a dictionary."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the bar and the clock."""
        super().on_train_begin(args, state, control, **kwargs)
        self._last = (time.monotonic(), state.global_step)

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to close: evaluation has no bar of its own."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the line above the bar."""
        line = self._line(args, state, logs or {})
        if state.is_world_process_zero and self.training_bar is not None and line:
            self.training_bar.write(line)

    def _line(self, args: Any, state: TrainerState, logs: dict[str, float]) -> str:
        if "eval_loss" in logs:
            return (
                f"step {state.global_step:>7,}  held-out loss {logs['eval_loss']:.3f}  characters "
                f"{logs['eval_char_accuracy']:.1%}  words {logs['eval_word_accuracy']:.1%}"
            )
        if "loss" in logs:
            norm = f"  grad norm {logs['grad_norm']:.2f}" if "grad_norm" in logs else ""  # ZeRO 0 does not tell it
            return (
                f"step {state.global_step:>7,}  loss {logs['loss']:.3f}{norm}  lr {logs['learning_rate']:.2e}  "
                f"epoch {state.epoch:.2f}  {self._speed(args, state):,.0f} tokens/s"
            )
        return ""

    def _speed(self, args: Any, state: TrainerState) -> float:
        """Tokens a second of all ranks together since the last line, everything in between included."""
        (before, step), self._last = self._last, (time.monotonic(), state.global_step)
        return (state.global_step - step) * args.global_batch_size * args.max_length / (self._last[0] - before)
