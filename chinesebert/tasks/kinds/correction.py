"""Spelling correction: wrong characters of a text are replaced, one by one; its length stays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.masking import IGNORE_INDEX
from chinesebert.tasks.examples import CorrectionExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.characters import CharacterEncoder, Tokens
from chinesebert.tasks.kinds.padding import padded
from chinesebert.tasks.metrics.correction import correction_scores, edits
from chinesebert.vocabulary import CONTINUATION, han_character


class Correction(Kind):
    """The masked-language-model head says for every Chinese character which it should be; nothing is masked.

    Its loss counts every Chinese character, right ones too. A prediction is the whole text with its wrong characters
    replaced. Other characters are never touched, and where the model says anything but a Chinese character ([UNK],
    ``##``, punctuation) the original stays: rare characters survive.

    Args:
        labels: none; the vocabulary is what is chosen from.
        threshold: a character is replaced only where the model gives the other at least this probability. 0 replaces
            wherever another is the likeliest; higher values trade recall for precision.
    """

    name = "correction"
    head = "ChineseBertForMaskedLM"
    has_labels = False
    example = CorrectionExample

    def __init__(self, labels: Sequence[str] = (), threshold: float = 0.0) -> None:
        super().__init__(labels)
        self.threshold = threshold
        self._tokenizer: Any = None
        self._characters: list[str | None] = []

    def state(self) -> dict[str, Any]:
        """``threshold``."""
        return {"threshold": self.threshold}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes the threshold that a model was saved with."""
        self.threshold = state.get("threshold", 0.0)

    def config_changes(self) -> dict[str, Any]:
        """No second head: what characters sound like is not trained on."""
        return {"pronunciation_loss_weight": 0.0}

    def prepare(self, tokenizer: Any) -> None:
        """Which tokens write a Chinese character, and which."""
        if tokenizer is self._tokenizer:
            return
        self._tokenizer = tokenizer
        self._characters = [
            None if token.startswith(CONTINUATION) else han_character(token) for token in tokenizer.tokens()
        ]

    def encode(self, examples: Sequence[CorrectionExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """``[CLS] characters [SEP]``, in windows where a text is longer; ``labels`` are the tokens of the target."""
        self.prepare(tokenizer)
        encoded = Encoded([], [])
        characters = CharacterEncoder(tokenizer, lengths)
        for owner, example in enumerate(examples):
            targets = None if example.target is None else self._targets(example.text, characters.tokens(example.target))
            for _, item, offsets in characters.inputs(characters.tokens(example.text)):
                if targets is not None:
                    item["labels"] = [
                        targets.get(start, IGNORE_INDEX) if end else IGNORE_INDEX for start, end in offsets
                    ]
                encoded.inputs.append(item)
                encoded.owners.append(owner)
                encoded.offsets.append(offsets)
        return encoded

    def _targets(self, text: str, target: Tokens) -> dict[int, int]:
        """The token that each Chinese character of the text should be; not those that the vocabulary lacks."""
        return {
            position: number
            for number, position in zip(target.input_ids, target.positions, strict=True)
            if han_character(text[position]) and self._characters[number] is not None
        }

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask``, and ``labels`` where all have them: ``[B, L]``."""
        labelled = all("labels" in item for item in inputs)
        return padded(inputs, ("input_ids", "pinyin_ids", *(("labels",) if labelled else ())))

    def summarise(self, logits: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Of scores ``[B, L, V]`` the likeliest token (int64) and its probability (float32), both ``[B, L]``."""
        best, tokens = logits.max(dim=-1)
        return tokens, (best.float() - logits.float().logsumexp(dim=-1)).exp()

    def decode(
        self,
        examples: Sequence[CorrectionExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[str]:
        """The corrected text of each example, as long as the original."""
        tokens, probabilities = scores
        texts = [list(example.text) for example in examples]
        for row, owner in enumerate(encoded.owners):
            given = encoded.inputs[row]["input_ids"]
            for place, (start, end) in enumerate(encoded.offsets[row]):
                token = int(tokens[row, place]) if end else given[place]
                if token == given[place] or probabilities[row, place] < self.threshold:
                    continue
                better = self._characters[token]
                if better is not None and han_character(texts[owner][start]):
                    texts[owner][start] = better
        return ["".join(characters) for characters in texts]

    def score(self, examples: Sequence[CorrectionExample], predictions: Sequence[str]) -> dict[str, float]:
        """The figures of ``chinesebert.tasks.metrics.correction``; each says whose convention it follows."""
        return correction_scores(
            [example.text for example in examples], [str(example.target) for example in examples], predictions
        )

    def truth(self, example: CorrectionExample) -> str | None:
        """The text without mistakes."""
        return example.target

    def record(self, example: CorrectionExample, prediction: str) -> dict[str, Any]:
        """The text, what it became, and the replaced characters as ``[position from 0, original, replacement]``."""
        changes = [[place, example.text[place], new] for place, new in edits(example.text, prediction).items()]
        line = {"id": example.id, "text": example.text, "prediction": prediction, "edits": changes}
        return line if example.target is None else line | {"label": example.target}
