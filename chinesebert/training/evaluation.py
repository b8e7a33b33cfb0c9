"""Held-out text with fixed masks, by whole words and by characters, and sentences to complete."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.batches import to_device
from chinesebert.training.cloze import unfit, with_mask
from chinesebert.training.engine import TrainingEngine
from chinesebert.training.metrics import MaskedAccuracy


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


@torch.no_grad()
def guess(
    engine: TrainingEngine,
    tokenizer: ChineseBertTokenizer,
    sentences: list[str],
    device: torch.device,
    most: int = 3,
) -> list[dict[str, Any]]:
    """What the model puts for the hidden character of each sentence; all ranks must call it.

    A sentence that the model cannot complete (``cloze.unfit``) gets no guesses: it is not to end a run.

    Args:
        engine: of the model.
        tokenizer: of the model.
        sentences: with one character in 【】.
        device: of this rank.
        most: guesses to keep for each.

    Returns:
        ``[{"sentence": …, "guesses": [[token, probability], …]}, …]``.
    """
    config: Any = engine.model.config
    fitting = [each for each in sentences if unfit(each, tokenizer, config.max_position_embeddings) is None]
    guesses = dict(zip(fitting, _guess(engine, tokenizer, fitting, device, most) if fitting else [], strict=True))
    return [{"sentence": sentence, "guesses": guesses.get(sentence, [])} for sentence in sentences]


def _guess(
    engine: TrainingEngine, tokenizer: ChineseBertTokenizer, sentences: list[str], device: torch.device, most: int
) -> list[list[list[Any]]]:
    texts = [with_mask(sentence, tokenizer.mask_token) for sentence in sentences]
    inputs = tokenizer(texts, padding=True, return_tensors="pt").to(device)
    engine.model.eval()
    logits = engine.forward(**inputs).logits
    engine.model.train()
    rows, places = (inputs["input_ids"] == tokenizer.mask_token_id).nonzero(as_tuple=True)
    best = logits[rows, places].float().softmax(dim=-1).topk(most)
    found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [
        [
            [tokenizer.convert_ids_to_tokens(token), round(probability, 4)]
            for token, probability in zip(tokens, probabilities, strict=True)
        ]
        for tokens, probabilities in found
    ]
