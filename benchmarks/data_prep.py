"""Characters a second of corpus preparation, against the chain of the original ChineseBERT code.

The original's chain is ``jieba.cut``, ``pypinyin.pinyin(style=TONE3, heteronym=True)`` and
``BertWordPieceTokenizer.encode``, a paragraph at a time. Both run on the same text in one process, in turn, several
times; the medians and their ratio are printed, and the outputs are compared.

::

    python -m benchmarks.data_prep [--input FILE …] [--characters N] [--repeats N] [--json FILE]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from chinesebert.corpus.annotate import Annotator
from data_prep.readers import BadRecords, find_inputs, read_documents
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY, ChineseBertTokenizer
from chinesebert.words import cut_words, segmenter_version

SAMPLE = Path(__file__).resolve().parent.parent / "data_prep" / "sample" / "train"


def read_paragraphs(inputs: Sequence[str], characters: int) -> list[str]:
    """Paragraphs from the start of the inputs, about ``characters`` in all."""
    paragraphs: list[str] = []
    size = 0
    for file in find_inputs(inputs):
        for document in read_documents(file, BadRecords()):
            for paragraph in document.paragraphs:
                if size >= characters:
                    return paragraphs
                paragraphs.append(paragraph)
                size += len(paragraph)
    return paragraphs


def pypinyin_readings(paragraphs: list[str]) -> list[list[str]]:
    """The original's call: the first reading of every character, "" where there is none."""
    from pypinyin import Style, pinyin

    def none(characters: str) -> list[list[str]]:
        return [[""] for _ in characters]

    return [
        [readings[0] for readings in pinyin(text, style=Style.TONE3, heteronym=True, errors=none)]  # type: ignore[arg-type]
        for text in paragraphs
    ]


def stages(paragraphs: list[str]) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """What is measured: name -> (the original's way, ours)."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = ChineseBertTokenizer.from_vocabulary()
    original = BertWordPieceTokenizer(str(DEFAULT_VOCABULARY))
    annotator = Annotator(ChineseBertTokenizer.from_vocabulary())
    syllables = ("", *tokenizer.readings.syllables)

    def our_readings() -> list[list[str]]:
        return [[syllables[number] for number in tokenizer.readings.syllable_ids(text)] for text in paragraphs]

    def original_chain() -> None:
        for text in paragraphs:
            cut_words(text)
            pypinyin_readings([text])
            original.encode(text)

    return {
        "pinyin": (lambda: pypinyin_readings(paragraphs), our_readings),
        "words, pinyin and ids": (original_chain, lambda: [annotator.annotate([text]) for text in paragraphs]),
    }


def measure(run: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(name: str, original: Callable[[], object], ours: Callable[[], object], size: int, repeats: int) -> dict:
    """Runs both in turn and prints the medians; once before, uncounted, so that caches are warm for both."""
    original()
    ours()
    pairs = [(measure(original), measure(ours)) for _ in range(repeats)]
    before, after = (size / statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    print(f"{name:24} original {before:>11,.0f} characters/s   ours {after:>11,.0f} characters/s   {ratio:5.1f} x")
    return {"original": round(before), "ours": round(after), "ratio": round(ratio, 2)}


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", nargs="+", default=[str(SAMPLE)], help="text files (default: the bundled sample)")
    parser.add_argument("--characters", type=int, default=200_000, help="how much of it to take")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args(argv)
    paragraphs = read_paragraphs(args.input, args.characters)
    size = sum(map(len, paragraphs))
    measured = stages(paragraphs)
    original, ours = measured["pinyin"]
    assert original() == ours(), "the readings differ from pypinyin's"
    print(f"{size:,} characters, readings equal, one process, median of {args.repeats} pairs")
    figures = {name: compare(name, *pair, size, args.repeats) for name, pair in measured.items()}
    if args.json:
        facts = {"date": date.today().isoformat(), "machine": platform.processor() or platform.machine()}
        facts |= {"python": platform.python_version(), "segmenter": segmenter_version(), "characters": str(size)}
        args.json.write_text(json.dumps(facts | {"characters_per_second": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
