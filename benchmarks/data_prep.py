"""Corpus preparation against the chain of the original ChineseBERT code, on the same text, in one process.

The original's chain is ``jieba.cut``, ``pypinyin.pinyin(style=TONE3, heteronym=True)`` and
``BertWordPieceTokenizer.encode``, a sentence at a time. Sections, all by default:

``stages``   characters/s of each stage and from text to shards on disk, both in turn, medians; the output is compared
``scaling``  the whole command with 1 and with 2 workers, in turn
``memory``   its peak memory for a text and for one of ten times the size

::

    python -m benchmarks.data_prep [--input FILE …] [--sections stages scaling memory] [--characters N]
                                   [--corpus_characters N] [--rounds N] [--json FILE]
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_facts, version_facts
from benchmarks.original_chain import OriginalChain, jieba_words, pypinyin_readings, split_sentences
from benchmarks.timing import measure_in_turn
from chinesebert.corpus.annotate import Annotator
from chinesebert.corpus.format import unpack_word_starts
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.corpus.token_ids import TokenTable
from chinesebert.corpus.writer import write_corpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.words import Segmenter
from data_prep.pipeline.settings import package_versions
from data_prep.readers import BadRecords, find_inputs, read_documents

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data_prep" / "sample" / "train"
SECTIONS = ("stages", "scaling", "memory")
# Stage -> how many times as fast as the original it should be.
TARGETS = {"words": None, "pinyin": 25.0, "ids": None, "text to shards": 8.0}
# A corpus has many files; one alone is read by one worker.
_FILE_CHARACTERS = 5_000_000
SCALING_TARGET = 1.8
BYTES_TARGET = 4.3
# Documents are annotated so many characters at a time, as the pipeline does.
_BATCH_CHARACTERS = 250_000


def read_texts(inputs: Sequence[str], characters: int) -> list[str]:
    """Documents from the start of the inputs, paragraphs on lines, about ``characters`` in all."""
    texts: list[str] = []
    size = 0
    for source in find_inputs(inputs):
        for document in read_documents(source, BadRecords()):
            if size >= characters:
                return texts
            texts.append("\n".join(document.paragraphs))
            size += len(texts[-1])
    return texts


def batches(texts: Sequence[str]) -> list[list[str]]:
    """Documents in groups of about ``_BATCH_CHARACTERS``."""
    groups: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if size >= _BATCH_CHARACTERS:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text)
    return groups


# --------------------------------------------------------------------------------------------------------------- stages


def measure_stages(texts: list[str], rounds: int) -> dict[str, Any]:
    """Times every stage of both, compares what comes out, and says how large it is on disk."""
    tokenizer = ChineseBertTokenizer.from_vocabulary()
    sentences = split_sentences("\n".join(texts).split("\n"))
    joined = ["\n".join(group) for group in batches(texts)]
    original, annotator = OriginalChain(), Annotator(tokenizer)
    table, segmenter = TokenTable(tokenizer), Segmenter()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "corpus"

        def text_to_shards() -> None:
            blocks = (annotator.annotate(group).block() for group in batches(texts))
            write_corpus(output, blocks, tokenizer, segmenter.version, {}, overwrite=True)

        pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "words": (lambda: list(map(jieba_words, sentences)), lambda: list(map(segmenter.word_starts, joined))),
            "pinyin": (
                lambda: pypinyin_readings(sentences),
                lambda: list(map(tokenizer.readings.syllable_ids, joined)),
            ),
            "ids": (lambda: list(map(original.wordpiece.encode, sentences)), lambda: list(map(table.encode, joined))),
            "text to shards": (lambda: original.run(sentences), text_to_shards),
        }
        characters = sum(map(len, texts))
        print(f"{characters:,} characters in {len(sentences):,} sentences, one process, medians of {rounds} rounds")
        figures = {name: _compare(name, *pair, characters, rounds) for name, pair in pairs.items()}
        manifest = PreparedCorpus(output).manifest
        size = sum(shard.bytes for shard in manifest.shards) / manifest.tokens
        different = _differences(output, sentences, original, tokenizer)
    print(f"{manifest.tokens:,} tokens, {size:.3f} bytes a token on disk (at most {BYTES_TARGET})")
    print(f"compared with the original's: {different} differ")
    return {
        "characters": characters,
        "stages": figures,
        "bytes_a_token": size,
        "tokens": manifest.tokens,
        "different": different,
    }


def _compare(
    name: str, original: Callable[[], object], ours: Callable[[], object], characters: int, rounds: int
) -> dict[str, Any]:
    recorded: dict[str, list[float]] = {}
    runs = {"original": lambda _: original(), "ours": lambda _: ours()}
    measure_in_turn(recorded, runs, lambda _: None, torch.device("cpu"), rounds)
    speeds = {who: characters / statistics.median(times) for who, times in recorded.items()}
    ratio, target = speeds["ours"] / speeds["original"], TARGETS[name]
    print(
        f"{name:16} original {speeds['original']:>12,.0f} characters/s   ours {speeds['ours']:>12,.0f}   "
        f"{ratio:6.1f} x" + (f"   (at least {target:g})" if target else "")
    )
    return {"characters_per_second": speeds, "seconds": recorded, "ratio": ratio, "target": target}


def _differences(
    output: Path, sentences: Sequence[str], original: OriginalChain, tokenizer: ChineseBertTokenizer
) -> dict[str, int]:
    """Compares the shards, token by token, with what the original's chain says of each sentence."""
    corpus = PreparedCorpus(output)
    ids = [number for block in corpus.blocks for number in block.input_ids.tolist()]
    packed = [block.pinyin_and_starts for block in corpus.blocks]
    pinyin = [number for array in packed for number in (array & 0x3FFF).tolist()]
    syllables = tokenizer.convert_pinyin_ids_to_syllables(pinyin)
    starts = [start for array in packed for start in unpack_word_starts(array).tolist()]
    expected = [original.annotate(sentence) for sentence in sentences]
    found = {"token ids": ids, "syllables": syllables, "word starts": starts}
    return {
        name: _count_different(values, [value for parts in expected for value in parts[place]])
        for place, (name, values) in enumerate(found.items())
    }


def _count_different(one: Sequence[Any], other: Sequence[Any]) -> int:
    different = sum(before != after for before, after in zip(one, other, strict=False))
    return different + abs(len(one) - len(other))


# ----------------------------------------------------------------------------------------------- the command as a whole


def write_text(folder: Path, texts: Sequence[str], characters: int) -> Path:
    """A folder of text files, about so many characters together: the documents, again and again."""
    directory = folder / f"{characters} characters"
    directory.mkdir()
    documents, written = itertools.cycle(texts), 0
    for number in itertools.count():
        with open(directory / f"{number:05d}.txt", "w", encoding="utf-8") as file:
            end = min(written + _FILE_CHARACTERS, characters)
            while written < end:
                text = next(documents)
                file.write(text + "\n\n")
                written += len(text)
        if written >= characters:
            break
    return directory


# Runs the command and prints its peak memory in kB. (The kernel's ru_maxrss would begin with that of the parent.)
_WITH_PEAK = """
import re, sys
from data_prep.__main__ import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
sys.exit(status)
"""


def run_command(text: Path, output: Path, workers: int) -> tuple[float, int]:
    """Runs ``data_prep corpus`` from start to exit; returns seconds, and its peak memory in bytes (one process)."""
    command = [sys.executable, "-c", _WITH_PEAK, "corpus", "--input", str(text), "--output", str(output)]
    command += ["--workers", str(workers), "--overwrite"]
    started = time.perf_counter()
    environment = os.environ | {"CHINESEBERT_WITHOUT_MODELS": "1"}  # as `python -m data_prep` sets it
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return time.perf_counter() - started, 1024 * int(done.stdout.split()[-1])


def measure_scaling(texts: Sequence[str], characters: int, rounds: int) -> dict[str, Any]:
    """The whole command, from start to exit, with 1 and 2 workers."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        text = write_text(Path(folder), texts, characters)
        for number in range(rounds):
            for workers in (1, 2) if number % 2 else (2, 1):
                seconds[workers].append(run_command(text, Path(folder) / "corpus", workers)[0])
    medians = {workers: statistics.median(times) for workers, times in seconds.items()}
    ratio = medians[1] / medians[2]
    speeds = {workers: characters / median for workers, median in medians.items()}
    print(
        f"the whole command on {characters:,} characters: 1 worker {medians[1]:.1f} s ({speeds[1]:,.0f} characters/s), "
        f"2 workers {medians[2]:.1f} s ({speeds[2]:,.0f}), {ratio:.2f} x (at least {SCALING_TARGET})"
    )
    return {"characters": characters, "seconds": seconds, "characters_per_second": speeds, "ratio": ratio}


def measure_memory(texts: Sequence[str], characters: int) -> dict[str, Any]:
    """Peak memory of the command on a tenth of the text and on all of it."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (characters // 10, characters):
            text = write_text(Path(folder), texts, size)
            peaks[size] = run_command(text, Path(folder) / "corpus", 1)[1]
            print(f"peak memory for {size:,} characters: {peaks[size] / 1e6:,.0f} MB")
    return {"peak_bytes": peaks, "ratio": peaks[characters] / peaks[characters // 10]}


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", nargs="+", default=[str(SAMPLE)], help="text (default: the bundled sample)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--characters", type=int, default=500_000, help="of the text for the stages")
    parser.add_argument("--corpus_characters", type=int, default=40_000_000, help="of the text for the whole command")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args(argv)
    facts = {"machine": machine_facts(torch.device("cpu")), "versions": version_facts() | package_versions()}
    texts = read_texts(args.input, args.characters)
    figures: dict[str, Any] = {}
    if "stages" in args.sections:
        figures["stages"] = measure_stages(texts, args.rounds)
    if "scaling" in args.sections:
        figures["scaling"] = measure_scaling(texts, args.corpus_characters, args.rounds)
    if "memory" in args.sections:
        figures["memory"] = measure_memory(texts, args.corpus_characters)
    if args.json:
        args.json.write_text(json.dumps(facts | figures, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
