"""``python -m data_prep readings``: the reading dictionary of the installed pypinyin as a file.

Tokenizers carry theirs with them, so this is rarely needed. The readings that the released checkpoints were trained on,
``chinesebert/assets/readings-pypinyin-0.38.1.json.gz``, were made by it beside ``pypinyin==0.38.1``.
"""

import argparse

from chinesebert.pinyin import Readings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep readings``."""
    parser.add_argument("--output", required=True, metavar="FILE", help="the file to write: .json or .json.gz")


def run(args: argparse.Namespace) -> None:
    """Writes the dictionary and says what is in it."""
    readings = Readings.from_pypinyin()
    readings.save(args.output)
    counts = f"{len(readings.characters):,} characters, {len(readings.phrases):,} phrases"
    print(f"{args.output}: {readings.source}, {counts}, {len(readings.syllables):,} syllables")
