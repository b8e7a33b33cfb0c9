"""Precision, recall and F1 of labelled spans."""

from collections import Counter
from collections.abc import Collection, Sequence

from chinesebert.tasks.examples import Span


def span_scores(
    truths: Sequence[Collection[Span]], predictions: Sequence[Collection[Span]], each_label: bool = True
) -> dict[str, float]:
    """Scores of spans; one is right if its first character, its last and its label are.

    ``precision``, ``recall`` and ``f1`` count over all texts (micro): what seqeval computes in its strict mode for
    well-formed BIO tags, conlleval, and the strict score of the CCKS tasks. ``macro_f1`` is the mean of the labels' F1,
    ``Overall@Macro`` of CLUENER2020, and ``f1_LABEL`` is that of one; labels that occur neither in the truth nor in the
    predictions are in no mean, as in seqeval. Nothing predicted, or nothing to find, makes 0 of what cannot be divided.

    Args:
        truths: the right spans of each text; one that is given twice counts once.
        predictions: the predicted ones.
        each_label: whether to give ``f1_LABEL``.
    """
    right = [{(number, *_key(span)) for span in spans} for number, spans in enumerate(truths)]
    guessed = [{(number, *_key(span)) for span in spans} for number, spans in enumerate(predictions)]
    if len(right) != len(guessed):
        raise ValueError(f"{len(right)} truths but {len(guessed)} predictions")
    true, found, both = (
        Counter(span[-1] for spans in sets for span in spans)
        for sets in (right, guessed, [a & b for a, b in zip(right, guessed, strict=True)])
    )
    labels = sorted(true.keys() | found.keys())
    by_label = {label: rates(both[label], found[label], true[label])[2] for label in labels}
    precision, recall, f1 = rates(both.total(), found.total(), true.total())
    scores = {"precision": precision, "recall": recall, "f1": f1}
    scores["macro_f1"] = sum(by_label.values()) / len(by_label) if by_label else 0.0
    return scores | ({f"f1_{label}": value for label, value in by_label.items()} if each_label else {})


def rates(both: int, found: int, true: int) -> tuple[float, float, float]:
    """Precision, recall and F1 from counts (predicted and right, predicted, right); 0 where nothing can be divided."""
    precision = both / found if found else 0.0
    recall = both / true if true else 0.0
    return precision, recall, 2 * both / (found + true) if found + true else 0.0


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label
