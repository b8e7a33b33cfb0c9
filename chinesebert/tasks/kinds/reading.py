"""Extractive reading: the answer to a question is a span of a context, which may be longer than an input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.tasks.examples import ReadingExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.compact import compact
from chinesebert.tasks.kinds.padding import padded
from chinesebert.tasks.metrics.reading import reading_scores

MOST_QUESTION_TOKENS = 64  # max_query_length of BERT's run_squad.py and of CLUE's run_mrc.py


@dataclass(frozen=True)
class ScoredAnswer:
    """Characters ``[start, end)`` of a context, and the sum of the scores of its first and its last token."""

    score: float
    start: int
    end: int


class Reading(Kind):
    """A span of the context; the prediction is its text as it stands there.

    Attributes:
        n_best_size: spans of a window that ``answers`` keeps; 20 in BERT's run_squad.py and CLUE's run_mrc.py.
        max_answer_length: tokens of an answer at most; 50 in CLUE's run_mrc.py (2 % of CMRC 2018's answers are longer).
    """

    name = "reading"
    head = "ChineseBertForQuestionAnswering"
    has_labels = False
    example = ReadingExample
    n_best_size = 20
    max_answer_length = 50

    def encode(self, examples: Sequence[ReadingExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """Inputs ``[CLS] question [SEP] window of the context [SEP]``, one or several an example.

        Neighbouring windows share ``lengths.doc_stride`` tokens, at most half of a window. A window that does not hold
        the whole answer is trained to point at ``[CLS]``, as in BERT's own script.
        """
        encoded = Encoded([], [])
        context, before = None, None
        for number, example in enumerate(examples):
            question = tokenizer(example.question, add_special_tokens=False, verbose=False)
            if context is None or before != example.context:  # questions about one context follow each other
                context = tokenizer(
                    example.context, add_special_tokens=False, return_offsets_mapping=True, verbose=False
                )
                before = example.context
            most = min(MOST_QUESTION_TOKENS, (lengths.max_seq_length - 3) // 2)
            encoded.cut += len(question["input_ids"]) > most
            answer = _answer_tokens(example, context["offset_mapping"])
            room = lengths.max_seq_length - 3 - min(most, len(question["input_ids"]))
            for start, end in windows(len(context["input_ids"]), room, lengths.doc_stride):
                item, offsets = _input(question, context, most, (start, end), tokenizer)
                if example.answers is not None:
                    first = len(offsets) - 1 - (end - start)
                    item["start_positions"], item["end_positions"] = _positions(answer, start, end, first)
                encoded.inputs.append(item)
                encoded.offsets.append(offsets)
                encoded.owners.append(number)
        return encoded

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask`` ``[B, L]``; ``start_positions``, ``end_positions`` ``[B]``,
        for examples with answers.
        """
        batch = padded(inputs, ("input_ids", "pinyin_ids"))
        if all("start_positions" in item for item in inputs):
            for name in ("start_positions", "end_positions"):
                batch[name] = torch.tensor([item[name] for item in inputs])
        return batch

    def answers(
        self, encoded: Encoded, scores: tuple[NDArray[np.float32], ...], count: int
    ) -> list[list[ScoredAnswer]]:
        """The best spans of each of ``count`` examples over all its windows, best first, each span once."""
        found: list[dict[tuple[int, int], ScoredAnswer]] = [{} for _ in range(count)]
        for row, (owner, offsets) in enumerate(zip(encoded.owners, encoded.offsets, strict=True)):
            for span in best_spans(scores[0][row], scores[1][row], offsets, self.n_best_size, self.max_answer_length):
                known = found[owner].get((span.start, span.end))
                if known is None or known.score < span.score:
                    found[owner][span.start, span.end] = span
        return [sorted(spans.values(), key=lambda span: -span.score) for spans in found]

    def decode(
        self,
        examples: Sequence[ReadingExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The text of the best span, cut out of the context as published; "" where the context has no token."""
        assert isinstance(scores, tuple)
        answers = self.answers(encoded, scores, len(examples))
        return [
            example.context[spans[0].start : spans[0].end] if spans else ""
            for example, spans in zip(examples, answers, strict=True)
        ]

    def score(self, examples: Sequence[ReadingExample], predictions: Sequence[Any]) -> dict[str, float]:
        """``em`` and ``f1`` as CMRC 2018's evaluation script defines them, and their mean, ``average``."""
        return reading_scores([self.truth(example) for example in examples], predictions)

    def truth(self, example: ReadingExample) -> Any:
        """The texts of all references; None where the file has none."""
        return None if example.answers is None else [answer.text for answer in example.answers]


def windows(tokens: int, room: int, shared: int) -> Iterator[tuple[int, int]]:
    """Windows ``[start, end)`` of at most ``room`` tokens over a text; neighbours share ``shared``, at most a half."""
    step = room - min(shared, room // 2)
    start = 0
    while start + room < tokens:
        yield start, start + room
        start += step
    yield start, tokens


def best_spans(
    start_scores: NDArray[np.float32],
    end_scores: NDArray[np.float32],
    offsets: Sequence[tuple[int, int]],
    count: int,
    most: int,
) -> list[ScoredAnswer]:
    """The spans of a window with the highest sum of scores, best first.

    All spans are looked at, not only those of the ``count`` best starts and ends as in BERT's script.

    Args:
        start_scores, end_scores: ``[L]``, or longer, of the tokens of the input.
        offsets: the characters of the context that each token covers, ``(0, 0)`` for those of no span.
        count: how many.
        most: tokens of a span at most.
    """
    inside = np.array([end > start for start, end in offsets])
    width = min(most, len(offsets))
    starts = np.where(inside, start_scores[: len(offsets)], -np.inf).astype(np.float64)
    ends = np.where(inside, end_scores[: len(offsets)], -np.inf).astype(np.float64)
    ends = np.append(ends, np.full(width, -np.inf))
    sums = starts[:, None] + np.lib.stride_tricks.sliding_window_view(ends, width)[: len(offsets)]
    order = np.argsort(-sums, axis=None, kind="stable")[:count]
    found = []
    for place in order:
        first, longer = divmod(int(place), width)
        if np.isfinite(sums[first, longer]):
            found.append(ScoredAnswer(float(sums[first, longer]), offsets[first][0], offsets[first + longer][1]))
    return found


def _input(
    question: Any, context: Any, most: int, window: tuple[int, int], tokenizer: Any
) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    start, end = window
    ids = [tokenizer.cls_token_id, *question["input_ids"][:most], tokenizer.sep_token_id]
    before = len(ids)
    ids += [*context["input_ids"][start:end], tokenizer.sep_token_id]
    pinyin = [0, *question["pinyin_ids"][:most], 0, *context["pinyin_ids"][start:end], 0]
    offsets = [(0, 0)] * before + [tuple(offset) for offset in context["offset_mapping"][start:end]] + [(0, 0)]
    return {"input_ids": compact(ids), "pinyin_ids": compact(pinyin)}, offsets


def _answer_tokens(example: ReadingExample, offsets: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """First and last token of the first reference that stands in the context."""
    for answer in example.answers or ():
        if answer.start >= 0 and answer.text:
            end = answer.start + len(answer.text)
            covered = [n for n, (first, last) in enumerate(offsets) if last > answer.start and first < end]
            if covered:
                return covered[0], covered[-1]
    return None


def _positions(answer: tuple[int, int] | None, start: int, end: int, first: int) -> tuple[int, int]:
    """Where the answer stands in an input whose window begins at token ``first``; 0, 0 where it does not."""
    if answer is None or answer[0] < start or answer[1] >= end:
        return 0, 0
    return first + answer[0] - start, first + answer[1] - start
