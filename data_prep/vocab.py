"""``python -m data_prep vocab``: a BERT-layout WordPiece vocabulary from text.

Ids 0 to 103 are those of bert-base-chinese ([PAD] 0, [UNK] 100, [CLS] 101, [SEP] 102, [MASK] 103). After them come
printable ASCII, all of GB2312 (its symbols, then its 6,763 hanzi), a few symbols more, further characters by how often
the text has them, the ## forms of those that can stand inside a word, and WordPiece pieces of Latin words and numbers,
trained on the text, up to the wanted size.
"""

import argparse
import json
import re
import shlex
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from chinesebert.atomic import atomic_file
from chinesebert.checksums import file_sha256
from chinesebert.errors import InputError
from chinesebert.vocabulary import CONTINUATION, HAN, SPECIAL_TOKEN_IDS, SPECIAL_TOKENS, vocabulary_sha256
from data_prep.readers import SUPPORTED, BadRecords, Source, find_inputs, read_documents

# 176 * 128: a multiple of 128 keeps the output matrix aligned for tensor cores.
DEFAULT_SIZE = 22_528
# A character outside GB2312 gets a row of its own when it is seen so often. Rarer ones would hardly be learned, and
# every row they take is one Latin piece less.
DEFAULT_MIN_COUNT = 5

# What GB2312 lacks and everyday text has.
_SYMBOLS = "¥€£©®™²³½㎡㎎㎏㎜㎝㎞〇"

_FIRST_FREE_ID = SPECIAL_TOKEN_IDS["[MASK]"] + 1
_HAN_CHARACTER = re.compile(f"[{HAN}]")
_LATIN_WORD = re.compile(r"[a-z0-9]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep vocab``."""
    parser.add_argument("--input", nargs="+", required=True, metavar="FILE", help=f"text to count: {SUPPORTED}")
    parser.add_argument("--output", required=True, metavar="vocab.txt", help="the vocabulary to write")
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE, help="number of entries (default: %(default)s)")
    parser.add_argument(
        "--min_count",
        type=int,
        default=DEFAULT_MIN_COUNT,
        metavar="N",
        help="a character outside ASCII and GB2312 must occur N times (default: %(default)s)",
    )
    parser.add_argument("--text_field", default="text", help="field or column that holds the text")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad record instead of skipping it")


def run(args: argparse.Namespace) -> None:
    """Builds the vocabulary and a ``.json`` beside it that says how it was made."""
    if Path(args.output).suffix == ".json":
        raise InputError(f"{args.output}: a .json is written beside the vocabulary; name the vocabulary .txt")
    sources = find_inputs(args.input)
    bad = BadRecords(args.strict)
    characters, words = count_text(sources, bad, args.text_field)
    if not characters:
        bad.report()
        raise InputError(f"{', '.join(map(str, sources))}: there is no text to count")
    tokens = build_vocabulary(characters, words, args.size, args.min_count)
    with atomic_file(args.output) as unfinished:
        unfinished.write_bytes(("\n".join(tokens) + "\n").encode())
    with atomic_file(Path(args.output).with_suffix(".json")) as unfinished:
        unfinished.write_text(
            json.dumps(_provenance(args, sources, tokens), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    _report(args, tokens, characters, bad)


def count_text(sources: Iterable[Source], bad: BadRecords, text_field: str) -> tuple[Counter[str], Counter[str]]:
    """How often each character, and each Latin word or number, occurs after BERT's normalisation."""
    from tokenizers.normalizers import BertNormalizer
    from tqdm import tqdm

    normalizer = BertNormalizer(lowercase=True, handle_chinese_chars=True)
    characters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for source in tqdm(list(sources), desc="counting", unit="file", disable=None):
        for document in read_documents(source, bad, text_field):
            text = normalizer.normalize_str("\n".join(document.paragraphs))
            characters.update(text)
            words.update(_LATIN_WORD.findall(text))
    return characters, words


def build_vocabulary(characters: Counter[str], words: Counter[str], size: int, min_count: int) -> list[str]:
    """The tokens in the order of their ids.

    Raises:
        InputError: ``size`` leaves no room for the characters that every vocabulary holds.
    """
    tokens = [f"[unused{number}]" for number in range(_FIRST_FREE_ID)]
    for token, number in SPECIAL_TOKEN_IDS.items():
        tokens[number] = token
    single = dict.fromkeys([*_ascii(), *_gb2312(symbols=True), *_gb2312(symbols=False), *_SYMBOLS])
    frequent = [c for c, n in characters.most_common() if n >= min_count and c not in single and not c.isspace()]
    single.update(dict.fromkeys(sorted(frequent, key=lambda c: (-characters[c], c))))
    # 5℃ is one word to BERT's splitter, and unknown as a whole if any piece of it is: what can stand inside a word
    # has its continuation form too.
    tokens += [*single, *(CONTINUATION + character for character in single if _stands_inside_words(character))]
    if len(tokens) > size:
        raise InputError(
            f"--size {size} is too small: the characters alone need {len(tokens)}; raise --size or --min_count "
            "(all of GB2312 is always in)"
        )
    pieces = _latin_pieces(words, size - len(tokens), known=set(tokens))
    return tokens + pieces


def _stands_inside_words(character: str) -> bool:
    """Whether BERT's splitter leaves a character joined to its neighbours; ASCII aside, whose pieces are trained."""
    splits = _HAN_CHARACTER.match(character) and character != "〇"  # which BERT does not count as Chinese
    return not (splits or character.isascii() or unicodedata.category(character)[0] == "P")


def _ascii() -> Iterator[str]:
    """Printable ASCII; no capitals, since the normaliser turns them into small letters."""
    return (chr(code) for code in range(33, 127) if not chr(code).isupper())


def _gb2312(symbols: bool) -> Iterator[str]:
    """GB2312 in its own order: rows 1-9 hold symbols, rows 16-87 hanzi. Normalised as text is, so each can occur."""
    from tokenizers.normalizers import BertNormalizer

    normalizer = BertNormalizer(lowercase=True, handle_chinese_chars=False)
    for row in range(1, 10) if symbols else range(16, 88):
        for cell in range(1, 95):
            character = bytes([0xA0 + row, 0xA0 + cell]).decode("gb2312", errors="ignore")
            normalized = normalizer.normalize_str(character).strip()
            if len(normalized) == 1:
                yield normalized


def _latin_pieces(words: Counter[str], wanted: int, known: set[str]) -> list[str]:
    """``wanted`` WordPiece pieces that are not ``known``, most useful first as the trainer orders them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS[1]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    letters = sorted({*"".join(words), *string.ascii_lowercase, *string.digits})  # any word can be spelled with these
    trainer = WordPieceTrainer(
        vocab_size=wanted + len(known),
        min_frequency=2,
        # Pieces of equal frequency are taken by id. Left alone, the trainer numbers ##a, ##b … as it happens to meet
        # them, in another order on every run; named here, they are numbered the same each time.
        special_tokens=[CONTINUATION + letter for letter in letters],
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    tokenizer.train_from_iterator((" ".join([word] * count) for word, count in words.items()), trainer)
    trained = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [piece for piece, _ in trained if piece not in known][:wanted]


def _provenance(args: argparse.Namespace, sources: list[Source], tokens: list[str]) -> dict[str, object]:
    import tokenizers

    names = [
        source.name for source in sources
    ]  # not the paths: where somebody keeps the text says nothing about the result
    flags = ["--input", *names, "--output", Path(args.output).name, "--size", args.size, "--min_count", args.min_count]
    return {
        "command": "python -m data_prep vocab " + shlex.join(map(str, flags)),
        "inputs": {s.name: file_sha256(Path(s.url)) if s.is_local else s.version for s in sources},
        "entries": len(tokens),
        "sha256": vocabulary_sha256(tokens),
        "tokenizers": tokenizers.__version__,
    }


def _report(args: argparse.Namespace, tokens: list[str], characters: Counter[str], bad: BadRecords) -> None:
    known = set(tokens)
    printed = sum(count for character, count in characters.items() if not character.isspace())
    covered = sum(count for character, count in characters.items() if character in known)
    han = sum(bool(_HAN_CHARACTER.fullmatch(token)) for token in tokens)
    print(
        f"{args.output}: {len(tokens):,} entries, {han:,} of them Han characters; "
        f"{covered / printed:.4%} of {printed:,} characters of the text are covered"
    )
    if len(tokens) < args.size:
        print(f"the text has too few Latin words and numbers to fill --size {args.size:,}")
    bad.report()
