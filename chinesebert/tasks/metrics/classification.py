"""Accuracy and F1 of labels."""

from collections.abc import Sequence


def classification_scores(truths: Sequence[str], predictions: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy; F1 of each label that occurs, averaged (macro); with two labels also ``f1`` of the second.

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
