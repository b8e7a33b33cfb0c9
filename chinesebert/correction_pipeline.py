"""The pipeline "spelling-correction": texts in, corrected texts out, from a fine-tuned directory."""

from functools import cached_property
from typing import Any

import torch
from transformers import Pipeline

from chinesebert.tasks.examples import CorrectionExample
from chinesebert.tasks.kinds import Encoded, Lengths
from chinesebert.tasks.kinds.correction import Correction


class CorrectionPipeline(Pipeline):
    """Replaces wrong characters; a text keeps its length, and is read in windows where it is longer than the model.

    ::

        correct = CorrectionPipeline(model=model, tokenizer=tokenizer)
        correct("我喜换猫")
        # {"text": "我喜欢猫", "edits": [{"position": 2, "wrong": "换", "right": "欢", "score": 0.9}]}

    Args:
        threshold: replace only where the model gives the other character at least this probability; when making the
            pipeline, or at a call. By default what the model was fine-tuned with (``--correction_threshold``), or 0.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __call__(self, inputs: Any, *, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Corrects a text (a dictionary back), or several (a list back).

        Args:
            inputs: a text, or a list, generator or data set of such.
            batch_size: windows, of one long text, that the model reads at a time; all of them by default.
            kwargs: options of the pipeline.
        """
        if batch_size is not None:
            kwargs["windows"] = batch_size
        return super().__call__(inputs, batch_size=1, **kwargs)

    @cached_property
    def _kind(self) -> Correction:
        return Correction()

    def _sanitize_parameters(
        self, threshold: float | None = None, windows: int | None = None, **given: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if given:
            raise ValueError(f"unknown: {', '.join(given)}")
        after = {} if threshold is None else {"threshold": threshold}
        return {}, {} if windows is None else {"windows": windows}, after

    def preprocess(self, input_: str, **parameters: Any) -> dict[str, Any]:
        """A text -> its windows, as one batch."""
        if not isinstance(input_, str):
            raise ValueError(f"an input is a text, not {input_!r:.60}")
        saved = getattr(self.model.config, "finetuning", None) or {}
        lengths = Lengths(
            saved.get("max_seq_length") or min(192, self.model.config.max_position_embeddings),
            saved.get("doc_stride") or 64,
        )
        example = CorrectionExample(0, input_)
        encoded = self._kind.encode([example], self.tokenizer, lengths)
        return {"example": example, "encoded": encoded, "inputs": self._kind.collate(encoded.inputs)}

    def _forward(self, input_tensors: dict[str, Any], windows: int | None = None, **_: Any) -> dict[str, Any]:
        inputs = input_tensors["inputs"]
        rows = len(inputs["input_ids"])
        size = windows or self._batch_size or rows
        parts = [{name: value[row : row + size] for name, value in inputs.items()} for row in range(0, rows, size)]
        kept = [self._kind.summarise(self.model(**part).logits) for part in parts]
        best, probabilities = (torch.cat(each) for each in zip(*kept, strict=True))
        return {**input_tensors, "best": best, "probabilities": probabilities}

    def postprocess(
        self, model_outputs: dict[str, Any], threshold: float | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """The corrected ``text``, and its ``edits``: position from 0, both characters, and the model's probability."""
        saved = getattr(self.model.config, "finetuning", None) or {}
        self._kind.restore(saved.get("state") or {} if threshold is None else {"threshold": threshold})
        example, encoded = model_outputs["example"], model_outputs["encoded"]
        best, probabilities = (_array(model_outputs[name]) for name in ("best", "probabilities"))
        corrected = self._kind.decode([example], encoded, (best, probabilities))[0]
        changes = self._kind.record(example, corrected)["edits"]
        scores = _by_position(encoded, probabilities)
        return {
            "text": corrected,
            "edits": [
                {"position": place, "wrong": old, "right": new, "score": scores[place]} for place, old, new in changes
            ],
        }


def _array(values: torch.Tensor) -> Any:
    return values.cpu().numpy()


def _by_position(encoded: Encoded, probabilities: Any) -> dict[int, float]:
    """The probability of the model's choice for each character."""
    return {
        start: float(probabilities[row, place])
        for row, offsets in enumerate(encoded.offsets)
        for place, (start, end) in enumerate(offsets)
        if end
    }
