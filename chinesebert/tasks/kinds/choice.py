"""Multiple choice: after a text and a question, or in a blank of the text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chinesebert.tasks.examples import ChoiceExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.compact import compact
from chinesebert.tasks.kinds.cutting import cut
from chinesebert.tasks.kinds.padding import padded

_NO_CHOICE = {"input_ids": [0], "pinyin_ids": [0]}


class Choice(Kind):
    """One of an example's choices, as many as it has; the prediction is its number.

    Attributes:
        unique: within a group no two examples get the same choice: where the blanks of a record were filled from one
            list, that is so. The surest example chooses first, as in CLUE's own script for ChID. Off by default: then
            each example is decided for itself.
    """

    name = "choice"
    head = "ChineseBertForMultipleChoice"
    has_labels = False
    example = ChoiceExample
    unique = False

    def encode(self, examples: Sequence[ChoiceExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """An input an example, with a row a choice.

        ``[CLS] context [SEP] question [SEP] choice [SEP]``, where the context is cut; or, with a blank, ``[CLS] context
        with the choice in it [SEP]``, of which the tokens around the blank are kept.
        """
        encoded = Encoded([], list(range(len(examples))))
        for example in examples:
            make = _after_context if example.blank is None else _in_blank
            rows, was_cut = make(example, tokenizer, lengths)
            encoded.cut += was_cut
            item: dict[str, Any] = {name: [compact(row[name]) for row in rows] for name in _NO_CHOICE}
            if example.label is not None:
                item["labels"] = example.label
            encoded.inputs.append(item)
        return encoded

    def collate(self, inputs: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``pinyin_ids``, ``attention_mask`` ``[B, C, L]``, ``labels`` ``[B]``.

        Examples with fewer choices than others get rows of one padding token, which ``loss`` and ``decode`` leave out.
        """
        most = max(len(item["input_ids"]) for item in inputs)
        rows: list[dict[str, Any]] = []
        for item in inputs:
            there = len(item["input_ids"])
            rows += [{name: item[name][number] for name in _NO_CHOICE} for number in range(there)]
            rows += [_NO_CHOICE] * (most - there)
        batch = {
            name: value.view(len(inputs), most, -1) for name, value in padded(rows, ("input_ids", "pinyin_ids")).items()
        }
        if all("labels" in item for item in inputs):
            batch["labels"] = torch.tensor([item["labels"] for item in inputs])
        return batch

    def loss(self, outputs: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """Cross entropy over the choices that an example has; None without labels."""
        if "labels" not in inputs:
            return None
        absent = inputs["attention_mask"].sum(dim=-1) < 2
        logits = outputs["logits"].float().masked_fill(absent, -torch.inf)
        return torch.nn.functional.cross_entropy(logits, inputs["labels"])

    def decode(
        self,
        examples: Sequence[ChoiceExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The number of the choice with the highest score, for each example; see ``unique``."""
        rows = [row[: len(example.choices)] for row, example in zip(np.asarray(scores), examples, strict=True)]
        guesses = [int(row.argmax()) for row in rows]
        if self.unique:
            for members in grouped([example.group for example in examples]):
                for place, guess in zip(members, distinct([rows[place] for place in members]), strict=True):
                    guesses[place] = guess
        return guesses

    def score(self, examples: Sequence[ChoiceExample], predictions: Sequence[Any]) -> dict[str, float]:
        """Accuracy."""
        right = sum(example.label == guess for example, guess in zip(examples, predictions, strict=True))
        return {"accuracy": right / len(examples)}

    def truth(self, example: ChoiceExample) -> Any:
        """The number of the right choice."""
        return example.label


def grouped(groups: Sequence[str | None]) -> list[list[int]]:
    """The places of each group; those of none are by themselves."""
    members: dict[Any, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(place if group is None else group, []).append(place)
    return list(members.values())


def distinct(rows: Sequence[NDArray[np.float32]]) -> list[int]:
    """A choice for each row, no two the same while there are choices left; the surest row chooses first.

    Args:
        rows: the scores of the same choices, ``[C]`` each.
    """
    surest = [(row - np.logaddexp.reduce(row), number) for number, row in enumerate(np.asarray(rows, dtype=np.float64))]
    pairs = sorted(
        ((-value, number, choice) for row, number in surest for choice, value in enumerate(row)),
    )
    found: dict[int, int] = {}
    for _, number, choice in pairs:
        if number not in found and choice not in found.values():
            found[number] = choice
    return [found.get(number, int(np.argmax(row))) for number, row in enumerate(rows)]


def _after_context(example: ChoiceExample, tokenizer: Any, lengths: Lengths) -> tuple[list[dict[str, list[int]]], bool]:
    """Rows ``[CLS] context [SEP] question [SEP] choice [SEP]``, the composition of CLUE's script for C3.

    Question and choice may take a third of an input each; the context is cut to what they leave.
    """
    texts = [example.context, example.question, *example.choices]
    tokens = tokenizer(texts, add_special_tokens=False, verbose=False)
    most = lengths.max_seq_length - 4
    rows, was_cut = [], False
    for number in range(2, len(texts)):
        sizes = [len(tokens["input_ids"][part]) for part in (0, 1, number)]
        room = [0, min(sizes[1], most // 3), min(sizes[2], most // 3)]
        room[0] = most - sum(room)
        row: dict[str, list[int]] = {}
        for name, first, last in (("input_ids", tokenizer.cls_token_id, tokenizer.sep_token_id), ("pinyin_ids", 0, 0)):
            context, question, choice = (tokens[name][part] for part in (0, 1, number))
            parts = [cut(context, room[0], lengths.truncation), question[: room[1]], choice[: room[2]]]
            row[name] = [first, *(token for part in parts if part or part is parts[0] for token in [*part, last])]
        rows.append(row)
        was_cut |= any(size > space for size, space in zip(sizes, room, strict=True))
    return rows, was_cut


def _in_blank(example: ChoiceExample, tokenizer: Any, lengths: Lengths) -> tuple[list[dict[str, list[int]]], bool]:
    """Rows ``[CLS] context with the choice in its blank [SEP]``; what is far from the blank is cut away."""
    assert example.blank is not None
    start, end = example.blank
    texts = [example.context[:start] + choice + example.context[end:] for choice in example.choices]
    tokens = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    most = lengths.max_seq_length - 2
    rows, was_cut = [], False
    for number, choice in enumerate(example.choices):
        offsets = tokens["offset_mapping"][number]
        before = sum(last <= start for _, last in offsets)
        after = sum(first >= start + len(choice) for first, _ in offsets)
        first, last = around(before, len(offsets) - after, len(offsets), most)
        ids, pinyin = tokens["input_ids"][number][first:last], tokens["pinyin_ids"][number][first:last]
        rows.append(
            {"input_ids": [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], "pinyin_ids": [0, *pinyin, 0]}
        )
        was_cut |= last - first < len(offsets)
    return rows, was_cut


def around(start: int, end: int, total: int, most: int) -> tuple[int, int]:
    """At most ``most`` tokens of ``total``, with those of ``[start, end)`` in the middle as far as there are others."""
    if total <= most:
        return 0, total
    spare = max(0, most - (end - start))
    left = min(start, max(spare // 2, spare - (total - end)))
    return start - left, min(total, start - left + most)
