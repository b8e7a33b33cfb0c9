"""EM and F1 of CMRC 2018 and DRCD.

Both are defined by the organisers' evaluation script (``cmrc2018_evaluate.py``, version 5, in the repository
``ymcui/cmrc2018``), which CLUE uses too. It is implemented anew here, from this description:

- Texts are lowercased and stripped. 32 punctuation marks are left out, ASCII ones like ``-`` and ``:`` and Chinese
  ones like ``，`` and ``《``, but not all: ``,``, ``.``, ``(``, ``…``, ``—`` and ``‘`` stay.
- EM is 1 where the prediction then equals one of the references.
- For F1 the texts are cut into units: each character from U+4E00 to U+9FA5 is one, and what stands between such
  characters is cut into words as English text is. The overlap is the *longest common run* of units (a substring, not a
  subsequence and not a bag of words); precision and recall are its length over that of the prediction and that of the
  reference. The best reference counts.
- Both are averaged over the questions.
"""

from collections.abc import Sequence

from chinesebert.tasks.metrics.english_words import english_words

PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def reading_scores(references: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """``em``, ``f1`` and their mean ``average``, which the script prints too.

    Args:
        references: the texts that count as right, for each question.
        predictions: the predicted texts, in the same order.
    """
    pairs = list(zip(references, predictions, strict=True))
    em = sum(exact_match(texts, guess) for texts, guess in pairs) / len(pairs)
    f1 = sum(best_f1(texts, guess) for texts, guess in pairs) / len(pairs)
    return {"em": em, "f1": f1, "average": (em + f1) / 2}


def exact_match(references: Sequence[str], prediction: str) -> int:
    """1 where the prediction equals a reference, but for punctuation and case."""
    return int(_bare(prediction) in map(_bare, references))


def best_f1(references: Sequence[str], prediction: str) -> float:
    """The highest F1 of the prediction with a reference; 0 where there is no common unit."""
    guess = units(prediction)
    scores = [0.0]
    for reference in references:
        truth = units(reference)
        common = longest_common_run(truth, guess)
        if common:
            scores.append(2 * common / (len(truth) + len(guess)))
    return max(scores)


def units(text: str) -> list[str]:
    """Chinese characters and English words of a text, without punctuation."""
    found, other = [], ""
    for character in _bare(text):
        if "\u4e00" <= character <= "\u9fa5":
            found += [*english_words(other), character]
            other = ""
        else:
            other += character
    return found + english_words(other)


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest run of units that stands in both."""
    longest, before = 0, [0] * (len(second) + 1)
    for unit in first:
        row = [0] * (len(second) + 1)
        for place, other in enumerate(second):
            if unit == other:
                row[place + 1] = before[place] + 1
        longest, before = max(longest, *row), row
    return longest


def _bare(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in PUNCTUATION)
