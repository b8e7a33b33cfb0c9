"""``python -m data_prep inspect DIR``: what is in a prepared corpus, in numbers, plots, and a few of its documents.

The corpus is read once from end to end with flat memory; nothing is written into it. The report goes beside it, to
``DIR-report.html``, or where ``--report`` says.
"""

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chinesebert.atomic import create_parent
from chinesebert.corpus.format import Block
from chinesebert.errors import InputError
from data_prep.inspection.blocks import CorpusBlocks
from data_prep.inspection.documents import ShownDocument, choose_documents, interlinear, shown_documents
from data_prep.inspection.plots import draw_plots, require_matplotlib
from data_prep.inspection.report import write_report
from data_prep.inspection.statistics import collect
from data_prep.inspection.summary import Summary, summarise
from data_prep.inspection.text import summary_lines

# Where the output is no terminal.
_DEFAULT_WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep inspect``."""
    parser.add_argument("directory", metavar="DIR", help="a prepared corpus")
    report = parser.add_mutually_exclusive_group()
    report.add_argument(
        "--report", metavar="FILE", help="the HTML report to write (default: DIR-report.html beside DIR)"
    )
    report.add_argument("--no_report", action="store_true", help="write no report")
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON; a report only with --report")
    parser.add_argument("--documents", type=int, default=3, help="how many documents to show, chosen by chance")
    parser.add_argument("--document_tokens", type=int, default=200, help="show each up to about so many tokens")
    parser.add_argument("--seed", type=int, default=0, help="another number chooses other documents")


def run(args: argparse.Namespace) -> None:
    """Counts, and shows what was counted."""
    if args.documents < 0 or args.document_tokens < 1:
        raise InputError("--documents takes 0 or more, --document_tokens 1 or more")
    blocks = CorpusBlocks(args.directory)
    report = report_path(args)
    if report is not None:  # before the work, not after it
        require_matplotlib()
        create_parent(report)
    statistics = collect(_with_progress(blocks), blocks.tokenizer)
    summary = summarise(blocks, statistics)
    numbers = choose_documents(summary.size.documents, args.documents, args.seed)
    documents = list(shown_documents(blocks, numbers, args.document_tokens))
    if report is not None:
        write_report(report, summary, draw_plots(summary, statistics), documents)
    if args.json:
        print(json.dumps(dataclasses.asdict(summary), ensure_ascii=False, indent=1))
    else:
        _print_text(summary, documents)
    if report is not None:
        print(f"\nreport: {report}", file=sys.stderr if args.json else sys.stdout)


def report_path(args: argparse.Namespace) -> Path | None:
    """Where the report goes; None where none is wanted."""
    if args.report is not None:
        return Path(args.report)
    if args.no_report or args.json:
        return None
    directory = Path(args.directory).resolve()
    return directory.with_name(f"{directory.name}-report.html")


def _with_progress(blocks: CorpusBlocks) -> Iterator[Block]:
    from tqdm import tqdm

    with tqdm(desc="counting", total=blocks.manifest.tokens, unit=" tokens", unit_scale=True, disable=None) as progress:
        for block in blocks:
            progress.update(len(block.input_ids))
            yield block


def _print_text(summary: Summary, documents: Sequence[ShownDocument]) -> None:
    width = shutil.get_terminal_size((_DEFAULT_WIDTH, 0)).columns
    for line in summary_lines(summary, width):
        print(line)
    for document in documents:
        print()
        for line in interlinear(document, width):
            print(line)
