"""The training loop: a step at a time, with all that can go wrong between two of them.

It is a loop of its own and not transformers' ``Trainer``, because of what a run of weeks must do and a ``Trainer`` does
not let its subclasses do: look at the gradients of all ranks before the weights change, go on with another number of
ranks, and change length and batch size on the way. Settings, logging back-ends and callbacks are transformers' own.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

from chinesebert.corpus.order import mix
from chinesebert.errors import InputError
from chinesebert.training import evaluation
from chinesebert.training.arguments import PretrainingArguments
from chinesebert.training.batches import StepReader, adder_on_cpu, to_device
from chinesebert.training.checkpoints import HF_DIRECTORY, Progress, SaveError, list_checkpoints
from chinesebert.training.engine import TrainingEngine
from chinesebert.training.metrics import MaskedAccuracy
from chinesebert.training.run_log import RunLog
from chinesebert.training.stopping import StopRequest
from chinesebert.training.throughput import Meter
from chinesebert.training.timeline import Timeline

_CHECK_SECONDS = 10.0


class TrainingStopped(InputError):
    """The run cannot go on; all ranks raise it."""


@dataclass
class Parts:
    """What the loop puts together.

    Attributes:
        engine: model and optimizer.
        timeline: which samples each step reads.
        batches: this rank's micro-batches, from the step that the run stands at; the loop closes it.
        learning_rate: of each step.
        progress: where the run stands; the loop moves it on.
        meter: speed and waste.
        count: what a micro-batch holds, for the meter.
        evaluate: measures held-out text, given whether the run is to stop and the length of the rows; gives None if
            it stopped in the middle.
        complete: guesses for the cloze sentences.
        save: writes a checkpoint of where the run stands.
        changed: names a file of the corpora that is no longer what it was; None while all are.
        log: of the run, on the first rank.
        handler: transformers' callbacks: progress bar and logging back-ends.
        pronunciation_loss_weight: of the model.
    """

    engine: TrainingEngine
    timeline: Timeline
    batches: Generator[dict[str, Any], None, None]
    learning_rate: Callable[[int], float]
    progress: Progress
    meter: Meter
    count: Callable[[dict[str, Any]], Any]
    evaluate: Callable[..., dict[str, float] | None] | None
    complete: Callable[[], list[dict[str, Any]]] | None
    save: Callable[[], Path]
    changed: Callable[[], str | None]
    log: RunLog | None
    handler: CallbackHandler
    pronunciation_loss_weight: float


class TrainingLoop:
    """Runs from where ``parts.progress`` stands to the last step, or until it is asked to stop.

    Args:
        args: of the run.
        parts: what it works with.
        state: transformers' view of the run, for the callbacks.
        epochs: the passes over the data after so many samples, by name.
        stop: whether this rank has been asked to stop.
    """

    def __init__(
        self,
        args: PretrainingArguments,
        parts: Parts,
        state: TrainerState,
        epochs: Callable[[int], dict[str, float]],
        stop: StopRequest,
    ) -> None:
        self._args, self._parts, self._epochs = args, parts, epochs
        self._state, self._control = state, TrainerControl()
        self._saved_at = parts.progress.step if parts.progress.step else -1
        self._checked = time.monotonic()
        self._losses, self._steps = [0.0, 0.0], 0
        self._stop = stop
        self._reader = StepReader(parts.batches, parts.count, adder_on_cpu(timedelta(seconds=args.ddp_timeout)))

    def run(self) -> str | None:
        """Trains; returns why it ended early, or None at the end of the run.

        Raises:
            TrainingStopped: gradients are not finite step after step, the corpus changes, or a checkpoint cannot be
                written and the run is to stop then.
        """
        try:
            return self._run()
        except TrainingStopped:
            raise
        except Exception as error:
            _let_workers_die()
            if (changed := self._parts.changed()) is None:
                raise
            raise self._lost(changed) from error

    def _lost(self, changed: str) -> TrainingStopped:
        """What a run says that failed because its corpus had changed.

        The kernel ends a loader's worker that reads what has been cut off; torch takes that for a lack of shared
        memory, the other ranks for a lost connection, and numbers that are no text for a model of another vocabulary.
        All ranks of a machine say so: the first may be ended before it can.
        """
        message = f"{changed}: changed while it is trained on, and what was read of it is gone; prepare it elsewhere"
        if self._args.local_process_index != 0:
            print(f"rank {self._args.process_index}: {message}", file=sys.stderr, flush=True)
        return TrainingStopped(message)

    def _run(self) -> str | None:
        parts, args = self._parts, self._args
        self._control = parts.handler.on_train_begin(args, self._state, self._control)
        parts.engine.model.train()
        try:
            stopping = self._evaluate() if self._lacks_evaluation() else None
            while not stopping and parts.progress.step < parts.timeline.steps:
                stopping = self._step() or self._save_and_evaluate()
            if self._saved_at != parts.progress.step:
                self._save(last=True)
        finally:
            _let_workers_die()
            parts.batches.close()
            self._control = parts.handler.on_train_end(args, self._state, self._control)
        if stopping and parts.log:
            parts.log.event(parts.progress.step, "stopped", reason=stopping)
        return stopping

    def _lacks_evaluation(self) -> bool:
        """Whether the run was stopped in its last step before it could evaluate."""
        lacks = self._parts.log is not None and evaluation.is_missing(self._args, self._parts.progress.step)
        return self._sum(lacks)[0] > 0

    def _save_and_evaluate(self) -> str | None:
        """What is due after a step; returns why the run is to stop, if it is.

        What an evaluation may come to does not cost the steps before it: they are saved first.
        """
        args, step = self._args, self._parts.progress.step
        if args.save_strategy != "no" and (step % int(args.save_steps) == 0 or step == self._parts.timeline.steps):
            self._save(last=False)
        return self._evaluate() if evaluation.is_due(args, step) else None

    def _step(self) -> str | None:
        """One optimizer step; returns why the run is to stop, if it is."""
        parts, engine, step = self._parts, self._parts.engine, self._parts.progress.step
        segment = parts.timeline.at(step)
        # Dropout is a function of (seed, step, rank): a run that goes on from here draws the same.
        torch.manual_seed(mix(self._args.seed ^ mix(step)) ^ self._args.process_index)
        logging = self._logs(step + 1)
        with parts.meter.waiting():
            read = self._reader.read(segment.micro_batches(engine.world_size))
        device = self._args.device
        accuracy = MaskedAccuracy(device)
        # Of a model that predicts pronunciations, the loss of the characters is told without the other.
        loss, heard = torch.zeros(2, dtype=torch.float64, device=device)
        weight = parts.pronunciation_loss_weight
        for number, batch in enumerate(read.micro_batches, start=1):
            inputs = to_device(batch, device)
            outputs = engine.forward(**inputs, num_items_in_batch=read.masked)
            engine.backward(outputs.loss, last=number == len(read.micro_batches))
            loss += outputs.loss.detach()
            if weight:
                loss -= weight * outputs.pronunciation_loss
                heard += outputs.pronunciation_loss
            if logging:
                with torch.no_grad():
                    accuracy.add(outputs.logits, inputs["labels"], batch["word_numbers"].to(device))
            parts.meter.add(read.counts[number - 1])
        self._read_ahead(step + 1)
        updated = engine.step(parts.learning_rate(step))
        *losses, stop, changed = self._sum(loss, heard, bool(self._stop), self._corpus_changed())
        self._move_on(step, segment.batch_size, updated, losses, int(read.text_tokens))
        if changed:
            raise self._changed()
        if logging:
            self._log(accuracy)
        return (self._stop.reason or "a signal to another rank") if stop else None

    def _read_ahead(self, step: int) -> None:
        """Reads what a step needs, while the device is busy with the one before."""
        parts = self._parts
        if step < parts.timeline.steps:
            with parts.meter.waiting():
                self._reader.read_ahead(parts.timeline.at(step).micro_batches(parts.engine.world_size))

    def _move_on(self, step: int, samples: int, updated: bool, losses: list[float], tokens: int) -> None:
        progress = self._parts.progress
        progress.step += 1
        progress.consumed_samples += samples
        progress.tokens_seen += tokens
        progress.updates += updated
        progress.skipped_in_a_row = 0 if updated else progress.skipped_in_a_row + 1
        self._state.global_step = progress.step
        if updated:
            self._losses = [before + now for before, now in zip(self._losses, losses, strict=True)]
            self._steps += 1
        else:
            self._skipped(step, samples)
        self._control = self._parts.handler.on_step_end(self._args, self._state, self._control)

    def _skipped(self, step: int, samples: int) -> None:
        """Tells of a step without finite gradients; after too many in a row, ends the run."""
        progress, log = self._parts.progress, self._parts.log
        first = progress.consumed_samples - samples
        if log:
            log.event(step + 1, "skipped", first_sample=first, samples=samples)
            print(
                f"\nwarning: step {step + 1:,}: loss or gradient is not finite; skipped (samples {first:,} to "
                f"{first + samples - 1:,})",
                flush=True,
            )
        if progress.skipped_in_a_row < self._args.nonfinite_steps:
            return
        where = Path(self._args.output_dir or "") / f"nonfinite-step-{step + 1}.json"
        if log:
            batch = {"step": step + 1, "sample_indices": list(range(first, first + samples))}
            try:
                where.write_text(json.dumps(batch) + "\n", encoding="utf-8")
            except OSError as error:  # the disk may be full; which samples they are has been printed
                print(f"warning: {where}: cannot be written ({error.strerror})", flush=True)
        raise TrainingStopped(
            f"{progress.skipped_in_a_row} steps in a row have no finite loss and gradient; the samples of the last are "
            f"in {where}. {self._way_on()}"
        )

    def _way_on(self) -> str:
        """What to do where the same steps would fail again: other samples need another seed, and so another run."""
        saved = list_checkpoints(Path(self._args.output_dir or ""))
        if not saved:
            return "Begin again with a lower learning rate, or with other samples: --seed S --output_dir DIR"
        return (
            f"Go on with a lower learning rate, or begin another run with the weights of {saved[-1].name} or one "
            f"before, and with other samples: --init_from {saved[-1] / HF_DIRECTORY} --seed S --output_dir DIR"
        )

    def _corpus_changed(self, now: bool = False) -> bool:
        """Looks at the files of the corpora, on the first rank: at once, or where the last time is a while ago."""
        if self._parts.log is None or not (now or time.monotonic() - self._checked >= _CHECK_SECONDS):
            return False
        self._checked = time.monotonic()
        return self._parts.changed() is not None

    def _changed(self) -> TrainingStopped:
        return TrainingStopped(
            f"{self._parts.changed() or 'a corpus'}: changed while it is trained on; prepare it elsewhere"
        )

    def _logs(self, step: int) -> bool:
        return self._due_at(step) or (step == 1 and self._args.logging_first_step)

    def _due_at(self, step: int) -> bool:
        return step % int(self._args.logging_steps) == 0 or step == self._parts.timeline.steps

    def _log(self, accuracy: MaskedAccuracy) -> None:
        parts, progress = self._parts, self._parts.progress
        accuracy.sums = self._reduced(accuracy.sums)
        measured = accuracy.compute()
        segment = parts.timeline.at(progress.step - 1)
        loss, heard = (total / self._steps if self._steps else float("nan") for total in self._losses)
        values = {
            "loss": loss,
            "loss_steps": self._steps,  # fewer than logging_steps after a restart in between, or a step skipped
            **({"pronunciation_loss": heard} if parts.pronunciation_loss_weight else {}),
            "char_accuracy": measured["char_accuracy"],
            "word_accuracy": measured["word_accuracy"],
            "learning_rate": parts.learning_rate(progress.step - 1),
            "grad_norm": parts.engine.grad_norm,
            **self._epochs(progress.consumed_samples),
            "consumed_samples": progress.consumed_samples,
            "tokens_seen": progress.tokens_seen,
            "skipped_steps": progress.skipped_steps,
            "batch_size": segment.batch_size,
            "length": segment.length,
            **parts.meter.figures(lambda figures: self._sum(*figures)),
        }
        self._losses, self._steps = [0.0, 0.0], 0
        self._tell(values)
        if parts.log:
            parts.log.train(progress.step, **values)

    def _tell(self, values: dict[str, float]) -> None:
        """Hands figures to the callbacks: the line on the screen, TensorBoard and the like."""
        self._state.epoch = values.get("epoch", self._state.epoch)
        self._control = self._parts.handler.on_log(self._args, self._state, self._control, values)

    def _evaluate(self) -> str | None:
        parts, step = self._parts, self._parts.progress.step
        if parts.evaluate is None:
            return None
        with parts.meter.paused():
            started = time.monotonic()
            length = parts.timeline.at(step - 1).length
            metrics = parts.evaluate(lambda: self._sum(bool(self._stop))[0] > 0, length)
            if metrics is None:
                return self._stop.reason or "a signal to another rank"
            metrics["eval_seconds"] = round(time.monotonic() - started, 2)
            sentences = parts.complete() if parts.complete else None
        self._tell(metrics)
        if parts.log:
            parts.log.evaluation(step, **metrics)
            if sentences:
                parts.log.cloze(step, sentences)
        return None

    def _save(self, last: bool) -> None:
        parts, step = self._parts, self._parts.progress.step
        # A checkpoint, and what is published at the end, is of the text that the run began with alone.
        if self._sum(self._corpus_changed(now=True))[0]:
            raise self._changed()
        try:
            with parts.meter.paused():
                path = parts.save()
        except SaveError as error:
            if parts.log:
                parts.log.event(step, "save_failed", error=str(error))
            message = (
                f"the checkpoint of step {step:,} could not be written ({error}); the ones before are as they were"
            )
            if last or self._args.save_failure == "stop":
                raise TrainingStopped(message) from error
            if parts.log:
                print(f"\nwarning: {message}; training goes on", flush=True)
            return
        self._saved_at = step
        self._control = parts.handler.on_save(self._args, self._state, self._control)
        if parts.log:
            parts.log.event(step, "saved", checkpoint=path.name)

    def _sum(self, *values: Any) -> list[float]:
        """Adds numbers up over ranks, in float64."""
        numbers = torch.stack(
            [torch.as_tensor(value, dtype=torch.float64, device=self._args.device) for value in values]
        )
        return self._reduced(numbers).tolist()

    def _reduced(self, numbers: torch.Tensor) -> torch.Tensor:
        if dist.get_world_size() > 1:
            dist.all_reduce(numbers)
        return numbers


def _let_workers_die() -> None:
    """Keeps torch from raising for each worker of a loader that dies, wherever the program is then.

    At the end of a run nobody waits for them, and several may die of what ends it.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
