"""Accuracy and F1 of labels."""

from collections.abc import Sequence


def classification_scores(truths: Sequence[str], predictions: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy; F1 of each label that occurs, averaged (macro); with two labels also ``f1`` of the second.

    They are those of scikit-learn's ``accuracy_score``, ``f1_score(average="macro")`` and ``f1_score(pos_label=…)``.

    Args:
        truths: the right labels.
        predictions: the predicted ones, in the same order.
        labels: all labels; of two, the second is the one that means yes ("1", "true").
    """
    right = sum(truth == guess for truth, guess in zip(truths, predictions, strict=True))
    by_label = [label_f1(truths, predictions, label) for label in labels if label in {*truths, *predictions}]
    scores = {"accuracy": right / len(truths), "macro_f1": sum(by_label) / len(by_label)}
    if len(labels) == 2:
        scores["f1"] = label_f1(truths, predictions, labels[1])
    return scores


def label_f1(truths: Sequence[str], predictions: Sequence[str], label: str) -> float:
    """F1 of one label; 0 where it was neither predicted nor right."""
    both = sum(truth == guess == label for truth, guess in zip(truths, predictions, strict=True))
    total = sum(truth == label for truth in truths) + sum(guess == label for guess in predictions)
    return 2 * both / total if total else 0.0


def multi_label_scores(
    truths: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, float]:
    """Scores where a text has any number of labels.

    ``micro_f1``, ``micro_precision`` and ``micro_recall`` count all decisions alike; ``macro_f1`` is the mean of F1
    over the labels that occur; ``exact_match`` is the share of texts with all the right labels and no other. They are
    scikit-learn's of indicator matrices (``average="micro"``, ``accuracy_score``); 0 without anything to count.

    Args:
        truths: the right labels of each text.
        predictions: the predicted ones, in the same order.
        labels: all labels.
    """
    pairs = [(set(truth), set(guess)) for truth, guess in zip(truths, predictions, strict=True)]
    both = sum(len(truth & guess) for truth, guess in pairs)
    right, guessed = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    by_label = [score for score in (_indicator_f1(pairs, label) for label in labels) if score is not None]
    return {
        "micro_f1": 2 * both / (right + guessed) if right + guessed else 0.0,
        "micro_precision": both / guessed if guessed else 0.0,
        "micro_recall": both / right if right else 0.0,
        "macro_f1": sum(by_label) / len(by_label) if by_label else 0.0,
        "exact_match": sum(truth == guess for truth, guess in pairs) / len(pairs),
    }


def _indicator_f1(pairs: Sequence[tuple[set[str], set[str]]], label: str) -> float | None:
    """F1 of one label; None where it occurs nowhere."""
    both = sum(label in truth and label in guess for truth, guess in pairs)
    total = sum((label in truth) + (label in guess) for truth, guess in pairs)
    return 2 * both / total if total else None
