"""What a fine-tuning run shows while it trains: a bar on a terminal, and a readable line at each log."""

from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments

from chinesebert.finetuning.process import say


class FinetuningProgress(ProgressCallback):
    """transformers' progress bars with lines instead of dictionaries; without the bars where they are disabled."""

    def __init__(self, bars: bool) -> None:
        super().__init__()
        self._bars = bars

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the bar where the run stands."""
        if self._bars:
            super().on_train_begin(args, state, control, **kwargs)
            if self.training_bar is not None:
                self.training_bar.update(state.global_step)
        self.current_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Moves the bar on."""
        if self._bars:
            super().on_step_end(args, state, control, **kwargs)

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Moves the bar of an evaluation on."""
        if self._bars:
            super().on_prediction_step(args, state, control, eval_dataloader=eval_dataloader, **kwargs)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Closes the bar."""
        if self._bars:
            super().on_train_end(args, state, control, **kwargs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the line, above the bar where there is one."""
        line = log_line(state.global_step, state.max_steps, logs or {})
        if not (line and state.is_world_process_zero):
            return
        if self.training_bar is not None:
            self.training_bar.write(line)
        else:
            say(line)


def log_line(step: int, steps: int, logs: dict[str, float]) -> str:
    """A log of transformers' ``Trainer`` in a line; "" for its last one, which has nothing that no other line has."""
    place = f"  step {step:>{len(str(steps))}} of {steps}  epoch {logs.get('epoch', 0):.2f}"
    if any(name.startswith("eval_") for name in logs):
        hidden = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time")
        figures = [
            f"{name.removeprefix('eval_')} {value:.4f}"
            for name, value in logs.items()
            if name.startswith("eval_") and name not in hidden
        ]
        return f"{place}  dev: {', '.join(figures)}"
    if "loss" in logs:
        return f"{place}  loss {logs['loss']:.4f}  lr {logs.get('learning_rate', 0):.2e}"
    return ""
