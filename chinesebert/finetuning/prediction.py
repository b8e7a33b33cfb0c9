"""Predictions of a fine-tuned model for records that somebody has, a batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_pt_utils import nested_concat, nested_numpify

import chinesebert
from chinesebert.errors import InputError
from chinesebert.finetuning.starting_model import load_tokenizer, saved_task
from chinesebert.tasks.kinds import KINDS, Encoded, Kind, Lengths


@dataclass(frozen=True)
class Prediction:
    """What a model says of an example; ``score`` is how sure it is (a probability), None where its kind gives none."""

    prediction: Any
    score: float | None = None


class Predictor:
    """A fine-tuned model with the kind of its task.

    Args:
        directory: of the model; the output of a run, or, over several seeds, the folder above ``best``.
        batch_size: inputs that are scored at a time.
        device: where; by default the accelerator of this machine, or the processor.

    Raises:
        InputError: the directory holds no model, or one that is not fine-tuned; or there is no such device.
    """

    def __init__(self, directory: str, batch_size: int = 32, device: str | None = None) -> None:
        best = Path(directory) / "best"
        directory = str(best) if best.is_dir() and not (Path(directory) / "config.json").is_file() else directory
        self.saved = saved_settings(directory)
        self.kind: Kind = KINDS[self.saved["kind"]](self.saved["labels"])
        self.kind.restore(self.saved.get("state", {}))
        self.tokenizer = load_tokenizer(directory)
        self.lengths = Lengths(*(self.saved[name] for name in ("max_seq_length", "doc_stride", "truncation")))
        self.batch_size = batch_size
        self._model = getattr(chinesebert, self.kind.head).from_pretrained(directory).eval()
        wanted = device or torch.accelerator.current_accelerator() or "cpu"
        try:
            self._model.to(wanted)
        except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
            raise InputError(f"--device {wanted}: cannot be used ({str(error).splitlines()[0]}); try cpu") from error

    def __call__(self, examples: Sequence[Any]) -> list[Prediction]:
        """A prediction for each example, in their order."""
        if not examples:
            return []
        self.kind.prepare(self.tokenizer)
        encoded = self.kind.encode(examples, self.tokenizer, self.lengths)
        scores = self._scores(encoded)
        predictions = self.kind.decode(examples, encoded, scores)
        confidences = self.kind.confidences(examples, encoded, scores)
        if confidences is None:
            return [Prediction(prediction) for prediction in predictions]
        return [Prediction(*pair) for pair in zip(predictions, confidences, strict=True)]

    def _scores(self, encoded: Encoded) -> Any:
        """What the kind keeps of the scores of all inputs, padded with -100 as transformers' ``Trainer`` does."""
        kept = None
        with torch.inference_mode():
            for batch in self._batches(encoded):
                labels = batch.pop("labels", None)  # of some kinds the head cannot read them
                outputs = self._model(**{name: value.to(self._model.device) for name, value in batch.items()})
                logits = tuple(value for name, value in outputs.items() if name != "loss")
                part = self.kind.keep(logits[0] if len(logits) == 1 else logits, labels)
                kept = part if kept is None else nested_concat(kept, part, padding_index=-100)
        return nested_numpify(kept)

    def _batches(self, encoded: Encoded) -> Iterator[dict[str, torch.Tensor]]:
        count = len(encoded.inputs)
        for start in range(0, count, self.batch_size):
            end = min(start + self.batch_size, count)
            yield self.kind.collate([encoded.inputs[number] for number in range(start, end)])


def saved_settings(directory: str) -> dict[str, Any]:
    """What a fine-tuned directory says about its task.

    Raises:
        InputError: there is no such directory, or its model is not fine-tuned by this program.
    """
    if not Path(directory).is_dir():
        raise InputError(f"{directory}: there is no such model directory")
    saved = saved_task(directory)
    if not saved:
        raise InputError(
            f"{directory}: holds no fine-tuned model; give --model the output_dir of launch/finetune*.py (a pretrained "
            "model fills in masked characters only)"
        )
    if saved["kind"] not in KINDS:
        raise InputError(
            f"{directory}: is fine-tuned for {saved['task']}, of the kind {saved['kind']}, which this version has not; "
            f"it has {', '.join(KINDS)}"
        )
    return saved
