"""Speed of pretraining in tokens of text a second, loader included, against transformers' BERT.

Measured in one run, in turn, on the machine at hand:

(a) transformers' ``BertForMaskedLM`` with its collator on padded sentences, one a row;
(b) the same model and collator on packed rows;
(c) our model on our packed rows.

All have the same vocabulary, widths, attention (SDPA), dropout, text, loader workers and places a step, and fused
AdamW on float32 weights; bfloat16 is autocast's. A step is: batch from the loader, zero, forward, backward, optimizer.
Only tokens of text count, not [CLS], [SEP] and padding. The loaders are also timed alone. The default run takes about
eleven minutes on two CPU cores.

::

    python -m benchmarks.pretrain [--sizes demo base] [--lengths 128 512] [--dtypes float32] [--input TEXT …]
                                  [--cell_seconds N] [--json FILE] …
"""

import argparse
import itertools
import json
import math
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.data_prep import SAMPLE, read_texts
from benchmarks.feeds import Feed, FeedSettings, Places, PreparedText, count_places, our_feed, packed_feed, padded_feed
from benchmarks.machine import machine_facts, version_facts
from benchmarks.report import aligned, rounded
from benchmarks.timing import synchronize, turns
from benchmarks.variants import DTYPES, SIZES, build_bert, build_ours, make_config, training_step
from chinesebert.configuration_chinesebert import ChineseBertConfig

PADDED, PACKED, OURS = "bert_padded", "bert_packed", "ours"


@dataclass(frozen=True)
class Variant:
    """A model and what it is fed."""

    title: str
    build: Callable[[ChineseBertConfig], nn.Module]
    feed: Callable[[PreparedText, FeedSettings], Feed]


VARIANTS = {
    PADDED: Variant("(a) BERT, padded", build_bert, padded_feed),
    PACKED: Variant("(b) BERT, packed", build_bert, packed_feed),
    OURS: Variant("(c) ours", build_ours, our_feed),
}
# (size, baseline) -> how many times as many tokens a second ours should train on, on a CPU.
TARGETS = {("demo", PADDED): 4.0, ("demo", PACKED): 2.0, ("base", PADDED): 2.5, ("base", PACKED): 1.2}
# How many times as fast as the step consumes the loader of ours should be.
LOADER_TARGET = 5.0

# Places of a step. 2,048 are 16 rows of 128, as in the demo's recipe, and hold some 30 padded sentences.
PLACES = {"cpu": 2_048, "cuda": 32_768}
# No further round of a cell is begun after this time: where base is measured, so that it has some ten rounds of 25 s on
# two cores.
CELL_SECONDS = {"base": 270.0}
_OTHER_CELL_SECONDS = 90.0
# A round is many steps where they are short, so that neither the clock nor what a worker has made ahead matters.
ROUND_SECONDS = 2.0
LOADER_SECONDS = 0.25
# Batches that each worker makes ahead (PyTorch's default); they do not count when the loader is timed alone.
_PREFETCH = 2


@dataclass
class Round:
    """What one variant did in one round.

    Attributes:
        seconds: of all steps, loader included.
        waited: of these, seconds until the batches were there. On a GPU that still works on the step before while the
            next batch is awaited, this is more than what it costs.
        trained: what was in the batches.
        loader_seconds, loaded: of the loader alone.
    """

    seconds: float
    waited: float
    trained: Places
    loader_seconds: float
    loaded: Places

    @property
    def speed(self) -> float:
        """Tokens of text a second of training."""
        return self.trained.text / self.seconds

    @property
    def loader_speed(self) -> float:
        """Tokens of text a second of the loader alone."""
        return self.loaded.text / self.loader_seconds


@dataclass
class Cell:
    """The variants at one size, length and type, and their complete rounds."""

    size: str
    length: int
    dtype: str
    places: int
    rounds: dict[str, list[Round]] = field(default_factory=lambda: {name: [] for name in VARIANTS})
    steps_per_round: int = 0
    note: str = ""

    @property
    def title(self) -> str:
        """``demo, float32, length 128``."""
        return f"{self.size}, {self.dtype}, length {self.length}"

    def median(self, variant: str, of: Callable[[Round], float]) -> float:
        """Over the rounds of a variant."""
        return statistics.median(map(of, self.rounds[variant]))

    def variant_figures(self, variant: str) -> dict[str, Any]:
        """What is known of one variant."""
        rounds = self.rounds[variant]
        trained = sum((one.trained for one in rounds), Places())
        speed, loader = (self.median(variant, of) for of in (lambda one: one.speed, lambda one: one.loader_speed))
        return {
            "tokens_per_second": speed,
            "milliseconds_per_step": 1e3 * self.median(variant, lambda one: one.seconds / self.steps_per_round),
            "text_share": trained.text / trained.places,
            "padding_share": trained.padding / trained.places,
            "masked_share": trained.masked / trained.places,
            "waiting_share": self.median(variant, lambda one: one.waited / one.seconds),
            "loader_tokens_per_second": loader,
            "loader_ratio": loader / speed,
            "tokens_per_second_by_round": [one.speed for one in rounds],
        }

    def ratio(self, baseline: str) -> dict[str, float]:
        """How many times as fast as ``baseline`` ours is: by the medians, and the median and range of the rounds'."""
        pairs = [ours.speed / other.speed for ours, other in zip(self.rounds[OURS], self.rounds[baseline], strict=True)]
        speeds = [self.median(name, lambda one: one.speed) for name in (OURS, baseline)]
        spread = {"paired": statistics.median(pairs), "lowest": min(pairs), "highest": max(pairs)}
        return {"of_medians": speeds[0] / speeds[1], **spread}

    def figures(self, device: str) -> dict[str, Any]:
        """Everything, for JSON."""
        measured = bool(self.rounds[OURS])
        return {
            "size": self.size,
            "dtype": self.dtype,
            "length": self.length,
            "places_per_step": self.places,
            "rounds": len(self.rounds[OURS]),
            "steps_per_round": self.steps_per_round,
            "note": self.note,
            "variants": {name: self.variant_figures(name) for name in VARIANTS} if measured else {},
            "ratios": self._ratios(device) if measured else [],
        }

    def _ratios(self, device: str) -> list[dict[str, Any]]:
        """Our speed by those of the baselines, and our loader's by that of training; ``met`` goes by the medians."""
        loader = self.variant_figures(OURS)["loader_ratio"]
        found: list[tuple[str, dict[str, float], float | None]] = [
            (baseline, self.ratio(baseline), TARGETS.get((self.size, baseline)) if device == "cpu" else None)
            for baseline in (PACKED, PADDED)
        ]
        found.append(("loader", {"of_medians": loader}, LOADER_TARGET if self.size in ("demo", "base") else None))
        return [
            {"of": name, **ratio, "target": target, "met": None if target is None else ratio["of_medians"] >= target}
            for name, ratio, target in found
        ]


# ----------------------------------------------------------------------------------------------------------- measuring


def _moved(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch on the device; it may hold plain numbers too."""
    return {
        name: part.to(device, non_blocking=True) if isinstance(part, torch.Tensor) else part
        for name, part in batch.items()
    }


class Contender:
    """One variant with its model and its running feed."""

    def __init__(self, variant: Variant, cell: Cell, text: PreparedText, device: torch.device, workers: int) -> None:
        torch.manual_seed(0)
        self._device, self._workers = device, workers
        self._step = training_step(variant.build(make_config(cell.size)).to(device), cell.dtype, device)
        self._feed = variant.feed(text, FeedSettings(cell.length, cell.places, workers, device.type == "cuda"))

    def train(self, steps: int) -> tuple[float, float, Places]:
        """Seconds of so many steps, those of them that the loader was awaited, and what was trained on."""
        batches: list[dict[str, torch.Tensor]] = []
        waited = 0.0
        synchronize(self._device)
        started = time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            batches.append(next(self._feed))
            waited += time.perf_counter() - asked
            self._step(_moved(batches[-1], self._device))
        synchronize(self._device)
        return time.perf_counter() - started, waited, sum(map(count_places, batches), Places())

    def load(self, seconds: float) -> tuple[float, Places]:
        """Reads batches for about so long without training; the seconds it took, and what was read."""
        for _ in range(_PREFETCH * self._workers):
            next(self._feed)
        batches: list[dict[str, torch.Tensor]] = []
        started = time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds or not batches:
            batches.append(next(self._feed))
        return passed, sum(map(count_places, batches), Places())

    def round(self, steps: int) -> Round:
        """One round: training, then the loader alone."""
        return Round(*self.train(steps), *self.load(LOADER_SECONDS))


def measure(cell: Cell, text: PreparedText, args: argparse.Namespace) -> None:
    """The rounds of one cell: all variants take turns, in another order each round; complete rounds are recorded."""
    started = time.perf_counter()
    limit = args.cell_seconds or CELL_SECONDS.get(cell.size, _OTHER_CELL_SECONDS)
    contenders = {
        name: Contender(variant, cell, text, torch.device(args.device), args.workers)
        for name, variant in VARIANTS.items()
    }
    slowest = max(warm_up(contender, args.round_seconds) for contender in contenders.values())
    cell.steps_per_round = steps_in(args.round_seconds, slowest)
    for number in range(args.rounds):
        if number > 0 and time.perf_counter() - started > limit:
            break
        done = {name: contenders[name].round(cell.steps_per_round) for name in turns(list(contenders), number)}
        for name, one in done.items():
            cell.rounds[name].append(one)


def warm_up(contender: Contender, long: float) -> float:
    """Makes the first step, which is slower, and says how many seconds a step takes: one that is ``long`` is enough."""
    first, *_ = contender.train(1)
    return first if first > 2 * long else contender.train(1)[0]


def steps_in(seconds: float, seconds_of_a_step: float) -> int:
    """How many steps a round has."""
    return max(1, math.ceil(seconds / seconds_of_a_step))


# ----------------------------------------------------------------------------------------------------------- reporting


def speed_table(cells: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each variant of each cell."""
    head = ("size", "dtype", "length", "variant", "text tokens/s", "ms/step", "padding", "waiting")
    lines = [(*head, "loader tokens/s", "÷ step's")]
    for cell in cells:
        for name, figures in cell["variants"].items():
            lines.append(
                (
                    *(cell["size"], cell["dtype"], str(cell["length"]), VARIANTS[name].title),
                    *(f"{figures['tokens_per_second']:,.0f}", f"{figures['milliseconds_per_step']:,.1f}"),
                    *(f"{figures['padding_share']:.2%}", f"{figures['waiting_share']:.2%}"),
                    *(f"{figures['loader_tokens_per_second']:,.0f}", f"{figures['loader_ratio']:,.1f}"),
                )
            )
    return aligned(lines, left=(0, 1, 3))


def ratio_table(cells: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each ratio of each cell."""
    titles = {PADDED: "(c) ÷ (a)", PACKED: "(c) ÷ (b)", "loader": "loader of (c) ÷ step"}
    lines = [("size", "dtype", "length", "ratio", "of medians", "paired", "lowest–highest", "rounds", "target", "")]
    for cell in cells:
        for ratio in cell["ratios"]:
            spread = ("–", "–")
            if "paired" in ratio:
                spread = (f"{ratio['paired']:.2f}", f"{ratio['lowest']:.2f}–{ratio['highest']:.2f}")
            lines.append(
                (
                    *(cell["size"], cell["dtype"], str(cell["length"]), titles[ratio["of"]]),
                    *(f"{ratio['of_medians']:.2f}", *spread, str(cell["rounds"])),
                    "–" if ratio["target"] is None else f"≥ {ratio['target']:g}",
                    {None: "", True: "met", False: "MISSED"}[ratio["met"]],
                )
            )
    return aligned(lines, left=(0, 1, 3, 9))


def print_report(figures: dict[str, Any]) -> None:
    """What was measured, as tables."""
    print(", ".join(f"{name} {value}" for name, value in (figures["hardware"] | figures["versions"]).items()))
    print(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in figures["text"].items()))
    if any(cell["rounds"] for cell in figures["cells"]):
        print("\nmedians over the rounds", *speed_table(figures["cells"]), sep="\n")
        print("\ntimes as many tokens of text a second", *ratio_table(figures["cells"]), sep="\n")
    for cell in figures["cells"]:
        if cell["note"]:
            print(f"{cell['size']}, {cell['dtype']}, length {cell['length']}: {cell['note']}")


# --------------------------------------------------------------------------------------------------------- the program


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", nargs="+", choices=SIZES, help="default: CPU demo and base, GPU base")
    add("--lengths", type=int, nargs="+", default=[128, 512], help="tokens a row; sizes that end before pass over it")
    add("--dtypes", nargs="+", choices=DTYPES, help="default: CPU float32, GPU bfloat16")
    add("--places", type=int, help="rows x length of a step (CPU 2,048, GPU 32,768)")
    add("--rounds", type=int, default=100, help="most rounds of a cell")
    add("--round_seconds", type=float, default=ROUND_SECONDS, help="a round has at least one step, and at least this")
    add("--cell_seconds", type=float, help="begin no further round of a cell after this time (base 270, others 90)")
    add("--workers", type=int, help="loader processes of every variant (CPU 1, GPU 8)")
    add("--input", nargs="+", default=[str(SAMPLE)], help="text (default: the bundled sample)")
    add("--characters", type=int, default=2_000_000, help="how much of the text to use")
    add("--device", choices=("cpu", "cuda"), default=device)
    add("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads on the CPU")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The settings of a command line, with what depends on the device filled in."""
    parser = build_parser()
    args = parser.parse_args(argv)
    on_gpu = args.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here")
    args.sizes = args.sizes or (["base"] if on_gpu else ["demo", "base"])
    args.dtypes = args.dtypes or (["bfloat16"] if on_gpu else ["float32"])
    args.workers = (8 if on_gpu else 1) if args.workers is None else args.workers
    args.places = args.places or PLACES[args.device]
    if args.rounds < 1 or args.workers < 0 or not make_cells(args):
        parser.error("--rounds must be at least 1, --workers at least 0, and a length from 8 to the model's positions")
    return args


def make_cells(args: argparse.Namespace) -> list[Cell]:
    """What is to be measured: every size at every length that it has positions for, in every type."""
    return [
        Cell(size, length, dtype, args.places)
        for size, dtype, length in itertools.product(args.sizes, args.dtypes, args.lengths)
        if 8 <= length <= make_config(size).max_position_embeddings
    ]


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says; if that breaks off, what there is so far."""
    args = parse(argv)
    torch.set_num_threads(args.threads)
    facts: dict[str, Any] = {"versions": version_facts(), "hardware": machine_facts(torch.device(args.device))}
    # The figures may be published: what was read, without where it lies.
    settings = vars(args) | {"json": None, "input": [Path(name).name for name in args.input]}
    cells = make_cells(args)
    with tempfile.TemporaryDirectory() as directory:
        text = PreparedText(Path(directory, "corpus"), read_texts(args.input, args.characters))
        facts |= {"settings": settings, "text": text.facts()}
        try:
            for cell in cells:
                print(cell.title, file=sys.stderr, flush=True)
                try:
                    measure(cell, text, args)
                except torch.OutOfMemoryError as error:
                    cell.note = str(error).splitlines()[0]
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            facts["interrupted"] = True
    figures = rounded(facts | {"cells": [cell.figures(args.device) for cell in cells]})
    print_report(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a timeout: report as after Ctrl-C
    main()
