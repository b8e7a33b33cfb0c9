"""Held-out text with fixed masks, by whole words and by characters, and sentences to complete."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.arguments import PretrainingArguments
from chinesebert.training.batches import to_device
from chinesebert.training.cloze import unfit, with_mask
from chinesebert.training.data import HeldOutKind
from chinesebert.training.engine import TrainingEngine
from chinesebert.training.metrics import MaskedAccuracy
from chinesebert.training.run_log import log_path, read_log


def is_due(args: PretrainingArguments, step: int) -> bool:
    """Whether held-out text is measured after a step, counted from 1."""
    if args.eval_strategy == "no" or step == 0:
        return False
    return step % int(args.eval_steps or args.logging_steps) == 0 or step == args.max_steps


def is_missing(args: PretrainingArguments, step: int) -> bool:
    """Whether held-out text should have been measured after a step, and the log does not have it.

    So it is where a run was stopped in that step, or in the middle of its evaluation. To be asked on the first rank
    alone, with the answer shared: the others may not see the log.
    """
    path = log_path(Path(args.output_dir or ""))
    if not is_due(args, step) or not path.is_file():
        return is_due(args, step)
    return not any(entry["kind"] == "eval" and entry["step"] == step for entry in read_log(path))


@torch.no_grad()
def evaluate(
    engine: TrainingEngine,
    loaders: Mapping[HeldOutKind, Iterable[dict[str, Any]]],
    device: torch.device,
    add_up: Callable[[torch.Tensor], torch.Tensor],
    stop: Callable[[], bool],
    length: int,
) -> dict[str, float] | None:
    """Loss and accuracies on held-out text; every row counts once, whatever the number of ranks.

    Args:
        engine: of the model.
        loaders: this rank's batches of each kind; as many on every rank.
        device: of this rank.
        add_up: adds a tensor up over ranks.
        stop: whether the run is to stop, the same answer on every rank.
        length: which of the kinds to measure: that of the rows that are trained on now. Places beyond it are not
            trained yet, and would be all that longer rows measure.

    Returns:
        ``eval_loss`` over all masked tokens; for each way of masking ``eval_NAME_loss``, ``eval_NAME_char_accuracy``
        and ``eval_NAME_tokens``; for whole words also ``eval_whole_word_word_accuracy``; ``eval_rows`` that were read,
        and their ``eval_length``. None if the run is to stop.
    """
    engine.model.eval()
    metrics, losses, tokens = {}, 0.0, 0.0
    all_rows = torch.zeros(1)
    for (name, kind_length), loader in loaders.items():
        if kind_length != length:
            continue
        accuracy, rows = MaskedAccuracy(device), 0
        for batch in loader:
            rows += len((batch["masked_places"] // length).unique())  # each has a mask, but those that fill up
            inputs = to_device(batch, device)
            logits = engine.forward(**inputs, masked_only=True).logits
            accuracy.add(logits, inputs["labels"], batch["word_numbers"].to(device))
            if stop():
                engine.model.train()
                return None
        accuracy.sums, all_rows = add_up(torch.cat([accuracy.sums, accuracy.sums.new_tensor([rows])])).split([5, 1])
        measured, count = accuracy.compute(), accuracy.sums[1].item()
        for key in ("loss", "char_accuracy", *(["word_accuracy"] if name == "whole_word" else [])):
            metrics[f"eval_{name}_{key}"] = measured[key]
        metrics[f"eval_{name}_tokens"] = int(count)
        losses, tokens = losses + measured["loss"] * count, tokens + count
    engine.model.train()
    return {"eval_loss": losses / max(tokens, 1), **metrics, "eval_rows": int(all_rows), "eval_length": length}


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
