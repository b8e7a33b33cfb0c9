"""One label for a text or a pair of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.errors import InputError
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.cutting import budgets, cut
from chinesebert.tasks.kinds.padding import padded
from chinesebert.tasks.metrics.classification import classification_scores
from chinesebert.tasks.text_columns import some


class TextKind(Kind):
    """What the kinds share whose inputs are a text (or pair) each, with a score for each label."""

    head = "ChineseBertForSequenceClassification"

    def config_changes(self) -> dict[str, Any]:
        """As for every kind, and that there is one label a text, also where there are only one or two labels."""
        return super().config_changes() | {"problem_type": "single_label_classification"}

    def encode(self, examples: Sequence[TextExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """An input an example: ``[CLS] text [SEP]``, or ``[CLS] text [SEP] pair [SEP]``.

        Raises:
            InputError: a label is not among those of the kind, or inputs are too short for a text.
        """
        encoded = Encoded([], list(range(len(examples))))
        for example in examples:
            item, was_cut = encode_texts(example.text, example.text_pair, tokenizer, lengths)
            encoded.cut += was_cut
            if example.label is not None:
                item["labels"] = self._target(example)
            encoded.inputs.append(item)
        return encoded

    def _target(self, example: TextExample) -> Any:
        return self.number_of(example.label, example.where)

    def number_of(self, label: Any, where: str) -> int:
        """The number of a label.

        Raises:
            InputError: there is no such label.
        """
        if label not in self.numbers:
            raise InputError(
                f"{where}: the label {label!r} is none of {some(self.labels)}; where the training data does not have "
                "them all, name them with --labels (--task custom), or mend the file"
            )
        return self.numbers[label]

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask`` ``[B, L]``, ``labels`` ``[B]``."""
        batch = padded(inputs, ("input_ids", "pinyin_ids"))
        if all("labels" in item for item in inputs):
            batch["labels"] = torch.tensor([item["labels"] for item in inputs])
        return batch

    def truth(self, example: TextExample) -> Any:
        """The label as published."""
        return example.label


class Classification(TextKind):
    """One label a text (or pair); the prediction is the label."""

    name = "classification"

    def decode(
        self,
        examples: Sequence[TextExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The label of the highest score, for each example."""
        return [self.labels[number] for number in np.asarray(scores).argmax(axis=-1)]

    def confidences(
        self,
        examples: Sequence[TextExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[float] | None:
        """The probability of the predicted label (softmax)."""
        logits = np.asarray(scores, dtype=np.float64)
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return [float(value) for value in (odds / odds.sum(axis=-1, keepdims=True)).max(axis=-1)]

    def score(self, examples: Sequence[TextExample], predictions: Sequence[Any]) -> dict[str, float]:
        """Accuracy, and F1 as mean over the labels; with two labels also F1 of the second, "1"."""
        return classification_scores([self.truth(example) for example in examples], predictions, self.labels)


def encode_texts(text: str, pair: str | None, tokenizer: Any, lengths: Lengths) -> tuple[dict[str, Any], bool]:
    """``input_ids`` and ``pinyin_ids`` of a text or a pair, cut to fit; and whether they were cut.

    Readings are those in the context of the whole text, also of characters next to a cut.

    Raises:
        InputError: the input has no room for a token of each text.
    """
    parts = [tokenizer(part, add_special_tokens=False, verbose=False) for part in (text, pair) if part is not None]
    most = lengths.max_seq_length - 1 - len(parts)
    if most < len(parts):
        raise InputError(f"max_seq_length is {lengths.max_seq_length}: {len(parts)} texts need {2 * len(parts) + 1}")
    sizes = [len(part["input_ids"]) for part in parts]
    room = [most] if len(parts) == 1 else list(budgets(sizes[0], sizes[1], most))
    ids, pinyin = [tokenizer.cls_token_id], [0]
    for part, size in zip(parts, room, strict=True):
        ids += [*cut(part["input_ids"], size, lengths.truncation), tokenizer.sep_token_id]
        pinyin += [*cut(part["pinyin_ids"], size, lengths.truncation), 0]
    return {"input_ids": ids, "pinyin_ids": pinyin}, sum(sizes) > most
