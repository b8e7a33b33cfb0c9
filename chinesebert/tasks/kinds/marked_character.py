"""A label for one character of a text: how it is pronounced here."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.errors import InputError
from chinesebert.masking import IGNORE_INDEX
from chinesebert.tasks.examples import CharacterExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.padding import padded


class MarkedCharacter(Kind):
    """The token head says the label of the marked character, among those it has in the training data.

    A character that training has not seen may get any label. **The marked character is given without its pinyin**
    (``pinyin_ids`` 0): the tokenizer's reading is the very answer that is asked for, often a wrong one. Readings of the
    characters around it stay.

    ``labels`` ``[B, L]`` are there for examples without a label too, with 0 at the marked token: they say where it is,
    so that scores of that token alone are kept. A loss over such examples means nothing.
    """

    name = "marked_character"
    head = "ChineseBertForTokenClassification"
    example = CharacterExample

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(labels)
        self.candidates: dict[str, list[str]] = {}

    def learn(self, examples: Sequence[CharacterExample]) -> None:
        """The labels that each character has in the training data."""
        found: dict[str, set[str]] = defaultdict(set)
        for example in examples:
            if example.label is not None:
                found[example.text[example.position]].add(example.label)
        self.candidates = {character: sorted(labels) for character, labels in sorted(found.items())}

    def state(self) -> dict[str, Any]:
        """``candidates``: character -> labels."""
        return {"candidates": self.candidates}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes the candidates of a trained model."""
        self.candidates = state.get("candidates", {})

    def encode(self, examples: Sequence[CharacterExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """``[CLS] text [SEP]``; of a longer text as much as fits on both sides of the marked character."""
        encoded = Encoded([], list(range(len(examples))))
        for example in examples:
            item, was_cut = self._input(example, tokenizer, lengths.max_seq_length - 2)
            encoded.inputs.append(item)
            encoded.cut += was_cut
        return encoded

    def _input(self, example: CharacterExample, tokenizer: Any, size: int) -> tuple[dict[str, Any], bool]:
        batch = tokenizer(example.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        spans = [tuple(span) for span in batch["offset_mapping"]]
        if (example.position, example.position + 1) not in spans:
            raise InputError(
                f"{example.where}: character {example.position} of the text is no token of its own, so it cannot be "
                f"labelled: {example.text[:60]}"
            )
        place = spans.index((example.position, example.position + 1))
        pinyin = [*batch["pinyin_ids"]]
        pinyin[place] = 0  # else the tokenizer would give the answer away
        labels = [IGNORE_INDEX] * len(spans)
        labels[place] = self.numbers.get(str(example.label), 0)
        start = max(0, min(place - size // 2, len(spans) - size))
        part = slice(start, start + size)
        item = {
            "input_ids": [tokenizer.cls_token_id, *batch["input_ids"][part], tokenizer.sep_token_id],
            "pinyin_ids": [0, *pinyin[part], 0],
            "labels": [IGNORE_INDEX, *labels[part], IGNORE_INDEX],
        }
        return item, len(spans) > size

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask``, ``labels``: ``[B, L]``."""
        return padded(inputs, ("input_ids", "pinyin_ids", "labels"))

    def keep(self, logits: Any, labels: torch.Tensor | None) -> Any:
        """Of scores ``[B, L, labels]`` those of the marked tokens, ``[B, labels]``."""
        if labels is None:
            return logits
        marked = (labels != IGNORE_INDEX).int().argmax(dim=1)
        return logits[torch.arange(len(logits), device=logits.device), marked]

    def decode(
        self,
        examples: Sequence[CharacterExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[str]:
        """The candidate with the highest score, for each example."""
        return [
            self._best(example, row if row.ndim == 1 else row[_marked(item)])
            for example, item, row in zip(examples, encoded.inputs, np.asarray(scores), strict=True)
        ]

    def _best(self, example: CharacterExample, scores: NDArray[np.float32]) -> str:
        known = example.candidates or self.candidates.get(example.text[example.position], ())
        candidates = [label for label in known if label in self.numbers] or self.labels
        return max(candidates, key=lambda label: scores[self.numbers[label]])

    def score(self, examples: Sequence[CharacterExample], predictions: Sequence[str]) -> dict[str, float]:
        """Accuracy, over all examples, and as mean of the accuracies of the single characters (macro)."""
        by_character: dict[str, list[bool]] = defaultdict(list)
        for example, prediction in zip(examples, predictions, strict=True):
            by_character[example.text[example.position]].append(prediction == example.label)
        right = sum(map(sum, by_character.values()))
        means = [sum(hits) / len(hits) for hits in by_character.values()]
        return {"accuracy": right / len(examples), "macro_accuracy": sum(means) / len(means)}

    def truth(self, example: CharacterExample) -> str | None:
        """The label as published."""
        return example.label

    def record(self, example: CharacterExample, prediction: str) -> dict[str, Any]:
        """Also the text, and which character of it is meant."""
        return {"text": example.text, "position": example.position} | super().record(example, prediction)


def _marked(item: dict[str, Any]) -> int:
    return next(place for place, label in enumerate(item["labels"]) if label != IGNORE_INDEX)
