"""What was counted, as the numbers that are told: plain dataclasses that become JSON as they are."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from chinesebert.corpus.format import entropy, unpack_sentence_starts
from chinesebert.vocabulary import UNK, han_character, is_ordinary
from data_prep.inspection.blocks import CorpusBlocks
from data_prep.inspection.counters import DifferentKeys
from data_prep.inspection.lengths import Lengths
from data_prep.inspection.statistics import LONG_SENTENCE_TOKENS, CorpusStatistics, tokens_of_word
from data_prep.inspection.token_kinds import KINDS, joined, token_characters, token_kinds, written

PERCENTILES = (5, 25, 50, 75, 95, 99)
# Words of more characters than this are counted together.
LONGEST_WORD = 8
_SHOWN = 20
_SHOWN_REPEATED = 10
# Sentences that are met again are shown up to this many tokens.
_SENTENCE_SHOWN = 40
NEUTRAL_TONE = "neutral"


@dataclass(frozen=True)
class LengthSummary:
    """A distribution of lengths: how many there are, and what they are."""

    number: int
    mean: float
    percentiles: dict[str, int]
    longest: int


@dataclass(frozen=True)
class Size:
    """How much a corpus holds. An unknown token counts as one character; white space is not stored, and not counted."""

    documents: int
    sentences: int
    words: int
    tokens: int
    characters: int
    shards: int
    bytes: int
    bytes_a_token: float
    unigram_entropy_nats: float


@dataclass(frozen=True)
class Tokens:
    """What kinds of tokens there are, by tokens and by the characters they write, and how many were unknown."""

    tokens_of_kind: dict[str, int]
    characters_of_kind: dict[str, int]
    unknown: int
    unknown_share: float
    most_common: dict[str, int]


@dataclass(frozen=True)
class Words:
    """Words by their length in characters (the last counts all longer ones), and the most common of two or more."""

    of_length: dict[str, int]
    most_common: dict[str, int]
    most_common_lack: int


@dataclass(frozen=True)
class Heteronym:
    """A character with several readings in this corpus."""

    character: str
    occurrences: int
    readings: dict[str, int]

    @property
    def otherwise(self) -> int:
        """How often it is not read as it is most of the time."""
        return self.occurrences - max(self.readings.values())


@dataclass(frozen=True)
class Pinyin:
    """Syllables, tones, and characters with several readings.

    Attributes:
        tokens: how many have a syllable.
        syllables_known, syllables_used: of the reading dictionary, and in this corpus.
        most_common, least_common: of the syllables used, with their occurrences.
        tones: "1" to "4" and "neutral" -> occurrences.
        characters_read: different characters that have a syllable.
        heteronyms: how many of these have several.
        heteronym_tokens: occurrences of these.
        read_otherwise: how many of these are not read as their character is most of the time.
        read_otherwise_share: of all tokens that have a syllable.
        most_frequent_heteronyms: those that are read otherwise most often.
    """

    tokens: int
    syllables_known: int
    syllables_used: int
    most_common: dict[str, int]
    least_common: dict[str, int]
    tones: dict[str, int]
    characters_read: int
    heteronyms: int
    heteronym_tokens: int
    read_otherwise: int
    read_otherwise_share: float
    most_frequent_heteronyms: list[Heteronym]


@dataclass(frozen=True)
class Repetition:
    """How many of some things are there for the first time; ``is_exact`` is false where that was estimated."""

    total: int
    different: int
    repeated_share: float
    is_exact: bool


@dataclass(frozen=True)
class Repetitions:
    """Documents and sentences that are there more than once, to the last token."""

    documents: Repetition
    sentences: Repetition
    long_sentences: Repetition
    long_sentence_tokens: int
    most_repeated: dict[str, int]


@dataclass(frozen=True)
class Vocabulary:
    """How much of the vocabulary the corpus uses.

    Attributes:
        tokens: that stand for text, special and reserved ones left out.
        used: how many of them occur at least so often.
        han, han_used: Han characters in the vocabulary, and those that occur.
        coverage: the share of the corpus that its so many most frequent tokens make up.
    """

    tokens: int
    used: dict[str, int]
    han: int
    han_used: int
    coverage: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """Everything that is told about a corpus."""

    corpus: str
    readings: str
    segmenter: str
    size: Size
    lengths: dict[str, LengthSummary]
    tokens: Tokens
    words: Words
    pinyin: Pinyin
    repetitions: Repetitions
    vocabulary: Vocabulary


def summarise(blocks: CorpusBlocks, statistics: CorpusStatistics) -> Summary:
    """Puts in numbers what was counted over all of ``blocks``."""
    tokens = blocks.tokenizer.tokens()
    return Summary(
        corpus=str(blocks.directory),
        readings=blocks.manifest.readings,
        segmenter=blocks.manifest.segmenter,
        size=_size(blocks, statistics),
        lengths={
            "document, characters": _lengths(statistics.document_characters),
            "document, tokens": _lengths(statistics.document_tokens),
            "sentence, characters": _lengths(statistics.sentence_characters),
            "sentence, tokens": _lengths(statistics.sentence_tokens),
            "word, characters": _lengths(statistics.word_characters),
        },
        tokens=_tokens(tokens, statistics),
        words=_words(tokens, statistics),
        pinyin=_pinyin(tokens, blocks.tokenizer.readings.syllables, statistics),
        repetitions=_repetitions(blocks, tokens, statistics),
        vocabulary=_vocabulary(tokens, statistics),
    )


def _size(blocks: CorpusBlocks, statistics: CorpusStatistics) -> Size:
    stored = sum(shard.bytes for shard in blocks.manifest.shards)
    tokens = statistics.document_tokens.total
    return Size(
        documents=statistics.document_tokens.number,
        sentences=statistics.sentence_tokens.number,
        words=statistics.word_characters.number,
        tokens=tokens,
        characters=statistics.document_characters.total,
        shards=len(blocks.manifest.shards),
        bytes=stored,
        bytes_a_token=stored / tokens,
        unigram_entropy_nats=entropy(statistics.token_counts[statistics.token_counts > 0].tolist()),
    )


def _lengths(lengths: Lengths) -> LengthSummary:
    percentiles = {str(share): lengths.percentile(share) for share in PERCENTILES}
    return LengthSummary(lengths.number, lengths.mean, percentiles, lengths.longest)


def _tokens(tokens: list[str], statistics: CorpusStatistics) -> Tokens:
    counts = statistics.token_counts
    kinds = token_kinds(tokens)
    characters = counts * token_characters(tokens)
    unknown = int(counts[tokens.index(UNK)])
    best = np.argsort(-counts, kind="stable")[:_SHOWN]
    return Tokens(
        tokens_of_kind={kind: int(counts[kinds == number].sum()) for number, kind in enumerate(KINDS)},
        characters_of_kind={kind: int(characters[kinds == number].sum()) for number, kind in enumerate(KINDS)},
        unknown=unknown,
        unknown_share=unknown / int(counts.sum()),
        most_common={tokens[token]: int(counts[token]) for token in best if counts[token]},
    )


def _words(tokens: list[str], statistics: CorpusStatistics) -> Words:
    histogram = statistics.word_characters.histogram()
    of_length = {str(length): int(count) for length, count in enumerate(histogram[:LONGEST_WORD]) if length}
    of_length[f"{LONGEST_WORD}+"] = int(histogram[LONGEST_WORD:].sum())
    most_common: Counter[str] = Counter()  # the same word may be cut into tokens in two ways
    for key, count, _ in statistics.words.most_frequent(_SHOWN):
        most_common["".join(written(tokens[token]) for token in tokens_of_word(key))] += count
    return Words(of_length, dict(most_common.most_common()), statistics.words.lost)


def _pinyin(tokens: list[str], syllables: tuple[str, ...], statistics: CorpusStatistics) -> Pinyin:
    counts = {name: int(count) for name, count in zip(("", *syllables), statistics.syllable_counts, strict=True)}
    with_pinyin = sum(counts.values()) - counts.pop("")
    used = Counter({name: count for name, count in counts.items() if count})
    tones: Counter[str] = Counter()
    for name, count in used.items():
        tones[name[-1] if name[-1] in "1234" else NEUTRAL_TONE] += count
    readings = _readings_of_characters(tokens, syllables, statistics)
    heteronyms = [
        Heteronym(character, found.total(), dict(found.most_common()))
        for character, found in readings.items()
        if len(found) > 1
    ]
    otherwise = sum(heteronym.otherwise for heteronym in heteronyms)
    ranked = used.most_common()
    return Pinyin(
        tokens=with_pinyin,
        syllables_known=len(syllables),
        syllables_used=len(used),
        most_common=dict(ranked[:_SHOWN]),
        least_common=dict(ranked[: -_SHOWN - 1 : -1]),
        tones={tone: tones[tone] for tone in ("1", "2", "3", "4", NEUTRAL_TONE)},
        characters_read=len(readings),
        heteronyms=len(heteronyms),
        heteronym_tokens=sum(heteronym.occurrences for heteronym in heteronyms),
        read_otherwise=otherwise,
        read_otherwise_share=otherwise / max(with_pinyin, 1),
        most_frequent_heteronyms=sorted(heteronyms, key=lambda heteronym: -heteronym.otherwise)[:_SHOWN],
    )


def _readings_of_characters(
    tokens: list[str], syllables: tuple[str, ...], statistics: CorpusStatistics
) -> dict[str, Counter[str]]:
    """Every character that occurs with a syllable, and how often with which; unknown tokens say nothing about one."""
    readings: dict[str, Counter[str]] = {}
    for token, found in statistics.readings_of_tokens().items():
        named = {syllables[syllable - 1]: count for syllable, count in found.items() if syllable}
        if named and tokens[token] != UNK:
            readings.setdefault(written(tokens[token]), Counter()).update(named)
    return readings


def _repetition(keys: DifferentKeys) -> Repetition:
    return Repetition(keys.total, keys.different, 1 - keys.different / max(keys.total, 1), keys.is_exact)


def _repetitions(blocks: CorpusBlocks, tokens: list[str], statistics: CorpusStatistics) -> Repetitions:
    most_repeated: dict[str, int] = {}
    for _, count, place in statistics.repeated.most_frequent(_SHOWN_REPEATED):
        if count > 1:
            most_repeated[_sentence_at(blocks, tokens, place)] = count
    return Repetitions(
        documents=_repetition(statistics.documents),
        sentences=_repetition(statistics.sentences),
        long_sentences=_repetition(statistics.long_sentences),
        long_sentence_tokens=LONG_SENTENCE_TOKENS,
        most_repeated=most_repeated,
    )


def _sentence_at(blocks: CorpusBlocks, tokens: list[str], place: int) -> str:
    """The text of the sentence that begins with token number ``place`` of the corpus."""
    input_ids, annotations = blocks.tokens(place, _SENTENCE_SHOWN + 1)
    ends = np.flatnonzero(unpack_sentence_starts(annotations[1:])) + 1
    end = int(ends[0]) if len(ends) else len(input_ids)
    text = joined([tokens[token] for token in input_ids[: min(end, _SENTENCE_SHOWN)]])
    return text if end <= _SENTENCE_SHOWN else f"{text} …"


def _vocabulary(tokens: list[str], statistics: CorpusStatistics) -> Vocabulary:
    counts = statistics.token_counts
    is_text = np.array([is_ordinary(token) for token in tokens])
    is_han = np.array([han_character(token) is not None for token in tokens])
    falling = np.sort(counts)[::-1].cumsum() / counts.sum()
    return Vocabulary(
        tokens=int(is_text.sum()),
        used={str(least): int((counts[is_text] >= least).sum()) for least in (1, 10, 100, 1000)},
        han=int(is_han.sum()),
        han_used=int((counts[is_han] > 0).sum()),
        coverage={str(most): float(falling[min(most, len(falling)) - 1]) for most in (100, 500, 1000, 2000, 5000)},
    )
