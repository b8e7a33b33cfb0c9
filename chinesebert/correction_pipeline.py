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

    @cached_property
    def _kind(self) -> Correction:
        return Correction()

    def _sanitize_parameters(
        self, threshold: float | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, {} if threshold is None else {"threshold": threshold}

    def preprocess(self, input_: str, **parameters: Any) -> dict[str, Any]:
        """A text -> its windows, as one batch."""
        saved = getattr(self.model.config, "finetuning", None) or {}
        lengths = Lengths(
            saved.get("max_seq_length") or min(192, self.model.config.max_position_embeddings),
            saved.get("doc_stride") or 64,
        )
        example = CorrectionExample(0, input_)
        encoded = self._kind.encode([example], self.tokenizer, lengths)
        return {"example": example, "encoded": encoded, "inputs": self._kind.collate(encoded.inputs)}

    def _forward(self, input_tensors: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        best, probabilities = self._kind.summarise(self.model(**input_tensors["inputs"]).logits)
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
