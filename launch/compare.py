"""Shows runs side by side: ``python -m launch.compare RUN… [--output table.md] [--plot bars.png]``.

A RUN is the output_dir of a fine-tuning script, for one task, several seeds or several tasks. Tasks go down, models
across; dev and test figures have tables of their own. Several seeds are shown as mean ± standard deviation.
"""

import argparse
import sys
from pathlib import Path

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.finetuning.process import prepare_process


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; returns the exit status (2 for bad input)."""
    args = build_parser().parse_args(argv)
    prepare_process()
    try:
        compare(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the output_dir of a fine-tuning script")
    parser.add_argument("--names", nargs="+", default=[], help="what to call the models, one for each RUN")
    parser.add_argument("--output", type=Path, help="write the tables to this file, in Markdown")
    parser.add_argument("--plot", type=Path, help="draw bars to this PNG file")
    parser.add_argument("--split", choices=("dev", "test"), help="show this split only; the bars are of dev without it")
    return parser


def compare(args: argparse.Namespace) -> None:
    """Prints the tables and writes them where asked.

    Raises:
        InputError: a folder holds no finished run, or there is nothing to draw.
    """
    from chinesebert.finetuning.comparison import bar_chart, comparison_table, examples_table, read_runs
    from chinesebert.finetuning.tables import markdown_table, terminal_table

    runs = read_runs(args.runs, args.names)
    parts = []
    for split in (args.split,) if args.split else ("dev", "test"):
        header, rows = comparison_table(runs, split)
        if rows:
            print(f"\n{split}\n{terminal_table(header, rows, left=2)}")
            parts.append(f"**{split}**\n\n{markdown_table(header, rows, left=2)}\n")
    header, rows = examples_table(runs)
    print(f"\nexamples\n{terminal_table(header, rows)}")
    parts.append(f"**examples**\n\n{markdown_table(header, rows)}\n")
    if args.output:
        with atomic_file(args.output) as unfinished:
            unfinished.write_text("\n".join(parts), encoding="utf-8")
        print(f"\ntable  {args.output}")
    if args.plot:
        picture = bar_chart(runs, args.split or "dev")
        with atomic_file(args.plot) as unfinished:
            unfinished.write_bytes(picture)
        print(f"bars   {args.plot}")


if __name__ == "__main__":
    sys.exit(main())
