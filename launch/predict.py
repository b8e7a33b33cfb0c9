"""Predicts with a fine-tuned model: ``python launch/predict.py --model DIR --input FILE [--output FILE]``.

A line of the input is a text (two with a tab between them, where the model compares two), or a JSON object with the
fields that the model reads; ``-`` is standard input. ``--format task`` reads a file as the model's task is published.
Each line of the output is a JSON object with ``id``, ``text``, ``prediction`` and, where the model gives one,
``score``; there is one for every line of the input, with nothing predicted (null) for empty ones.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.finetuning.process import prepare_process

if TYPE_CHECKING:
    from chinesebert.finetuning.prediction import Predictor
    from chinesebert.finetuning.records import Line

STANDARD = "-"


def main(argv: list[str] | None = None) -> int:
    """Predicts; returns the exit status (2 for bad input)."""
    args = build_parser().parse_args(argv)
    prepare_process()
    try:
        predict(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the output_dir of a fine-tuning run")
    parser.add_argument("--input", required=True, help="file to predict, or - for standard input")
    parser.add_argument("--output", default=STANDARD, help="file for the predictions; standard output without it")
    parser.add_argument("--format", choices=("lines", "task"), default="lines", help="how the input is written")
    parser.add_argument("--batch_size", type=int, default=32, help="lines that are read and scored at a time")
    parser.add_argument("--device", help="where to compute, e.g. cpu; by default on a GPU, if there is one")
    return parser


def predict(args: argparse.Namespace) -> None:
    """Writes a line for each line of the input, a batch at a time.

    Raises:
        InputError: the model is not fine-tuned, or the input is not such as it reads.
    """
    from chinesebert.finetuning.prediction import Predictor

    if args.batch_size < 1:
        raise InputError(f"--batch_size {args.batch_size}: must be at least 1")
    if args.input != STANDARD and not Path(args.input).is_file():
        raise InputError(f"{args.input}: there is no such file")
    predictor = Predictor(args.model, args.batch_size, args.device)
    with _output(args.output) as output:
        for batch in _batches(_read(args, predictor), _batch_lines(args)):
            for record in _predicted(predictor, batch):
                output.write(json.dumps(record, ensure_ascii=False) + "\n")
            output.flush()


def _batch_lines(args: argparse.Namespace) -> int:
    """Somebody who types wants an answer to each line."""
    size: int = 1 if args.input == STANDARD and sys.stdin.isatty() else args.batch_size
    return size


def _read(args: argparse.Namespace, predictor: "Predictor") -> "Iterator[Line]":
    from chinesebert.finetuning.records import Line, read_lines_as, shown_text
    from chinesebert.tasks import custom
    from chinesebert.tasks.registry import get_task
    from chinesebert.tasks.splits import read_split

    if args.format == "lines":
        pairs = bool(predictor.saved.get("pairs"))
        with _input(args.input) as lines:
            yield from read_lines_as(predictor.kind.example, lines, _name(args.input), pairs)
        return
    if args.input == STANDARD:
        raise InputError("--format task reads files only: give --input FILE")
    if predictor.saved["task"] == custom.NAME:
        raise InputError(
            "--format task: the model was trained on files of your own, which only the flags of its run describe; run "
            "launch/finetune.py --task custom … --do_predict --test_file FILE, or give plain lines or JSON"
        )
    for example in read_split(get_task(predictor.saved["task"]), [Path(args.input)]):
        yield Line(example.id, shown_text(example), example)


def _name(path: str) -> str:
    return "standard input" if path == STANDARD else path


@contextlib.contextmanager
def _input(path: str) -> Iterator[Iterable[str]]:
    """Lines as they come; only \\n ends one, and what is not UTF-8 is refused."""
    if path == STANDARD:
        sys.stdin.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a text stream
        yield _decoded(sys.stdin, path)
        return
    with open(path, encoding="utf-8", newline="\n") as file:
        yield _decoded(file, path)


def _decoded(file: Iterable[str], path: str) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise InputError(f"{_name(path)}: is not UTF-8 ({error.reason}); convert it, e.g. with iconv") from error


@contextlib.contextmanager
def _output(path: str) -> Iterator[IO[str]]:
    if path == STANDARD:
        yield sys.stdout
        return
    with atomic_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def _batches(lines: "Iterator[Line]", size: int) -> "Iterator[list[Line]]":
    """Batches of about ``size`` lines; examples that compete with each other stay together."""
    batch: list[Line] = []
    for line in lines:
        if len(batch) >= size and not (_group(line) and _group(line) == _group(batch[-1])):
            yield batch
            batch = []
        batch.append(line)
        if len(batch) >= size and not _group(line):
            yield batch
            batch = []
    if batch:
        yield batch


def _group(line: "Line") -> str | None:
    group: str | None = getattr(line.example, "group", None)
    return group


def _predicted(predictor: "Predictor", batch: "list[Line]") -> Iterator[dict[str, Any]]:
    found = iter(predictor([line.example for line in batch if line.example is not None]))
    for line in batch:
        record = {"id": line.id, "text": line.text}
        if line.example is None:
            yield {**record, "prediction": None}
            continue
        made = next(found)
        shown = predictor.kind.record(line.example, made.prediction)
        yield {**record, **{name: value for name, value in shown.items() if name != "id"}, **_score(made.score)}


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": round(score, 4)}


if __name__ == "__main__":
    sys.exit(main())
