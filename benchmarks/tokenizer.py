"""Characters a second of the tokenizer, against the original's chain, a sentence at a time."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer

from benchmarks.original_chain import pypinyin_readings, split_sentences
from benchmarks.timing import measure_in_turn
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY, ChineseBertTokenizer

Encoded = list[tuple[list[int], list[str]]]
ORIGINAL, OURS, OURS_SINGLY = "original", "ours", "ours_singly"
TARGET = 5.0


class OriginalTokenizer:
    """What the original's code calls for a sentence: ``BertWordPieceTokenizer.encode`` and ``pypinyin.pinyin``."""

    def __init__(self) -> None:
        self.wordpiece = BertWordPieceTokenizer(str(DEFAULT_VOCABULARY))

    def run(self, sentences: Sequence[str]) -> None:
        """What is timed: both calls for each sentence, without anything made of their results."""
        for sentence in sentences:
            self.wordpiece.encode(sentence)
            pypinyin_readings([sentence])

    def encode(self, sentences: Sequence[str]) -> Encoded:
        """Ids and syllables of the tokens: a token of one character has its character's, by the original's rule."""
        encoded = []
        for sentence in sentences:
            tokens = self.wordpiece.encode(sentence)
            readings = pypinyin_readings([sentence])[0]
            syllables = [readings[start] if end - start == 1 else "" for start, end in tokens.offsets]
            encoded.append((tokens.ids, syllables))
        return encoded


def encode_ours(tokenizer: ChineseBertTokenizer, sentences: list[str]) -> Encoded:
    """Ids and syllables of the tokens, by one call."""
    output, names = tokenizer(sentences), ("", *tokenizer.readings.syllables)
    return [
        (ids, [names[number] for number in numbers])
        for ids, numbers in zip(output["input_ids"], output["pinyin_ids"], strict=True)
    ]


def measure_tokenizers(tokenizer: ChineseBertTokenizer, paragraphs: Sequence[str], rounds: int) -> dict:
    """Times both on the same sentences in turn and compares what they return."""
    sentences, original = split_sentences(paragraphs), OriginalTokenizer()
    characters = sum(map(len, sentences))
    runs: dict[str, Callable[[Any], object]] = {
        ORIGINAL: original.run,
        OURS: tokenizer,
        OURS_SINGLY: lambda given: [tokenizer(sentence) for sentence in given],
    }
    recorded: dict[str, list[float]] = {}
    measure_in_turn(recorded, runs, lambda _: sentences, torch.device("cpu"), rounds)
    medians = {name: statistics.median(times) for name, times in recorded.items()}
    pairs = [before / after for before, after in zip(recorded[ORIGINAL], recorded[OURS], strict=True)]
    ratio = medians[ORIGINAL] / medians[OURS]
    return {
        "sentences": len(sentences),
        "characters": characters,
        "rounds": rounds,
        "characters_per_second": {name: characters / median for name, median in medians.items()},
        "seconds": recorded,
        "ratio": {"of_medians": ratio, "paired": statistics.median(pairs), "target": TARGET, "met": ratio >= TARGET},
    } | _equality(original.encode(sentences), encode_ours(tokenizer, sentences))


def _equality(one: Encoded, other: Encoded) -> dict[str, bool]:
    return {
        "ids_equal": [ids for ids, _ in one] == [ids for ids, _ in other],
        "syllables_equal": [syllables for _, syllables in one] == [syllables for _, syllables in other],
    }
