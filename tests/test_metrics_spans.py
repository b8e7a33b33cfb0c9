"""Scores of spans and of words, on cases that are worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.tasks.examples import Span
from chinesebert.tasks.metrics.segmentation import word_scores
from chinesebert.tasks.metrics.spans import rates, span_scores
from chinesebert.tasks.segmented import word_spans
from tests.span_runs import spans


def test_scores_of_the_example_in_the_documentation_of_seqeval() -> None:
    """O O O B-MISC I-MISC I-MISC O against O O B-MISC I-MISC I-MISC I-MISC O, and B-PER I-PER O found: F1 0.50."""
    truths = [spans((3, 6, "MISC")), spans((0, 2, "PER"))]
    guesses = [spans((2, 6, "MISC")), spans((0, 2, "PER"))]
    assert span_scores(truths, guesses) == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "macro_f1": 0.5,
        "f1_MISC": 0.0,
        "f1_PER": 1.0,
    }


def test_micro_scores_count_spans_and_macro_scores_count_labels() -> None:
    truths = [spans((0, 2, "PER"), (4, 6, "PER"), (7, 9, "LOC")), spans((1, 3, "PER"))]
    guesses = [spans((0, 2, "PER"), (7, 9, "ORG")), spans((1, 3, "PER"), (5, 6, "PER"))]
    scores = span_scores(truths, guesses)  # 2 of 4 predicted are right, and 2 of 4 are found
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 0.5, 0.5)
    assert scores["f1_PER"] == pytest.approx(2 / 3)  # 2 of 3 and 2 of 3
    assert (scores["f1_LOC"], scores["f1_ORG"]) == (0.0, 0.0)
    assert scores["macro_f1"] == pytest.approx(2 / 9)


def test_precision_and_recall_are_not_mixed_up() -> None:
    scores = span_scores([spans((0, 1, "A"))], [spans((0, 1, "A"), (2, 3, "A"), (4, 5, "A"), (6, 7, "A"))])
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.25, 1.0, pytest.approx(0.4))


@pytest.mark.parametrize("wrong", [(0, 3, "PER"), (1, 2, "PER"), (0, 2, "ORG")])
def test_a_wrong_end_or_label_makes_a_span_wrong(wrong: tuple[int, int, str]) -> None:
    assert span_scores([spans((0, 2, "PER"))], [spans(wrong)])["f1"] == 0.0


def test_a_span_is_right_in_its_own_text_only() -> None:
    assert span_scores([spans((0, 2, "PER")), ()], [(), spans((0, 2, "PER"))])["f1"] == 0.0


def test_a_span_that_is_said_twice_counts_once() -> None:
    twice = spans((0, 2, "PER"), (0, 2, "PER"))
    assert span_scores([twice], [twice])["f1"] == 1.0
    assert span_scores([spans((0, 2, "PER"), (3, 4, "PER"))], [twice])["recall"] == 0.5


@pytest.mark.parametrize(
    ("truth", "guess"), [((), spans((0, 2, "PER"))), (spans((0, 2, "PER")), ()), ((), ())], ids=["more", "less", "none"]
)
def test_what_cannot_be_divided_is_0(truth: tuple[Span, ...], guess: tuple[Span, ...]) -> None:
    scores = span_scores([truth], [guess])
    assert (scores["precision"], scores["recall"], scores["f1"], scores["macro_f1"]) == (0.0, 0.0, 0.0, 0.0)


def test_figures_of_each_label_can_be_left_out() -> None:
    assert set(span_scores([spans((0, 2, "PER"))], [()], each_label=False)) == {"precision", "recall", "f1", "macro_f1"}


def test_every_text_needs_a_prediction() -> None:
    with pytest.raises(ValueError, match="2 truths but 1 predictions"):
        span_scores([(), ()], [()])


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_f1_is_the_harmonic_mean(both: int, more_found: int, more_true: int) -> None:
    precision, recall, f1 = rates(both, both + more_found, both + more_true)
    mean = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert f1 == pytest.approx(mean)


def test_words_are_scored_as_in_the_bakeoffs() -> None:
    """Of 5 right words the 4 predicted ones hit 共同 and 的: R = 2/5, P = 2/4, F = 4/9."""
    truth = word_spans(["共同", "创造", "美好", "的", "未来"])
    guess = word_spans(["共同", "创造美好", "的", "未"]) + spans((8, 9, "WORD"))
    scores = word_scores([truth], [guess[:4]])
    assert (scores["recall"], scores["precision"]) == (0.4, 0.5)
    assert scores["f1"] == pytest.approx(4 / 9)
    assert word_scores([truth], [guess])["precision"] == pytest.approx(2 / 5)


def test_accuracy_of_segmentation_counts_characters() -> None:
    truth, guess = word_spans(["共同", "创造", "的"]), word_spans(["共同", "创造的"])
    scores = word_scores([truth], [guess])  # 共 同 创 are right; 造 ends no word any more, 的 is none of its own
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert word_scores([truth], [truth])["accuracy"] == 1.0


def test_sentences_are_counted_together() -> None:
    truths = [word_spans(["甲"]), word_spans(["甲", "乙", "丙"])]
    guesses = [word_spans(["甲"]), word_spans(["甲乙丙"])]
    scores = word_scores(truths, guesses)
    assert (scores["recall"], scores["precision"]) == (0.25, 0.5)


def test_no_words_at_all_score_0() -> None:
    assert word_scores([()], [()]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 0.0}
