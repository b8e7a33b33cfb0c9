"""Detection and correction of wrong characters: precision, recall and F1, in the conventions that papers use.

Published figures of one model differ by ten points with the way they are counted, so every figure says whose it is.
Detection asks where characters are wrong; correction also what they should be.

``sighan_sentence_…`` (the default in this package)
    The official tools of SIGHAN 2014 and 2015 (Yu et al. 2014, Tseng et al. 2015), over all sentences. A sentence with
    mistakes is a true positive if exactly its wrong places are found (and, for correction, the right characters given),
    else a false negative; a sentence without is a true negative if nothing is reported, else a false positive. Hence a
    sentence with mistakes that is corrected wrongly does *not* lower precision. ``sighan_false_positive_rate`` is the
    share of sentences without mistakes in which something is reported. Accuracies are those of SIGHAN 2013's subtask 2
    too ("location accuracy", "correction accuracy"; Wu et al. 2013), where nearly every sentence has a mistake.

``realise_sentence_…``
    What most papers since report, as in the scripts of ReaLiSe (Xu et al. 2021), PLOME (Liu et al. 2021) and SCOPE (Li
    et al. 2022): recall and accuracy as above, but precision is the share of exactly right ones among *all* sentences
    in which something is reported. SIGHAN 2013's "correction precision" is this one.

``character_…``
    Over single characters: precision is the share of right ones among the reported, recall among the wrong ones.

``plome_character_correction_…``
    PLOME's script divides the rightly corrected characters by those *rightly detected*, so that false alarms do not
    count. Only for comparison with such figures; some of those are over the sentences with mistakes alone, too, which
    lifts them further (its authors in issues 6 and 17 of liushulinle/PLOME).

For SIGHAN 2013, where 的, 地 and 得 are mostly not annotated, ReaLiSe takes 地 and 得 out of the predictions before it
scores: ``ignored="地得"``. Figures with and without are not comparable.
"""

from collections.abc import Mapping, Sequence

Edits = Mapping[int, str]


def correction_scores(
    texts: Sequence[str], targets: Sequence[str], predictions: Sequence[str], ignored: str = ""
) -> dict[str, float]:
    """All figures, each between 0 and 1; what nothing can be said of (a division by 0) is 0.

    Args:
        texts: as they were given.
        targets: without mistakes.
        predictions: as they were corrected.
        ignored: replacements by one of these characters are taken out of the predictions.

    Raises:
        ValueError: a target or prediction is not as long as its text.
    """
    gold = [edits(text, target) for text, target in zip(texts, targets, strict=True)]
    found = [
        {place: new for place, new in edits(text, guess).items() if new not in ignored}
        for text, guess in zip(texts, predictions, strict=True)
    ]
    scores: dict[str, float] = {}
    for level, right, guessed in (
        ("detection", [places(item) for item in gold], [places(item) for item in found]),
        ("correction", gold, found),
    ):
        scores |= _sentence_scores(level, right, guessed)
        scores |= _character_scores(level, right, guessed)
    scores |= _plome_scores(gold, found)
    clean = [guess for right, guess in zip(gold, found, strict=True) if not right]
    scores["sighan_false_positive_rate"] = _share(sum(map(bool, clean)), len(clean))
    return scores


def edits(text: str, changed: str) -> dict[int, str]:
    """The characters that changed, by position from 0.

    Raises:
        ValueError: the texts differ in length.
    """
    if len(text) != len(changed):
        raise ValueError(f"a correction must be as long as its text: {len(changed)} characters, not {len(text)}")
    return {place: new for place, (old, new) in enumerate(zip(text, changed, strict=True)) if old != new}


def places(found: Edits) -> dict[int, str]:
    """Edits without saying what the characters become, for detection."""
    return dict.fromkeys(found, "")


def _sentence_scores(level: str, gold: Sequence[Edits], found: Sequence[Edits]) -> dict[str, float]:
    pairs = list(zip(gold, found, strict=True))
    exact = sum(right == guess for right, guess in pairs)
    corrected = sum(right == guess for right, guess in pairs if right)
    false_alarms = sum(bool(guess) for right, guess in pairs if not right)
    recall = _share(corrected, sum(map(bool, gold)))
    scores = {}
    for convention, reported in (("sighan", corrected + false_alarms), ("realise", sum(map(bool, found)))):
        precision = _share(corrected, reported)
        name = f"{convention}_sentence_{level}"
        scores[f"{name}_accuracy"] = _share(exact, len(pairs))
        scores |= _figures(name, precision, recall)
    return scores


def _character_scores(level: str, gold: Sequence[Edits], found: Sequence[Edits]) -> dict[str, float]:
    right = sum(_shared(a, b) for a, b in zip(gold, found, strict=True))
    return _figures(f"character_{level}", _share(right, sum(map(len, found))), _share(right, sum(map(len, gold))))


def _plome_scores(gold: Sequence[Edits], found: Sequence[Edits]) -> dict[str, float]:
    right = sum(_shared(a, b) for a, b in zip(gold, found, strict=True))
    detected = sum(len(a.keys() & b.keys()) for a, b in zip(gold, found, strict=True))
    return _figures("plome_character_correction", _share(right, detected), _share(right, sum(map(len, gold))))


def _shared(first: Edits, second: Edits) -> int:
    return len(first.items() & second.items())


def _figures(name: str, precision: float, recall: float) -> dict[str, float]:
    return {
        f"{name}_precision": precision,
        f"{name}_recall": recall,
        f"{name}_f1": _share(2 * precision * recall, precision + recall),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
