"""Loss and accuracy over masked tokens and masked words, against a slow computation in plain Python."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chinesebert.masking import IGNORE_INDEX, NO_WORD
from chinesebert.training.metrics import MaskedAccuracy

VOCABULARY = 7
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Logits ``[B, L, V]`` at every place, labels and word numbers ``[B, L]``."""

# No deadline: on a busy machine any example may be slow once.
few = settings(max_examples=60, deadline=None)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Rows of words of one to three tokens, each word masked whole or not at all, or rows masked by characters."""
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 30)))
    logits = torch.randn(rows, length, VOCABULARY, generator=generator)
    starts = torch.rand(rows, length, generator=generator) < 0.6
    words = starts.long().cumsum(dim=1) + (length + 1) * torch.arange(rows)[:, None]
    by_characters = torch.rand(rows, 1, generator=generator) < 0.3
    masked_words = torch.rand(rows * (length + 1) + 1, generator=generator) < 0.5
    masked = torch.where(by_characters, torch.rand(rows, length, generator=generator) < 0.4, masked_words[words])
    # Answers are right about half of the time, so that words of several tokens are right now and then.
    guess = torch.rand(rows, length, generator=generator) < 0.5
    anything = torch.randint(VOCABULARY, (rows, length), generator=generator)
    labels = torch.where(guess, logits.argmax(dim=-1), anything).masked_fill(~masked, IGNORE_INDEX)
    return logits, labels, torch.where(by_characters, NO_WORD, words)


def measured(*parts: Batch) -> MaskedAccuracy:
    accuracy = MaskedAccuracy(torch.device("cpu"))
    for logits, labels, words in parts:
        accuracy.add(logits[labels != IGNORE_INDEX], labels, words)
    return accuracy


def slow(logits: torch.Tensor, labels: torch.Tensor, words: torch.Tensor) -> dict[str, float]:
    """The same by definition, place by place."""
    losses: list[float] = []
    right: list[bool] = []
    right_words: dict[int, bool] = {}
    for row in range(labels.shape[0]):
        for place in range(labels.shape[1]):
            label, word = int(labels[row, place]), int(words[row, place])
            if label == IGNORE_INDEX:
                continue
            scores = logits[row, place].tolist()
            losses.append(math.log(sum(map(math.exp, scores))) - scores[label])
            right.append(max(range(VOCABULARY), key=scores.__getitem__) == label)
            if word != NO_WORD:
                right_words[word] = right_words.get(word, True) and right[-1]
    return {
        "loss": sum(losses) / max(len(losses), 1),
        "char_accuracy": sum(right) / max(len(right), 1),
        "word_accuracy": sum(right_words.values()) / max(len(right_words), 1),
    }


@few
@given(batches())
def test_accuracy_is_what_the_definition_says(batch: Batch) -> None:
    assert measured(batch).compute() == pytest.approx(slow(*batch), abs=1e-5)


@few
@given(batches())
def test_rows_may_be_split_over_batches(batch: Batch) -> None:
    rows = [tuple(part[row : row + 1] for part in batch) for row in range(len(batch[0]))]
    assert torch.allclose(measured(*rows).sums, measured(batch).sums, atol=1e-4)


@few
@given(batches(), batches())
def test_sums_of_ranks_can_be_added(one: Batch, two: Batch) -> None:
    ranks = [measured(one), measured(two)]
    ranks[0].sums += ranks[1].sums
    assert ranks[0].compute() == pytest.approx(measured(one, two).compute(), abs=1e-6)


def test_a_word_with_one_wrong_character_is_wrong() -> None:
    logits = torch.eye(VOCABULARY)[None, [1, 2, 3, 4]]
    labels = torch.tensor([[1, 2, 3, 5]])
    accuracy = measured((logits, labels, torch.tensor([[8, 8, 9, 9]]))).compute()
    assert (accuracy["char_accuracy"], accuracy["word_accuracy"]) == (0.75, 0.5)


def test_tokens_masked_one_by_one_count_as_no_word() -> None:
    logits = torch.eye(VOCABULARY)[None, [1, 2, 3]]
    labels = torch.tensor([[1, 2, 4]])
    accuracy = measured((logits, labels, torch.tensor([[NO_WORD, 5, NO_WORD]])))
    assert accuracy.sums[3:].tolist() == [1, 1]


def test_a_batch_without_whole_words_has_character_accuracy_only() -> None:
    logits = torch.eye(VOCABULARY)[None, [1, 2]]
    accuracy = measured((logits, torch.tensor([[1, 3]]), torch.full((1, 2), NO_WORD))).compute()
    assert (accuracy["char_accuracy"], accuracy["word_accuracy"]) == (0.5, 0.0)


def test_a_batch_without_labels_changes_nothing() -> None:
    nothing = torch.full((2, 3), IGNORE_INDEX)
    accuracy = measured((torch.zeros(2, 3, VOCABULARY), nothing, nothing))
    assert accuracy.sums.tolist() == [0, 0, 0, 0, 0]


def test_half_precision_logits_are_summed_in_full_precision() -> None:
    logits = torch.randn(1, 400, VOCABULARY, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.randint(VOCABULARY, (1, 400), generator=torch.Generator().manual_seed(1))
    words = torch.full((1, 400), NO_WORD)
    assert measured((logits, labels, words)).compute()["loss"] == pytest.approx(
        slow(logits.float(), labels, words)["loss"], abs=1e-5
    )
