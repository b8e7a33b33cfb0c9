"""Speed and memory of the model, and the speed of its tokenizer, against what they are to be compared with.

Measured in one run, in turn, on the machine at hand:

(a) transformers' ``BertForMaskedLM`` of the same size;
(b) ChineseBERT written down as the paper describes it (``benchmarks/straightforward.py``);
(c) our model, for inference also with its embeddings folded (``model.fold()``).

All have the same vocabulary, widths, attention (SDPA) and dropout, and are given the same rows of the bundled sample
text with 15 % of the tokens masked. A training step is zero, forward with labels, backward, fused AdamW on float32
weights, bfloat16 by autocast; inference is the logits of every place, with weights of the type. The default run takes
about a quarter of an hour on two cores.

::

    python -m benchmarks.model [--size base] [--lengths 128 512] [--dtypes float32 bfloat16] [--json FILE] …
"""

import argparse
import copy
import itertools
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.data_prep import SAMPLE, read_texts
from benchmarks.inputs import Batch, SampleRows
from benchmarks.machine import machine_facts, version_facts
from benchmarks.memory import WHAT_IT_IS, MemoryTask, measure_in_new_process
from benchmarks.report import cell_figures, ratio_table, rounded, speed_table, tokenizer_lines
from benchmarks.straightforward import StraightforwardChineseBert
from benchmarks.timing import Cell, measure_in_turn
from benchmarks.tokenizer import measure_tokenizers
from benchmarks.variants import DTYPES, MODES, SIZES, VARIANTS, build_ours, make_config, make_step, variants_in
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

# device -> what a step and a measurement are by default. A GPU needs large batches to be busy, and has time for more.
TOKENS_PER_STEP = {"cpu": 1_024, "cuda": 32_768}
ROUNDS = {"cpu": 7, "cuda": 30}
WARM_UP = {"cpu": 1, "cuda": 3}


@dataclass
class Run:
    """One run of the program: its settings, and what has been measured so far."""

    args: argparse.Namespace
    facts: dict[str, Any]
    cells: list[Cell] = field(default_factory=list)
    equivalence: dict[str, float] = field(default_factory=dict)
    memory_before_mib: list[float | None] = field(default_factory=list)
    tokenizer_figures: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def device(self) -> torch.device:
        """Where the models run."""
        return torch.device(self.args.device)

    @cached_property
    def config(self) -> ChineseBertConfig:
        """The sizes of the models."""
        return make_config(self.args.size)

    @cached_property
    def tokenizer(self) -> ChineseBertTokenizer:
        """The default tokenizer, whose vocabulary all models have."""
        return ChineseBertTokenizer.from_vocabulary()

    @cached_property
    def paragraphs(self) -> list[str]:
        """The bundled text, or the start of it."""
        return "\n".join(read_texts([str(SAMPLE)], self.args.characters)).split("\n")

    @cached_property
    def sample(self) -> SampleRows:
        """The bundled text as rows."""
        return SampleRows(self.tokenizer, self.paragraphs)

    def rows(self, length: int) -> int:
        """Rows of a batch."""
        return max(1, self.args.batch_tokens // length)

    def cells_of(self, mode: str, dtype: str) -> list[Cell]:
        """The cells of a mode and type, one for each length."""
        return [cell for cell in self.cells if (cell.mode, cell.dtype) == (mode, dtype)]

    def figures(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            **self.facts,
            "settings": vars(self.args) | {"json": None if self.args.json is None else self.args.json.name},
            "model": self.config.to_diff_dict(),
            "variants": {name: variant.title for name, variant in VARIANTS.items()},
            "equivalence": self.equivalence,
            "memory": {"is": WHAT_IT_IS[self.device.type], "before_the_model_mib": self.memory_before_mib},
            "cells": [cell_figures(cell, self.args.size) for cell in self.cells],
            "tokenizer": self.tokenizer_figures,
        }


@torch.no_grad()
def measure_equivalence(run: Run) -> None:
    """The greatest differences between the logits of (b), (c) and (c) folded with the same weights, in float32.

    In small size, on the CPU, without dropout; ``largest_logit`` says what the differences are to be compared with.
    """
    progress("equivalence")
    config = make_config("tiny" if run.args.size == "tiny" else "small")
    ours, paper = build_ours(config).eval(), StraightforwardChineseBert(config).eval()
    paper.load_weights(ours.state_dict())
    batch = run.sample.batch(4, 64, number=0)
    letters = ours.bert.embeddings.pinyin_embeddings.letter_ids[batch.pinyin_ids].long()
    logits = ours(batch.input_ids, batch.pinyin_ids).logits
    folded = copy.deepcopy(ours).fold()(batch.input_ids, batch.pinyin_ids).logits
    run.equivalence |= {
        "straightforward_and_ours": (paper(batch.input_ids, letters).logits - logits).abs().max().item(),
        "folded_and_ours": (folded - logits).abs().max().item(),
        "largest_logit": logits.abs().max().item(),
    }


def measure_memory(run: Run) -> None:
    """Peak memory of every variant in every cell, each variant in processes of its own."""
    with tempfile.TemporaryDirectory() as directory:
        for length in run.args.lengths:
            run.sample.batch(run.rows(length), length, number=0).save(Path(directory, f"{length}.pt"))
        for mode, dtype in itertools.product(run.args.modes, run.args.dtypes):
            for name in variants_in(mode):
                measure_memory_of(run, name, mode, dtype, directory)


def measure_memory_of(run: Run, name: str, mode: str, dtype: str, directory: str) -> None:
    """Peak memory of one variant on the batch of each length in ``directory``."""
    cells = run.cells_of(mode, dtype)
    progress(f"memory: {VARIANTS[name].title}, {mode}, {dtype}")
    batches = [f"{directory}/{cell.length}.pt" for cell in cells]
    task = MemoryTask(name, mode, dtype, run.args.size, batches, run.args.device, run.args.threads)
    with noted_in(cells, f"memory of {VARIANTS[name].title}"):
        measured = measure_in_new_process(task)
        run.memory_before_mib.append(measured.before)
        for cell, peak in zip(cells, measured.peaks, strict=True):
            cell.memory_mib[name] = peak


def measure_speed(run: Run) -> None:
    """Seconds a step of every variant in every cell; the variants of a cell take turns."""
    for mode, dtype in itertools.product(run.args.modes, run.args.dtypes):
        measure_speed_of(run, mode, dtype)


def measure_speed_of(run: Run, mode: str, dtype: str) -> None:
    """The cells of one mode and type, with the same models, which are gone afterwards."""
    cells, steps = run.cells_of(mode, dtype), {}
    with noted_in(cells, "speed"):
        steps = {name: make_step(name, mode, dtype, run.config, run.device) for name in variants_in(mode)}
    for cell in cells if steps else []:
        progress(f"speed: {cell.title}")
        with noted_in([cell], "speed"):
            measure_speed_in(run, cell, steps)


def measure_speed_in(run: Run, cell: Cell, steps: dict[str, Callable[[Batch], Any]]) -> None:
    """The rounds of one cell, each on the next rows of the text."""
    measure_in_turn(
        cell.seconds,
        steps,
        lambda number: run.sample.batch(cell.rows, cell.length, number).to(run.device),
        run.device,
        run.args.rounds,
        run.args.cell_seconds,
        WARM_UP[run.device.type],
    )


def measure_tokenizer(run: Run) -> None:
    """Characters a second of the tokenizer and of the original's chain."""
    progress("tokenizer")
    run.tokenizer_figures = measure_tokenizers(run.tokenizer, run.paragraphs, run.args.rounds)


SECTIONS = {
    "equivalence": measure_equivalence,
    "tokenizer": measure_tokenizer,
    "memory": measure_memory,
    "speed": measure_speed,
}


@contextmanager
def noted_in(cells: list[Cell], what: str) -> Iterator[None]:
    """Writes down what a device cannot do, and goes on with the rest."""
    try:
        yield
    except RuntimeError as error:
        for cell in cells:
            cell.note += f"{what}: {(str(error) or repr(error)).splitlines()[0]}; "


def progress(message: str) -> None:
    """Says on the error stream what is being done, for whoever waits."""
    print(message, file=sys.stderr, flush=True)


def print_report(run: Run) -> None:
    """What was measured, as tables."""
    hardware, settings = run.facts["hardware"], run.facts["versions"]
    print(", ".join(f"{name} {value}" for name, value in (hardware | settings).items()))
    for name, difference in run.equivalence.items():
        print(f"{name.replace('_', ' ')}: {difference:.2e}")
    if any(cell.seconds or cell.memory_mib for cell in run.cells):
        print(f"\n{run.args.size} size, medians; peak MiB: {WHAT_IT_IS[run.device.type]}")
        print(*speed_table(run.cells), sep="\n")
    if any(cell.seconds for cell in run.cells):
        print("\ntimes as many tokens a second", *ratio_table(run.cells, run.args.size), sep="\n")
    if run.tokenizer_figures:
        print("\ntokenizer:", *tokenizer_lines(run.tokenizer_figures), sep="\n")
    for cell in run.cells:
        if cell.note:
            print(f"{cell.title}: {cell.note}")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", choices=SIZES, default="base", help="small: a quick look; tiny: to see that the program works")
    add("--lengths", type=int, nargs="+", default=[128, 512], help="tokens a row")
    add("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    add("--modes", nargs="+", choices=MODES, default=list(MODES))
    add("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="what to measure")
    add("--rounds", type=int, help="rounds of each measurement (CPU 7, GPU 30)")
    add("--cell_seconds", type=float, default=75, help="begin no further round of a measurement after this time")
    add("--batch_tokens", type=int, help="tokens a step (CPU 1,024, GPU 32,768)")
    add("--characters", type=int, default=50_000, help="how much of the sample text to use; it has 50,000")
    add("--device", choices=list(TOKENS_PER_STEP), default=device)
    add("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads on the CPU")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def start(argv: list[str] | None) -> Run:
    """The run that a command line asks for, nothing measured yet."""
    parser = build_parser()
    args = parser.parse_args(argv)
    args.rounds = ROUNDS[args.device] if args.rounds is None else args.rounds
    args.batch_tokens = args.batch_tokens or TOKENS_PER_STEP[args.device]
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here")
    longest = make_config(args.size).max_position_embeddings
    if args.rounds < 1 or not all(0 < length <= longest for length in args.lengths):
        parser.error(f"--rounds must be at least 1, and --lengths between 1 and {longest}")
    torch.set_num_threads(args.threads)
    run = Run(args, {"versions": version_facts(), "hardware": machine_facts(torch.device(args.device))})
    for mode, dtype, length in itertools.product(args.modes, args.dtypes, args.lengths):
        run.cells.append(Cell(mode, dtype, length, run.rows(length)))
    return run


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says; if that breaks off, what there is so far."""
    run = start(argv)
    try:
        for name, section in SECTIONS.items():
            if name in run.args.sections:
                section(run)
    except KeyboardInterrupt:
        progress("interrupted")
        run.facts["interrupted"] = True
    finally:
        print_report(run)
        if run.args.json:
            run.args.json.write_text(
                json.dumps(rounded(run.figures()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a timeout: report as after Ctrl-C
    main()
