"""The lines that a fine-tuning run shows while it trains."""

from chinesebert.finetuning.process import say
from chinesebert.training.progress import LineProgress


def finetuning_progress(bars: bool) -> LineProgress:
    """A line at each log, and bars where they are wanted."""
    return LineProgress(bars, lambda state, logs: log_line(state.global_step, state.max_steps, logs), say)


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
