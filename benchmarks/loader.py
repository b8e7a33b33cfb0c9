"""How fast one process makes batches: tokens/s of packing and masking, and the share of padding.

Seconds are those of the processor, not of the clock, so other work on the machine counts little::

    python -m benchmarks.loader --corpus PREPARED [--lengths 128 512] [--rows 8 32] [--strategies wwm+char …]
                                [--rounds N] [--json FILE]
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine_facts, version_facts
from chinesebert.corpus.dataset import MaskedRows, collate
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import Masking
from chinesebert.masking_strategies import MASKING_STRATEGIES

# Rows that are made in a round: about a twentieth of a second.
_ROWS_IN_A_ROUND = 1024


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


def main(argv: list[str] | None = None) -> None:
    """Measures, prints, and writes the figures where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="a prepared corpus")
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--rows", nargs="+", type=int, default=[8, 32], help="of a micro-batch")
    parser.add_argument("--strategies", nargs="+", choices=MASKING_STRATEGIES, default=["wwm+char"])
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
    if args.json:
        facts = {"machine": machine_facts(torch.device("cpu")), "versions": version_facts()}
        figures = {"corpus_tokens": corpus.manifest.tokens, "rounds": args.rounds, "cells": cells}
        args.json.write_text(json.dumps(facts | figures, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
