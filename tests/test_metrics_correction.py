"""Scores of spelling correction, counted by hand; the official tool's example as its report has it."""

import pytest

from chinesebert.tasks.metrics.correction import correction_scores, edits

# Ten sentences of twelve characters like those of the toy example of SIGHAN 2014 and 2015: which places are wrong, what
# is right there, and what a system says. Counted by the official tool: detection TP 4, FP 1, FN 3, TN 2; correction
# TP 3, FP 1, FN 4, TN 2.
LENGTH = 12
TRUTHS: list[dict[int, str]] = [
    {},
    {1: "生", 6: "直", 9: "关"},
    {},
    {4: "舞"},
    {3: "炭", 8: "作"},
    {11: "已"},
    {},
    {10: "是"},
    {7: "有"},
    {5: "考", 6: "虑"},
]
GUESSES: list[dict[int, str]] = [
    {},
    {1: "生", 5: "直", 9: "关"},
    {},
    {4: "舞"},
    {3: "炭", 8: "做"},
    {},
    {2: "天"},
    {10: "是"},
    {},
    {5: "考", 6: "虑"},
]


def written(changes: dict[int, str]) -> str:
    return "".join(changes.get(place, "字") for place in range(LENGTH))


@pytest.fixture(scope="module")
def scores() -> dict[str, float]:
    return correction_scores(
        [written({})] * len(TRUTHS), [written(truth) for truth in TRUTHS], [written(guess) for guess in GUESSES]
    )


@pytest.mark.parametrize(
    ("level", "accuracy", "precision", "recall", "f1"),
    [("detection", 0.6, 0.8, 0.5714, 0.6667), ("correction", 0.5, 0.75, 0.4286, 0.5455)],
)
def test_sentences_are_counted_as_the_official_tool_reports(
    scores: dict[str, float], level: str, accuracy: float, precision: float, recall: float, f1: float
) -> None:
    found = [scores[f"sighan_sentence_{level}_{name}"] for name in ("accuracy", "precision", "recall", "f1")]
    assert found == pytest.approx([accuracy, precision, recall, f1], abs=5e-5)


def test_false_positives_are_sentences_without_mistakes_in_which_something_is_reported(
    scores: dict[str, float],
) -> None:
    assert scores["sighan_false_positive_rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("level", "right"), [("detection", 4), ("correction", 3)])
def test_papers_count_every_sentence_with_a_report_in_the_precision(
    scores: dict[str, float], level: str, right: int
) -> None:
    precision, recall = right / 6, right / 7  # six sentences are changed, seven are wrong
    assert scores[f"realise_sentence_{level}_precision"] == pytest.approx(precision)
    assert scores[f"realise_sentence_{level}_recall"] == pytest.approx(recall)
    assert scores[f"realise_sentence_{level}_f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_characters_are_counted_one_by_one(scores: dict[str, float]) -> None:
    # 11 characters are wrong, 10 are changed; 8 of those are wrong ones, and 7 of them become right.
    assert scores["character_detection_precision"] == pytest.approx(8 / 10)
    assert scores["character_detection_recall"] == pytest.approx(8 / 11)
    assert scores["character_correction_precision"] == pytest.approx(7 / 10)
    assert scores["character_correction_recall"] == pytest.approx(7 / 11)
    assert scores["character_correction_f1"] == pytest.approx(2 * 7 / (10 + 11))


def test_plome_leaves_false_alarms_out_of_the_precision_of_corrections(scores: dict[str, float]) -> None:
    assert scores["plome_character_correction_precision"] == pytest.approx(7 / 8)
    assert scores["plome_character_correction_recall"] == pytest.approx(7 / 11)


def test_the_figures_of_2013_are_among_them() -> None:
    # The toy example of subtask 2 of 2013: 5 sentences, 4 reported, 3 located, 2 corrected.
    truths = [{0: "甲"}, {9: "的"}, {3: "乙"}, {1: "炭", 4: "作"}, {5: "丙"}]
    guesses = [{0: "乙"}, {9: "的"}, {2: "乙"}, {1: "炭", 4: "作"}, {}]
    scores = correction_scores([written({})] * 5, [*map(written, truths)], [*map(written, guesses)])
    assert scores["sighan_sentence_detection_accuracy"] == pytest.approx(0.6)
    assert scores["sighan_sentence_correction_accuracy"] == pytest.approx(0.4)
    assert scores["realise_sentence_correction_precision"] == pytest.approx(0.5)


def test_ignored_characters_are_taken_out_of_the_predictions_only() -> None:
    texts, targets, predictions = ["高兴的唱", "快乐的跳"], ["高兴的唱", "快乐地跳"], ["高兴地唱", "快乐地跳"]
    assert correction_scores(texts, targets, predictions)["sighan_sentence_correction_recall"] == 1
    without = correction_scores(texts, targets, predictions, ignored="地得")
    assert without["sighan_false_positive_rate"] == 0
    assert without["sighan_sentence_correction_recall"] == 0


def test_nothing_reported_where_nothing_is_wrong_divides_by_nothing() -> None:
    scores = correction_scores(["一二"], ["一二"], ["一二"])
    assert scores["sighan_sentence_correction_accuracy"] == 1
    assert scores["sighan_sentence_correction_f1"] == scores["character_detection_f1"] == 0


def test_a_correction_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 characters, not 2"):
        edits("一二", "一二三")
