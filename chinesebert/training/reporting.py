"""Logging back-ends (TensorBoard and the like) of a run, whose failures are theirs alone."""

import sys
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Reporting(TrainerCallback):
    """A logging back-end that may fail, on a full disk or without a network: the run goes on, and stderr is told once.

    Nothing is lost: ``logs/metrics.jsonl`` has the same figures.

    Args:
        backend: a callback of transformers.
    """

    def __init__(self, backend: TrainerCallback) -> None:
        self._backend = backend
        self._failed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A back-end that is not set up (no account, say) ends the run here: its user is still there to see it."""
        try:
            self._backend.on_train_begin(args, state, control, **kwargs)
        except OSError as error:
            self._tell(error)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Hands it on."""
        self._try("on_step_end", *args, **kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Hands figures on."""
        self._try("on_log", *args, **kwargs)

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Hands it on."""
        self._try("on_save", *args, **kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Closes the back-end."""
        self._try("on_train_end", *args, **kwargs)

    def _try(self, event: str, *args: Any, **kwargs: Any) -> None:
        try:
            getattr(self._backend, event)(*args, **kwargs)
        except Exception as error:  # of a library and a service that are not ours
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            why = " ".join(str(error).split()) or type(error).__name__
            name = type(self._backend).__name__
            print(f"\nwarning: {name} fails ({why}); training goes on, the log has its figures", file=sys.stderr)
        self._failed = True
