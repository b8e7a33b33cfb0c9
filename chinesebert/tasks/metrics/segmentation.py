"""Scores of word segmentation."""

from collections.abc import Sequence

from chinesebert.tasks.examples import Span
from chinesebert.tasks.metrics.spans import rates


def word_scores(truths: Sequence[Sequence[Span]], predictions: Sequence[Sequence[Span]]) -> dict[str, float]:
    """Scores of words; a word is right if it has the same characters of the text.

    ``recall``, ``precision`` and ``f1`` are those of the ``score`` script of the SIGHAN Bakeoffs (Sproat and Emerson,
    2003; Emerson, 2005): right words ÷ words of the truth, ÷ words predicted, and 2PR/(P+R), over all sentences
    together. (The script pairs words with ``diff``, and so may count a word as right that stands elsewhere in a line.)
    ``accuracy`` is the share of characters that are rightly first, middle, last of a word or a word of their own, as
    the ChineseBERT paper reports it beside F1.

    Args:
        truths: the words of each text, in order.
        predictions: the predicted ones, of the same texts.
    """
    true, found, both, characters, right = 0, 0, 0, 0, 0
    for words, guesses in zip(truths, predictions, strict=True):
        true, found = true + len(words), found + len(guesses)
        both += len({(word.start, word.end) for word in words} & {(word.start, word.end) for word in guesses})
        places, guessed = _places(words), _places(guesses)
        characters += len(places)
        right += sum(guessed.get(place) == kind for place, kind in places.items())
    precision, recall, f1 = rates(both, found, true)
    accuracy = right / characters if characters else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "accuracy": accuracy}


def _places(words: Sequence[Span]) -> dict[int, tuple[bool, bool]]:
    """For each character of the words, whether it is the first of one and whether it is the last."""
    return {
        place: (place == word.start, place == word.end - 1) for word in words for place in range(word.start, word.end)
    }
