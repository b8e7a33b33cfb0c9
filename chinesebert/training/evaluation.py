"""Held-out text with fixed masks, by whole words and by characters, and sentences to complete."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.batches import to_device
from chinesebert.training.engine import TrainingEngine
from chinesebert.training.metrics import MaskedAccuracy

HIDDEN = re.compile("【(.)】")


@torch.no_grad()
def evaluate(
    engine: TrainingEngine,
    loaders: Mapping[str, Iterable[dict[str, Any]]],
    device: torch.device,
    add_up: Callable[[torch.Tensor], torch.Tensor],
    stop: Callable[[], bool],
) -> dict[str, float] | None:
    """Loss and accuracies on held-out text; every row counts once, whatever the number of ranks.

    Args:
        engine: of the model.
        loaders: this rank's batches for each way of masking, ``whole_word`` and ``character``; as many on every rank.
        device: of this rank.
        add_up: adds a tensor up over ranks.
        stop: whether the run is to stop, the same answer on every rank.

    Returns:
        ``eval_loss`` over all masked tokens; for each way of masking ``eval_NAME_loss``, ``eval_NAME_char_accuracy``
        and ``eval_NAME_tokens``; for whole words also ``eval_whole_word_word_accuracy``. None if the run is to stop.
    """
    engine.model.eval()
    metrics, losses, tokens = {}, 0.0, 0.0
    for name, loader in loaders.items():
        accuracy = MaskedAccuracy(device)
        for batch in loader:
            inputs = to_device(batch, device)
            logits = engine.forward(**inputs, masked_only=True).logits
            accuracy.add(logits, inputs["labels"], batch["word_numbers"].to(device))
            if stop():
                engine.model.train()
                return None
        accuracy.sums = add_up(accuracy.sums)
        measured, count = accuracy.compute(), accuracy.sums[1].item()
        for key in ("loss", "char_accuracy", *(["word_accuracy"] if name == "whole_word" else [])):
            metrics[f"eval_{name}_{key}"] = measured[key]
        metrics[f"eval_{name}_tokens"] = int(count)
        losses, tokens = losses + measured["loss"] * count, tokens + count
    engine.model.train()
    return {"eval_loss": losses / max(tokens, 1), **metrics}


def read_cloze(path: str | Path) -> list[str]:
    """The sentences of a cloze file, one character of each in 【】; lines that begin with # are comments.

    Raises:
        InputError: the file cannot be read, or a line has not exactly one such character.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the sentences ({error})") from error
    sentences = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(HIDDEN.findall(line)) != 1:
            raise InputError(f"{path}:{number}: put exactly one character in 【】")
        sentences.append(line.strip())
    return sentences


@dataclass(frozen=True)
class Cloze:
    """Sentences with one character hidden, and what a model puts there.

    Attributes:
        sentences: with the character in 【】.
        tokenizer: of the model.
        guesses: how many to keep for each.
    """

    sentences: list[str]
    tokenizer: ChineseBertTokenizer
    guesses: int = 3

    @torch.no_grad()
    def guess(self, engine: TrainingEngine, device: torch.device) -> list[dict[str, Any]]:
        """The best guesses: ``[{"sentence": …, "guesses": [[token, probability], …]}, …]``; all ranks must call it."""
        mask = self.tokenizer.mask_token
        texts = [HIDDEN.sub(mask, sentence) for sentence in self.sentences]
        inputs = self.tokenizer(texts, padding=True, return_tensors="pt").to(device)
        engine.model.eval()
        logits = engine.forward(**inputs).logits
        engine.model.train()
        rows, places = (inputs["input_ids"] == self.tokenizer.mask_token_id).nonzero(as_tuple=True)
        best = logits[rows, places].float().softmax(dim=-1).topk(self.guesses)
        return [
            {
                "sentence": sentence,
                "guesses": [
                    [self.tokenizer.convert_ids_to_tokens(token), round(probability, 4)]
                    for token, probability in zip(tokens, probabilities, strict=True)
                ],
            }
            for sentence, tokens, probabilities in zip(
                self.sentences, best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]
