"""``python -m data_prep COMMAND …``: one command a module; each has ``add_arguments(parser)`` and ``run(args)``."""

import argparse
import importlib
import os
import sys

if __name__ == "__main__":  # not where this module is imported: others may need the models
    os.environ.setdefault("CHINESEBERT_WITHOUT_MODELS", "1")  # loading torch takes longer than preparing small texts

from chinesebert.errors import InputError

_DESCRIPTION = "From text and fonts to what pretraining reads. Each command has a --help of its own."
# Command -> what it does. The module of the same name is imported only when it is asked for: they are heavy.
COMMANDS = {
    "vocab": "build a BERT-layout WordPiece vocabulary from text",
    "fonts": "subset the open fonts from their distribution packages into fonts/",
    "glyphs": "render a vocabulary in three fonts to glyph images",
    "readings": "write the reading dictionary of the installed pypinyin to a file",
    "corpus": "prepare text files into the corpus that pretraining reads",
    "inspect": "statistics of a prepared corpus, a report with plots, and a few of its documents",
    "verify": "check a prepared corpus against its checksums and every rule of the format",
}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of ``command``; without one, the parser that lists all commands."""
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        subparser = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        if name == command:
            module = importlib.import_module(f"data_prep.{name}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status it gives (0 if none), 2 for bad input, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(argv[0] if argv else None).parse_args(argv)
    try:
        return args.run(args) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough: … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says of a program that this ended
    except OSError as error:  # a disk that fills up, say; outputs are written aside, so nothing half-written is left
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; nothing was written under the final name", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written under the final name", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
