"""Shows what a run has come to, from its log: ``python launch/report.py RUN [--cloze FILE] [--plot PNG]``.

Prints the loss curve's start and end against the unigram entropy of the corpus, the held-out accuracies, and a table of
masked sentences with the model's guesses; and writes a page with all curves, ``RUN/report.html``. The run may be
finished, in progress or killed; RUN may be a copy of its ``logs/`` alone.
"""

import argparse
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.training.checkpoints import HF_DIRECTORY
from chinesebert.training.cloze import read_cloze, with_mask
from chinesebert.training.curves import draw_loss, require_matplotlib
from chinesebert.training.report import write_report, write_report_if_possible
from chinesebert.training.run_record import RunRecord, read_run

Guesses = list[tuple[str, list[tuple[str, float]]]]


def main(argv: list[str] | None = None) -> int:
    """Prints the report; returns the exit status (2 for bad input)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output_dir of a pretraining run, or its logs")
    parser.add_argument(
        "--cloze", type=Path, help="ask the model now: sentences with one character in 【】, a line each"
    )
    parser.add_argument("--plot", type=Path, help="draw the loss curves to this PNG file")
    parser.add_argument(
        "--output", type=Path, help="the page to write; report.html in the folder of the run without it"
    )
    parser.add_argument(
        "--compare", type=Path, nargs="+", default=[], metavar="RUN", help="show the losses of these runs beside it"
    )
    args = parser.parse_args(argv)
    try:
        report(args.run, args.cloze, args.plot, args.output, args.compare)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(run: Path, cloze: Path | None, plot: Path | None, output: Path | None, others: Sequence[Path]) -> None:
    """Prints the report on one run and writes its page.

    Raises:
        InputError: ``run`` holds no log, a file cannot be read or written, or there is no matplotlib for a picture or
            page that was asked for. A page that was not asked for is then left out, which is said.
    """
    record = read_run(run)
    print_losses(record)
    if cloze is not None:
        print_guesses(run / HF_DIRECTORY, _ask(run / HF_DIRECTORY, read_cloze(cloze)))
    elif record.of_kind("cloze"):
        last = record.of_kind("cloze")[-1]
        print_guesses(
            f"step {last['step']:,}", [(item["sentence"], item["guesses"]) for item in last.get("sentences", ())]
        )
    print()
    if plot is not None:
        require_matplotlib("drawing")
        with atomic_file(plot) as unfinished:
            unfinished.write_bytes(draw_loss(record))
        print(f"curve    {plot}")
    if output is not None or others:
        print(f"report   {write_report(run, output, others)}")
    else:
        print(write_report_if_possible(run))


def print_losses(record: RunRecord) -> None:
    """Start and end of the training loss, and the held-out measures, against the unigram entropy."""
    entropy = record.fact("unigram_entropy")
    print()
    if entropy is not None:
        print(f"unigram entropy of the corpus  {entropy:.3f} nats (what knowing frequencies alone scores)")
    for name, label in (("loss", "training loss"), ("eval_loss", "held-out loss")):
        points = record.points(name)
        if points:
            (first_step, first), (last_step, last) = points[0], points[-1]
            print(f"{label}  {first:.3f} at step {first_step:,}  ->  {last:.3f} at step {last_step:,}")
    accuracies = [(label, record.last(name)) for name, label in _ACCURACIES]
    shown = ", ".join(f"{label} {value:.1%}" for label, value in accuracies if value is not None)
    if shown:
        print(f"held-out accuracy  {shown}")


_ACCURACIES = (
    ("eval_character_char_accuracy", "masked characters"),
    ("eval_whole_word_word_accuracy", "whole words"),
    ("eval_whole_word_char_accuracy", "tokens of whole words"),
)


def _ask(model: Path, sentences: list[str]) -> Guesses:
    """Loads the model as any user would; its three best guesses for each sentence."""
    from transformers import pipeline

    import chinesebert  # noqa: F401  (registers the model with transformers)

    if not model.is_dir():
        raise InputError(f"{model}: is missing; --cloze needs the model of a run that has ended")
    fill_mask = pipeline("fill-mask", model=str(model), top_k=3)
    found: list[list[dict[str, Any]]] = [fill_mask(with_mask(sentence, "[MASK]")) for sentence in sentences]
    return [
        (sentence, [(guess["token_str"], guess["score"]) for guess in guesses])
        for sentence, guesses in zip(sentences, found, strict=True)
    ]


def print_guesses(source: Path | str, guesses: Guesses) -> None:
    """A line for each sentence with what was guessed for it."""
    width = max((_columns(sentence) for sentence, _ in guesses), default=0) + 2
    print(f"\n{_padded('masked character in 【】', width)}top three guesses of {source}")
    for sentence, best in guesses:
        shown = "  ".join(f"{token} {probability:.0%}" for token, probability in best[:3])
        print(f"{_padded(sentence, width)}{shown}")


def _columns(text: str) -> int:
    """How many columns a terminal needs for a text; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _columns(text))


if __name__ == "__main__":
    sys.exit(main())
