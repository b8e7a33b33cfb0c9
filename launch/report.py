"""Shows what a run has come to: ``python launch/report.py RUN [--cloze FILE] [--plot PNG]``.

The loss curve's start and end against the unigram entropy of the corpus, the held-out accuracies, and a table of masked
sentences with the model's guesses, read from the run's last checkpoint and its ``hf/`` directory.
"""

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from chinesebert.atomic import atomic_file
from chinesebert.corpus.reader import open_corpora
from chinesebert.errors import InputError
from chinesebert.training.checkpoints import HF_DIRECTORY, RECIPE_FILE, list_checkpoints
from chinesebert.training.pretraining import unigram_entropy

_HIDDEN = re.compile("【(.)】")


def main(argv: list[str] | None = None) -> int:
    """Prints the report; returns the exit status (2 for bad input)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the output_dir of a pretraining run")
    parser.add_argument("--cloze", type=Path, help="sentences with one character in 【】, a line each")
    parser.add_argument("--plot", type=Path, help="draw the loss curves to this PNG file")
    args = parser.parse_args(argv)
    try:
        report(args.run, args.cloze, args.plot)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(run: Path, cloze: Path | None, plot: Path | None) -> None:
    """Prints the report on one run.

    Raises:
        InputError: there is no finished checkpoint in ``run``, or a file cannot be read.
    """
    history = read_history(run)
    recipe = read_recipe(run)
    entropy = unigram_entropy(open_corpora(recipe["train_data"]), recipe.get("data_weights") or ())
    print_losses(history, entropy)
    if cloze is not None:
        print_guesses(run / HF_DIRECTORY, read_cloze(cloze))
    if plot is not None:
        draw_losses(history, entropy, plot)
        print(f"curve: {plot}")


def read_history(run: Path) -> list[dict[str, Any]]:
    """What was logged, from the newest checkpoint."""
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        raise InputError(f"{run}: holds no checkpoint-N; give the output_dir of a pretraining run")
    return json.loads((checkpoints[-1] / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]


def read_recipe(run: Path) -> dict[str, Any]:
    """The resolved settings of the run."""
    path = run / RECIPE_FILE
    if not path.is_file():
        raise InputError(f"{path}: is missing; give the output_dir of a pretraining run")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def print_losses(history: list[dict[str, Any]], entropy: float) -> None:
    """Start and end of the training loss, and the held-out measures, against the unigram entropy."""
    losses = [entry for entry in history if "loss" in entry]
    evaluations = [entry for entry in history if "eval_loss" in entry]
    print(f"\nunigram entropy of the corpus  {entropy:.3f} nats (what knowing frequencies alone scores)")
    if losses:
        first, last = losses[0], losses[-1]
        print(
            f"training loss  {first['loss']:.3f} at step {first['step']:,}  ->  "
            f"{last['loss']:.3f} at step {last['step']:,}"
        )
    if evaluations:
        first, last = evaluations[0], evaluations[-1]
        print(
            f"held-out loss  {first['eval_loss']:.3f} at step {first['step']:,}  ->  "
            f"{last['eval_loss']:.3f} at step {last['step']:,}"
        )
        print(
            f"held-out accuracy  masked characters {last['eval_char_accuracy']:.1%}, "
            f"whole words {last['eval_word_accuracy']:.1%}"
        )


def read_cloze(path: Path) -> list[str]:
    """The sentences of a cloze file; lines that begin with # are comments."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the sentences ({error})") from error
    sentences = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(_HIDDEN.findall(line)) != 1:
            raise InputError(f"{path}:{number}: put exactly one character in 【】")
        sentences.append(line.strip())
    return sentences


def print_guesses(model: Path, sentences: list[str]) -> None:
    """Loads the model as any user would and shows its three best guesses for each sentence."""
    from transformers import pipeline

    import chinesebert  # noqa: F401  (registers the model with transformers)

    fill_mask = pipeline("fill-mask", model=str(model), top_k=3)
    width = max(map(_columns, sentences)) + 2
    print(f"\n{_padded('masked character in 【】', width)}top three guesses of {model}")
    for sentence in sentences:
        guesses = fill_mask(_HIDDEN.sub("[MASK]", sentence))
        shown = "  ".join(f"{guess['token_str']} {guess['score']:.0%}" for guess in guesses)
        print(f"{_padded(sentence, width)}{shown}")


def _columns(text: str) -> int:
    """How many columns a terminal needs for a text; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _columns(text))


def draw_losses(history: list[dict[str, Any]], entropy: float, path: Path) -> None:
    """Draws training and held-out loss over the steps, with the unigram entropy as a line."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError('drawing needs matplotlib: pip install "chinesebert-pretraining[plots]"') from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name, label in (("loss", "training"), ("eval_loss", "held-out")):
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 30 else None)
    axes.axhline(entropy, color="grey", linestyle="--", label="unigram entropy")
    axes.set(xlabel="step", ylabel="masked-LM loss (nats)", title="Masked-LM loss")
    axes.legend()
    with atomic_file(path) as unfinished:
        figure.savefig(unfinished, dpi=120, format="png")
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
