"""Scores of entity linking, over mentions."""

from collections.abc import Sequence

NIL = "NIL"


def linking_scores(truths: Sequence[str], guesses: Sequence[str], nil_counts: bool) -> dict[str, float]:
    """``f1``, ``precision``, ``recall`` (micro, over mentions) and ``accuracy``.

    With ``nil_counts`` they are those of CCKS 2020's ``eval.py``: a mention of nothing in the knowledge base has to be
    given its type, ``NIL_Person``; where the truth names several (``NIL_Work|NIL_Other``), each is right. All mentions
    are given, so precision and recall are the same. Without, as in 2019, links count alone: a mention without an entity
    lowers precision if it is linked to one, and else counts nothing.

    Args:
        truths, guesses: ids of entities, or ``NIL``, ``NIL_<type>``.
        nil_counts: whether mentions without an entity count.
    """
    right = [guess in truth.split("|") for truth, guess in zip(truths, guesses, strict=True)]
    predicted = [nil_counts or not guess.startswith(NIL) for guess in guesses]
    there = [nil_counts or not truth.startswith(NIL) for truth in truths]
    hits = sum(hit and counts for hit, counts in zip(right, predicted, strict=True))
    precision = hits / sum(predicted) if any(predicted) else 0.0
    recall = hits / sum(there) if any(there) else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"f1": f1, "precision": precision, "recall": recall, "accuracy": sum(right) / len(right)}
