"""Shows stored documents as they will be read: words apart, the pinyin under each, a number before each sentence."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chinesebert.corpus.format import unpack_pinyin_ids, unpack_sentence_starts, unpack_word_starts
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from data_prep.inspection.blocks import CorpusBlocks, StoredDocument
from data_prep.inspection.columns import display_width, padded
from data_prep.inspection.token_kinds import joined, written

# Between two words; within one, the syllables are joined by hyphens.
_GAP = "  "
# Stands for a token without pinyin in a word that has some elsewhere.
_NO_SYLLABLE = "·"


@dataclass(frozen=True)
class Word:
    """One word: its tokens and, for each, the syllable or ``""``."""

    tokens: tuple[str, ...]
    syllables: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """What each of its tokens writes."""
        return tuple(map(written, self.tokens))

    @property
    def text(self) -> str:
        """What it writes."""
        return joined(self.tokens)

    @property
    def pinyin(self) -> str:
        """Its syllables joined by hyphens; ``""`` where it has none."""
        return "-".join(syllable or _NO_SYLLABLE for syllable in self.syllables) if any(self.syllables) else ""


@dataclass(frozen=True)
class ShownDocument:
    """A document in sentences and words.

    Attributes:
        title: where it comes from and how long it is.
        sentences: of words.
        left_out: tokens after the last one shown.
    """

    title: str
    sentences: list[list[Word]]
    left_out: int


def choose_documents(documents: int, number: int, seed: int) -> list[int]:
    """The numbers of ``number`` documents by chance, ascending; the same for the same seed."""
    return sorted(random.Random(seed).sample(range(documents), min(number, documents)))


def shown_documents(blocks: CorpusBlocks, numbers: Sequence[int], most_tokens: int) -> Iterator[ShownDocument]:
    """Reads documents, each up to the end of the sentence in which ``most_tokens`` are reached."""
    for number in numbers:
        yield _shown(blocks.document(number), blocks, most_tokens)


def _shown(document: StoredDocument, blocks: CorpusBlocks, most_tokens: int) -> ShownDocument:
    sentences = sentences_of(document, blocks.tokenizer)
    shown, tokens = [], 0
    for sentence in sentences:
        if tokens >= most_tokens:
            break
        shown.append(sentence)
        tokens += sum(len(word.tokens) for word in sentence)
    total = len(document.input_ids)
    title = (
        f"document {document.number:,} ({document.shard}, document {document.row:,}): "
        f"tokens: {total:,}, words: {sum(map(len, sentences)):,}, sentences: {len(sentences):,}"
    )
    return ShownDocument(title, shown, total - tokens)


def sentences_of(document: StoredDocument, tokenizer: ChineseBertTokenizer) -> list[list[Word]]:
    """The sentences of a document, each a list of words."""
    tokens = tokenizer.convert_ids_to_tokens(document.input_ids.tolist())
    syllables = tokenizer.convert_pinyin_ids_to_syllables(unpack_pinyin_ids(document.pinyin_and_starts).tolist())
    starts_sentence = unpack_sentence_starts(document.pinyin_and_starts)
    starts = np.flatnonzero(unpack_word_starts(document.pinyin_and_starts) | starts_sentence)
    sentences: list[list[Word]] = []
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        if starts_sentence[start] or not sentences:
            sentences.append([])
        sentences[-1].append(Word(tuple(tokens[start:end]), tuple(syllables[start:end])))
    return sentences


def interlinear(document: ShownDocument, width: int) -> Iterator[str]:
    """The lines of a document for a terminal of ``width`` columns: words, and under them their pinyin."""
    yield document.title
    margin = len(str(len(document.sentences))) + 3
    for number, sentence in enumerate(document.sentences, start=1):
        label = f"{number:>{margin - 1}} "
        for words in _rows(sentence, width - margin):
            widths = [max(display_width(word.text), display_width(word.pinyin)) for word in words]
            text = (padded(word.text, room) for word, room in zip(words, widths, strict=True))
            pinyin = (padded(word.pinyin, room) for word, room in zip(words, widths, strict=True))
            yield (label + _GAP.join(text)).rstrip()
            yield (" " * margin + _GAP.join(pinyin)).rstrip()
            label = " " * margin
    if document.left_out:
        yield " " * margin + f"… and {document.left_out:,} more tokens"


def _rows(words: list[Word], width: int) -> Iterator[list[Word]]:
    row: list[Word] = []
    used = 0
    for word in words:
        room = max(display_width(word.text), display_width(word.pinyin))
        if row and used + len(_GAP) + room > width:
            yield row
            row, used = [], 0
        used += room + (len(_GAP) if row else 0)
        row.append(word)
    if row:
        yield row
