"""The curves of a run, as PNG pictures. Their labels are Latin; Chinese is left to the page around them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chinesebert.errors import InputError
from chinesebert.pictures import png
from chinesebert.training.run_record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#33658a", "#e08e45", "#7fa86f", "#a86f9b", "#b5532c", "#5b5b5b", "#86bbd8", "#c9a227")
_SKIPPED = "#b5532c"
_SIZE = (5.2, 3.1)  # inches; two beside each other on a page
_DOTS_PER_INCH = 110
_FEW_POINTS = 30


@dataclass(frozen=True)
class Plot:
    """One picture.

    Attributes:
        title: what it shows.
        unit: of its values.
        curves: measure of the log -> name; a picture with none of them in the log is left out.
        scale: what values are multiplied by: 100 for shares.
        logarithmic: whether the axis of the values is.
    """

    title: str
    unit: str
    curves: dict[str, str]
    scale: float = 1.0
    logarithmic: bool = False


_LOSS = Plot(
    "Masked-LM loss",
    "nats a masked token",
    {
        "loss": "training",
        "eval_loss": "held-out",
        "eval_whole_word_loss": "held-out, whole words",
        "eval_character_loss": "held-out, characters",
    },
)
_PLOTS = (
    Plot(
        "Accuracy at masked places",
        "%",
        {
            "char_accuracy": "training, tokens",
            "word_accuracy": "training, whole words",
            "eval_whole_word_char_accuracy": "held-out, tokens of whole words",
            "eval_whole_word_word_accuracy": "held-out, whole words",
            "eval_character_char_accuracy": "held-out, characters",
        },
        scale=100,
    ),
    Plot("Learning rate", "", {"learning_rate": ""}),
    Plot("Norm of the gradient", "", {"grad_norm": ""}, logarithmic=True),
    Plot("Speed", "tokens of text a second", {"tokens_per_second": "all devices"}),
    Plot("Share of the devices' peak that is used (MFU)", "%", {"mfu": ""}, scale=100),
    Plot("Padding", "% of the places", {"padding": ""}, scale=100),
    Plot("Waiting for data", "% of the time", {"data_wait": ""}, scale=100),
    Plot("Memory", "GB", {"memory_gb": ""}),
    Plot("Rows in a step", "rows", {"batch_size": ""}),
    Plot("Length of rows", "tokens", {"length": ""}),
)
# Worth a picture only where they change.
_CONSTANTS = ("batch_size", "length")


def require_matplotlib(what: str) -> None:
    """Raises ``InputError``, saying that ``what`` needs it, where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(f'{what} needs matplotlib: pip install "chinesebert-pretraining[plots]"') from error


def draw_curves(record: RunRecord) -> dict[str, bytes]:
    """All curves of a run: what each shows -> PNG. Resumes and skipped steps are marked."""
    pictures = {_LOSS.title: draw_loss(record)} if _has_points(record, _LOSS) else {}
    for plot in _PLOTS:
        if _has_points(record, plot):
            pictures[plot.title] = _png(functools.partial(_draw, plot, record))
    return pictures


def draw_loss(record: RunRecord) -> bytes:
    """The losses alone, with the unigram entropy of the corpus where it is known, as PNG."""

    def draw(axes: "Axes") -> None:
        _draw(_LOSS, record, axes)
        entropy = record.fact("unigram_entropy")
        if entropy is not None:
            axes.axhline(entropy, color="grey", linestyle="--", linewidth=1, label="unigram entropy")
        axes.legend(frameon=False, fontsize=8)

    return _png(draw)


def draw_comparison(records: Sequence[RunRecord]) -> bytes:
    """The losses of several runs in one picture, held-out ones dashed, as PNG."""

    def draw(axes: "Axes") -> None:
        for number, record in enumerate(records):
            colour = _COLOURS[number % len(_COLOURS)]
            for measure, style in (("loss", "-"), ("eval_loss", "--")):
                points = record.points(measure)
                if points:
                    label = record.directory.resolve().name + (", held-out" if measure == "eval_loss" else "")
                    axes.plot(*zip(*points, strict=True), style, color=colour, linewidth=1.2, label=label)
        axes.set(xlabel="step", ylabel=_LOSS.unit)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)

    return _png(draw, (10.6, 4.2))


def _has_points(record: RunRecord, plot: Plot) -> bool:
    values = {value for measure in plot.curves for _, value in record.points(measure)}
    return len(values) > (1 if set(plot.curves) <= set(_CONSTANTS) else 0)


def _png(draw: "Callable[[Axes], None]", size: tuple[float, float] = _SIZE) -> bytes:
    return png(draw, size, _DOTS_PER_INCH)


def _draw(plot: Plot, record: RunRecord, axes: "Axes") -> None:
    for (measure, name), colour in zip(plot.curves.items(), _COLOURS, strict=False):
        points = record.points(measure)
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) < _FEW_POINTS else None
            shown = [plot.scale * value for value in values]
            axes.plot(steps, shown, color=colour, linewidth=1.2, marker=marker, markersize=3, label=name)
    axes.set(xlabel="step", ylabel=plot.unit)
    if plot.logarithmic and all(value > 0 for measure in plot.curves for _, value in record.points(measure)):
        axes.set_yscale("log")
    if len(axes.lines) > 1:
        axes.legend(frameon=False, fontsize=8)
    _mark_events(axes, record)


def _mark_events(axes: "Axes", record: RunRecord) -> None:
    """Dotted lines where the run went on after a stop, ticks in red where a step was skipped."""
    for event in record.events("resume"):
        axes.axvline(event["step"], color="grey", linestyle=":", linewidth=1)
    skipped = [event["step"] for event in record.events("skipped")]
    axes.plot(skipped, [0.02] * len(skipped), "|", color=_SKIPPED, transform=axes.get_xaxis_transform(), clip_on=False)
