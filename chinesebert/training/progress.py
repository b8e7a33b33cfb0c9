"""What a run shows while it goes on: a bar on a terminal, and a readable line at each log."""

from collections.abc import Callable
from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments


class LineProgress(ProgressCallback):
    """transformers' progress bars with lines instead of dictionaries; without the bars where they are not wanted.

    Args:
        bars: whether there are any; in a file, every redrawing of a bar would stay.
        line: what a log comes to; "" for one that has nothing to tell.
        tell: prints a line where there is no bar to write it above.
    """

    def __init__(
        self, bars: bool, line: Callable[[TrainerState, dict[str, float]], str], tell: Callable[[str], Any]
    ) -> None:
        super().__init__()
        self._bars, self._line, self._tell = bars, line, tell

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
        line = self._line(state, logs or {})
        if not (line and state.is_world_process_zero):
            return
        if self.training_bar is not None:
            self.training_bar.write(line)
        else:
            self._tell(line)
