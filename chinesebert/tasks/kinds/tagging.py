"""Spans that do not overlap, as a tag a character: named entities, and words."""

import logging
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.kinds.base import Encoded, Lengths
from chinesebert.tasks.kinds.characters import Window
from chinesebert.tasks.kinds.padding import padded
from chinesebert.tasks.kinds.spans import SpanKind, Spans
from chinesebert.tasks.metrics.segmentation import word_scores

_IGNORED = -100
_LOG = logging.getLogger(__name__)


class Tagging(SpanKind):
    """Spans as BIO tags: ``B-`` begins one, ``I-`` goes on with it, ``O`` is outside.

    Predicted is the best sequence of tags among those in which every ``I-`` goes on with a span of its label. Published
    files have a few spans inside others, which tags cannot say: the longest is learned, all of them are scored.
    """

    name = "tagging"

    def output_names(self) -> list[str]:
        """``O``, then ``B-`` and ``I-`` of each label."""
        return ["O", *(f"{part}-{label}" for label in self.labels for part in "BI")]

    def encode(self, examples: Sequence[SpanExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """Inputs with a token a character; ``labels`` number the tags, -100 where another window's count."""
        inside = sum(len(example.spans) - len(longest(example.spans)) for example in examples if example.spans)
        if inside:
            _LOG.warning("%d of the spans overlap a longer one: a tag a character can only learn the longer", inside)
        return super().encode(examples, tokenizer, lengths)

    def targets(self, length: int, spans: Spans) -> NDArray[np.integer[Any]]:
        """The number of each token's tag."""
        tags = np.zeros(length, dtype=np.int64)
        for span in longest(spans):
            if span.label in self.numbers:
                number = self.numbers[span.label]
                tags[span.start] = 1 + 2 * number
                tags[span.start + 1 : span.end] = 2 + 2 * number
        return tags

    def window_labels(self, targets: NDArray[np.integer[Any]], window: Window) -> list[int]:
        """The tags of a window, one for each token; -100 where another window's count, and at the special tokens."""
        counted = targets[window.first : window.last].tolist()
        before, after = window.first - window.start, window.end - window.last
        return [_IGNORED] * (before + 1) + counted + [_IGNORED] * (after + 1)

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask``, and ``labels`` if all have some: ``[B, L]``."""
        names = ["input_ids", "pinyin_ids"]
        if all("labels" in item for item in inputs):
            names.append("labels")
        return padded(inputs, names)

    def spans(self, scores: NDArray[Any]) -> Spans:
        """The spans of the best well-formed sequence of tags."""
        return tuple(Span(start, end, self.labels[number]) for start, end, number in tagged(best_tags(scores)))


class Segmentation(Tagging):
    """Words: every character but white space belongs to one. The label of all of them is ``WORD``."""

    name = "segmentation"

    def output_names(self) -> list[str]:
        """``B-WORD`` begins a word, ``I-WORD`` goes on with it; nothing is outside."""
        return ["B-WORD", "I-WORD"]

    def targets(self, length: int, spans: Spans) -> NDArray[np.integer[Any]]:
        """0 where a word begins, 1 within it."""
        tags = np.ones(length, dtype=np.int64)
        tags[[span.start for span in spans]] = 0
        return tags

    def spans(self, scores: NDArray[Any]) -> Spans:
        """The words; the first token begins one."""
        begins = scores[:, 0] >= scores[:, 1]
        cuts = sorted({0, *np.flatnonzero(begins).tolist(), len(scores)})
        return tuple(Span(start, end, "WORD") for start, end in pairwise(cuts))

    def placed(self, text: str, spans: Spans, positions: Sequence[int]) -> Spans:
        """The words; white space always ends one, and any other character without a token goes on with the last."""
        cuts = [0, *(positions[span.start] for span in spans[1:]), len(text)]
        words = ((start, found) for start, end in pairwise(cuts) for found in re.finditer(r"\S+", text[start:end]))
        return tuple(Span(start + found.start(), start + found.end(), "WORD") for start, found in words)

    def score(self, examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> dict[str, float]:
        """Precision, recall and F1 of words as in the SIGHAN Bakeoffs, and accuracy of characters."""
        return word_scores([example.spans or () for example in examples], predictions)

    def record(self, example: SpanExample, prediction: Sequence[Span]) -> dict[str, Any]:
        """``id``, and the words, predicted and right."""
        line: dict[str, Any] = {"id": example.id, "prediction": words_of(example.text, prediction)}
        return line if example.spans is None else line | {"label": words_of(example.text, example.spans)}


def words_of(text: str, spans: Sequence[Span]) -> list[str]:
    """What spans cover of a text."""
    return [text[span.start : span.end] for span in spans]


def longest(spans: Sequence[Span]) -> list[Span]:
    """Spans that do not overlap: of those that do, the longest, of equally long ones the first."""
    ordered = sorted(spans)
    if all(span.end <= later.start for span, later in pairwise(ordered)):
        return ordered
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


def best_tags(scores: NDArray[Any]) -> NDArray[np.int64]:
    """The best sequence of BIO tags of scores ``[characters, 1 + 2 · labels]``: O, then B and I of each label.

    Best is the greatest sum of scores, which is the greatest probability where characters are independent, among the
    sequences in which an I follows a B or an I of its label (Viterbi's algorithm, without learned transitions).
    """
    tags = scores.argmax(axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
    return tags if well_formed(tags) else _viterbi(scores)


def well_formed(tags: NDArray[np.int64]) -> bool:
    """Whether every I (2, 4, …) follows the B (1, 3, …) or I of its label."""
    going_on = (tags > 0) & (tags % 2 == 0)
    before = np.concatenate([[0], tags])[:-1]
    return bool(np.all(~going_on | (before == tags) | (before == tags - 1)))


def _viterbi(scores: NDArray[Any]) -> NDArray[np.int64]:
    """``best_tags`` where the best tag of each character is no sequence."""
    length, outputs = scores.shape
    insides = np.arange(2, outputs, 2)
    came_from = np.zeros((length, outputs), dtype=np.int64)
    total = scores[0].astype(np.float64)
    total[insides] = -np.inf
    for place in range(1, length):
        best = total.argmax()
        came_from[place] = best  # O and B follow anything
        goes_on = np.where(total[insides] >= total[insides - 1], insides, insides - 1)
        came_from[place, insides] = goes_on
        reached = np.full(outputs, total[best])
        reached[insides] = total[goes_on]
        total = reached + scores[place]
    tags = np.empty(length, dtype=np.int64)
    tags[-1] = total.argmax()
    for place in range(length - 1, 0, -1):
        tags[place - 1] = came_from[place, tags[place]]
    return tags


def tagged(tags: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """``(start, end, number of the label)`` of each span of a well-formed sequence of tags."""
    found: list[tuple[int, int, int]] = []
    for place, tag in enumerate(tags.tolist()):
        if tag % 2:
            found.append((place, place + 1, tag // 2))
        elif tag:
            start, _, number = found.pop()
            found.append((start, place + 1, number))
    return found
