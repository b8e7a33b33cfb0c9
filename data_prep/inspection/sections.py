"""The summary of a corpus in sections of rows and lists, for whatever shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_prep.inspection.summary import PERCENTILES, Heteronym, Repetition, Summary


@dataclass(frozen=True)
class Section:
    """One part of the summary.

    Attributes:
        title: what it is about.
        rows: a name, and then one value in each column.
        header: the names of the columns, where they need any.
        lists: a name, and then short texts one after another; without any, nothing is shown.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    header: tuple[str, ...] = ()
    lists: Sequence[tuple[str, Sequence[str]]] = ()


def sections(summary: Summary) -> list[Section]:
    """All sections in the order of reading."""
    return [
        _size(summary),
        _lengths(summary),
        _tokens(summary),
        _words(summary),
        _pinyin(summary),
        _heteronyms(summary),
        _repetitions(summary),
        _vocabulary(summary),
    ]


def _size(summary: Summary) -> Section:
    size = summary.size
    rows = [
        ("documents", f"{size.documents:,}", ""),
        ("sentences", f"{size.sentences:,}", f"{size.sentences / size.documents:,.1f} a document"),
        ("words", f"{size.words:,}", f"{size.words / size.sentences:,.1f} a sentence"),
        ("tokens", f"{size.tokens:,}", f"{size.tokens / size.words:,.2f} a word"),
        ("characters (without white space)", f"{size.characters:,}", f"{size.characters / size.tokens:,.2f} a token"),
        ("bytes in shards", f"{size.bytes:,}", f"{size.bytes_a_token:.2f} a token"),
        ("shards", f"{size.shards:,}", ""),
        ("unigram entropy", f"{size.unigram_entropy_nats:.3f}", "nats a token"),
    ]
    return Section("Size", rows)


def _lengths(summary: Summary) -> Section:
    header = ("", "mean", *(f"{share} %" if share != 50 else "median" for share in PERCENTILES), "longest")
    rows = [
        (name, f"{of.mean:,.1f}", *(f"{length:,}" for length in of.percentiles.values()), f"{of.longest:,}")
        for name, of in summary.lengths.items()
    ]
    return Section("Lengths", rows, header)


def _tokens(summary: Summary) -> Section:
    tokens = summary.tokens
    rows = [
        (kind, f"{count:,}", f"{count / summary.size.tokens:.3%}", f"{characters / summary.size.characters:.3%}")
        for (kind, count), characters in zip(
            tokens.tokens_of_kind.items(), tokens.characters_of_kind.values(), strict=True
        )
    ]
    lists = [("most common", _counted(tokens.most_common))]
    return Section("Tokens", rows, ("kind", "tokens", "of all tokens", "of all characters"), lists)


def _words(summary: Summary) -> Section:
    words = summary.words
    rows = [
        (f"{length} character{'' if length == '1' else 's'}", f"{count:,}", _share(count, summary.size.words))
        for length, count in words.of_length.items()
    ]
    name = "most common of two to four tokens"
    if words.most_common_lack:
        name += f" (counts may lack up to {words.most_common_lack:,})"
    return Section(
        "Words", rows, ("punctuation marks count as words", "words", "of all"), [(name, _counted(words.most_common))]
    )


def _pinyin(summary: Summary) -> Section:
    pinyin = summary.pinyin
    rows = [("tokens with pinyin", f"{pinyin.tokens:,}", _share(pinyin.tokens, summary.size.tokens))]
    rows += [
        (f"  tone {tone}" if tone.isdecimal() else f"  {tone} tone", f"{count:,}", _share(count, pinyin.tokens))
        for tone, count in pinyin.tones.items()
    ]
    used = f"of {pinyin.syllables_known:,} that the readings know"
    rows.append(("different syllables", f"{pinyin.syllables_used:,}", used))
    lists = [("most common", _counted(pinyin.most_common)), ("least common", _counted(pinyin.least_common))]
    return Section("Pinyin", rows, lists=lists)


def _heteronyms(summary: Summary) -> Section:
    pinyin = summary.pinyin
    rows = [
        (
            "characters with several readings here",
            f"{pinyin.heteronyms:,}",
            _share(pinyin.heteronyms, pinyin.characters_read),
        ),
        ("  their occurrences", f"{pinyin.heteronym_tokens:,}", _share(pinyin.heteronym_tokens, pinyin.tokens)),
        (
            "  read otherwise than mostly",
            f"{pinyin.read_otherwise:,}",
            f"{pinyin.read_otherwise_share:.2%}",
        ),
    ]
    shown = [_heteronym(heteronym) for heteronym in pinyin.most_frequent_heteronyms]
    header = ("", "number", "of all with pinyin")
    return Section("Heteronyms", rows, header, [("most often read otherwise", shown)])


def _heteronym(heteronym: Heteronym) -> str:
    readings = ", ".join(f"{name} {count:,}" for name, count in list(heteronym.readings.items())[:4])
    return f"{heteronym.character} ({readings})"


def _repetitions(summary: Summary) -> Section:
    found = summary.repetitions
    rows = [
        _repetition("documents", found.documents),
        _repetition("sentences", found.sentences),
        _repetition(f"sentences of {found.long_sentence_tokens} tokens or more", found.long_sentences),
    ]
    lists = [("most repeated", [f"{count:,} × {text}" for text, count in found.most_repeated.items()])]
    return Section("Repetition", rows, ("", "all", "different", "repeated"), lists)


def _repetition(name: str, found: Repetition) -> tuple[str, ...]:
    about = "" if found.is_exact else "about "
    return name, f"{found.total:,}", f"{about}{found.different:,}", f"{about}{found.repeated_share:.2%}"


def _vocabulary(summary: Summary) -> Section:
    vocabulary = summary.vocabulary
    rows = [
        (
            f"occur at least {int(least):,} time{'' if least == '1' else 's'}",
            f"{used:,}",
            _share(used, vocabulary.tokens),
        )
        for least, used in vocabulary.used.items()
    ]
    rows.append(("Han characters that occur", f"{vocabulary.han_used:,}", _share(vocabulary.han_used, vocabulary.han)))
    shares = [f"{int(most):,}: {share:.1%}" for most, share in vocabulary.coverage.items()]
    header = (f"of {vocabulary.tokens:,} tokens for text", "tokens", "of these")
    return Section("Vocabulary", rows, header, [("share of the text that the most frequent tokens make up", shares)])


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [f"{name} {count:,}" for name, count in counts.items()]


def _share(part: int, whole: int) -> str:
    return f"{part / max(whole, 1):.2%}"
