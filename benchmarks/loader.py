"""How fast batches are made: tokens/s of packing and masking in one process, and of what worker processes deliver.

Made in one process, seconds are those of the processor, not of the clock, so other work on the machine counts little.
With ``--workers``, what arrives in the training process is measured too, in micro-batches as the recipes have them:
made, collated and handed on between processes. These seconds are of the clock: let nothing else run, and have a core
for each worker and one for the process that they deliver to::

    python -m benchmarks.loader --corpus PREPARED [--lengths 128 512] [--rows 8 32] [--strategies wwm+char …]
                                [--workers 1 2 4] [--micro_batches 50x512 200x128] [--pin_memory] [--rounds N]
                                [--json FILE]
"""

import argparse
import itertools
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_facts, version_facts
from chinesebert.corpus.dataset import Batch, MaskedRows, collate, model_inputs
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import Masking
from chinesebert.masking_strategies import MASKING_STRATEGIES
from chinesebert.training.batches import build_loader, read_batches

# Rows that are made in a round: about a twentieth of a second.
_ROWS_IN_A_ROUND = 1024
# Tokens that each worker delivers in a round: some tenths of a second.
_TOKENS_DELIVERED = 1_000_000
# Micro-batches that each worker keeps ready.
_PREFETCH = 2


def masked_rows(corpus: PreparedCorpus, length: int, strategy: str = "wwm+char") -> MaskedRows:
    """The training samples of a corpus, with the settings of the paper."""
    tokenizer = corpus.load_tokenizer()
    return MaskedRows(
        RowPlan([corpus], length),
        RowDresser(length, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
        Masking(
            tokenizer.mask_token_id,
            tokenizer.ordinary_token_ids(),
            tokenizer.default_pinyin_ids(),
            strategy=strategy,
        ),
    )


def measure(rows: MaskedRows, batch_rows: int, rounds: int) -> dict[str, Any]:
    """Tokens/s, padding included, of batches of so many rows: the median of some rounds, after one to warm up."""
    batches = max(_ROWS_IN_A_ROUND // batch_rows, 1)
    rates: list[float] = []
    places = padding = 0
    for number in range(rounds + 1):
        started, made = time.process_time(), 0
        for batch in range(number * batches, (number + 1) * batches):
            tensors = collate(rows.__getitems__(range(batch * batch_rows, (batch + 1) * batch_rows)))
            made += tensors["labels"].numel()
            padding += tensors["padding"]
        rates.append(made / (time.process_time() - started))
        places += made
    figures = rates[1:]
    return {
        "tokens_per_second": round(statistics.median(figures)),
        "lowest": round(min(figures)),
        "highest": round(max(figures)),
        "padding": padding / places,
    }


def delivered(rows: MaskedRows, batch_rows: int, workers: int, pin_memory: bool, rounds: int) -> dict[str, Any]:
    """Tokens/s, padding included, of micro-batches that arrive from so many workers: the median of some rounds.

    What the workers have ready at the beginning, and what they make while they start, does not count.
    """
    in_round = workers * max(_TOKENS_DELIVERED // (batch_rows * rows[0]["labels"].size), 1)
    numbers = (range(first, first + batch_rows) for first in itertools.count(0, batch_rows))
    batches = read_batches(build_loader(rows, numbers, _training_batch, workers, _PREFETCH, pin_memory))
    rates = []
    for number in range(rounds + 1):
        started, tokens = time.perf_counter(), 0
        for batch in itertools.islice(batches, in_round if number else workers * (_PREFETCH + 1)):
            tokens += batch["labels"].numel()
        rates.append(tokens / (time.perf_counter() - started))
    batches.close()
    figures = rates[1:]
    return {
        "tokens_per_second": round(statistics.median(figures)),
        "lowest": round(min(figures)),
        "highest": round(max(figures)),
    }


def _training_batch(batch: Batch) -> Batch:
    tensors = collate(batch)
    return tensors | {"inputs": model_inputs(tensors)}


def measure_delivery(corpus: PreparedCorpus, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A figure for each form of micro-batches and number of workers; prints them."""
    cells = []
    for form in args.micro_batches:
        batch_rows, length = map(int, form.split("x"))
        rows = masked_rows(corpus, length)
        for workers in args.workers:
            cell = {"rows": batch_rows, "length": length, "workers": workers, "pinned": args.pin_memory}
            cell |= delivered(rows, batch_rows, workers, args.pin_memory, args.rounds)
            cells.append(cell)
            print(
                f"delivered {length:4} tokens x {batch_rows:3} rows  {workers} workers  "
                f"{cell['tokens_per_second']:12,} tokens/s ({cell['lowest']:,} to {cell['highest']:,})",
                flush=True,
            )
    return cells


def _micro_batch(form: str) -> str:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", form):
        raise argparse.ArgumentTypeError(f"{form}: write ROWSxLENGTH, for example 50x512")
    return form


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="a prepared corpus")
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--rows", nargs="+", type=int, default=[8, 32], help="of a micro-batch")
    parser.add_argument("--strategies", nargs="+", choices=MASKING_STRATEGIES, default=["wwm+char"])
    parser.add_argument("--workers", nargs="+", type=int, default=[], help="measure delivery by so many processes")
    parser.add_argument("--micro_batches", nargs="+", type=_micro_batch, default=["50x512", "200x128"])
    parser.add_argument("--pin_memory", action="store_true", help="deliver as for a GPU, which has to be there")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    corpus = PreparedCorpus(args.corpus)
    cells = []
    for strategy in args.strategies:
        for length in args.lengths:
            rows = masked_rows(corpus, length, strategy)
            for batch_rows in args.rows:
                cell = {"strategy": strategy, "length": length, "rows": batch_rows}
                cell |= measure(rows, batch_rows, args.rounds)
                cells.append(cell)
                print(
                    f"{strategy:9} {length:4} tokens x {batch_rows:3} rows  {cell['tokens_per_second']:12,} tokens/s "
                    f"({cell['lowest']:,} to {cell['highest']:,}), {cell['padding']:.2%} padding",
                    flush=True,
                )
    delivery = measure_delivery(corpus, args)
    if args.json:
        facts = {"machine": machine_facts(torch.device("cpu")), "versions": version_facts()}
        figures = {"corpus_tokens": corpus.manifest.tokens, "rounds": args.rounds, "cells": cells}
        figures["delivered"] = delivery
        args.json.write_text(json.dumps(facts | figures, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
