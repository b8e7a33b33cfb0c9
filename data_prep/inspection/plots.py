"""The plots of a report, as PNG pictures. Their labels are Latin; Chinese is left to the page around them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chinesebert.errors import InputError
from chinesebert.pictures import png
from data_prep.inspection.lengths import Lengths
from data_prep.inspection.statistics import CorpusStatistics
from data_prep.inspection.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR, _SECOND_COLOUR, _MARK = "#33658a", "#b8c9d6", "#b5532c"
_SIZE = (5.2, 3.1)  # inches; two beside each other on a page
_DOTS_PER_INCH = 110
_BINS = 60
# Plots of sentence lengths end where all but this share of a thousand lie below.
_PLOTTED = 99.5


def require_matplotlib() -> None:
    """Raises ``InputError`` where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(
            'the report needs matplotlib: pip install "chinesebert-pretraining[plots]", or leave it out: --no_report'
        ) from error


def draw_plots(summary: Summary, statistics: CorpusStatistics) -> dict[str, bytes]:
    """All plots: what each shows -> PNG."""
    return {
        "Documents by their length": _png(lambda axes: _draw_documents(axes, statistics.document_tokens)),
        "Sentences by their length": _png(lambda axes: _draw_sentences(axes, statistics.sentence_characters)),
        "Words by their length": _png(lambda axes: _draw_words(axes, summary.words.of_length)),
        "Kinds of tokens": _png(lambda axes: _draw_kinds(axes, summary)),
        "How often tokens occur": _png(lambda axes: _draw_ranks(axes, statistics.token_counts, "token")),
        "How much of the text few tokens make up": _png(lambda axes: _draw_coverage(axes, statistics.token_counts)),
        "How often syllables occur": _png(lambda axes: _draw_ranks(axes, statistics.syllable_counts[1:], "syllable")),
        "Tones": _png(lambda axes: _draw_tones(axes, summary.pinyin.tones)),
    }


def _png(draw: "Callable[[Axes], None]") -> bytes:
    return png(draw, _SIZE, _DOTS_PER_INCH)


def _draw_documents(axes: "Axes", lengths: Lengths) -> None:
    counts = lengths.histogram()
    edges = np.unique(np.geomspace(1, max(len(counts), 2), _BINS).astype(int))
    binned = np.add.reduceat(np.append(counts, np.zeros(2, dtype=counts.dtype)), edges)
    axes.stairs(binned[:-1], edges, fill=True, color=_COLOUR)
    _mark_median(axes, lengths)
    axes.set(xscale="log", xlabel="tokens in a document", ylabel="documents")


def _draw_sentences(axes: "Axes", lengths: Lengths) -> None:
    end = lengths.percentile(_PLOTTED) + 1
    counts = lengths.histogram()[:end]
    axes.stairs(counts, np.arange(len(counts) + 1) - 0.5, fill=True, color=_COLOUR)
    _mark_median(axes, lengths)
    axes.set(xlabel=f"characters in a sentence (longest: {lengths.longest:,})", ylabel="sentences", xlim=(0, end))


def _mark_median(axes: "Axes", lengths: Lengths) -> None:
    median = lengths.percentile(50)
    axes.axvline(median, color=_MARK, linewidth=1.2, label=f"median {median:,}")
    axes.legend(frameon=False)


def _draw_words(axes: "Axes", of_length: Mapping[str, int]) -> None:
    shares = np.array(list(of_length.values())) / max(sum(of_length.values()), 1)
    _label_bars(axes, axes.bar(list(of_length), 100 * shares, color=_COLOUR))
    axes.set(xlabel="characters in a word", ylabel="% of words")
    axes.grid(visible=False, axis="x")


def _draw_tones(axes: "Axes", tones: Mapping[str, int]) -> None:
    shares = np.array(list(tones.values())) / max(sum(tones.values()), 1)
    _label_bars(axes, axes.bar(list(tones), 100 * shares, color=_COLOUR))
    axes.set(xlabel="tone", ylabel="% of tokens with pinyin")
    axes.grid(visible=False, axis="x")


def _draw_kinds(axes: "Axes", summary: Summary) -> None:
    kinds = list(summary.tokens.tokens_of_kind)
    places = np.arange(len(kinds))
    for shift, label, colour, counts in (
        (-0.2, "of tokens", _COLOUR, summary.tokens.tokens_of_kind),
        (0.2, "of characters", _SECOND_COLOUR, summary.tokens.characters_of_kind),
    ):
        shares = 100 * np.array(list(counts.values())) / max(sum(counts.values()), 1)
        _label_bars(axes, axes.barh(places + shift, shares, height=0.4, color=colour, label=label))
    axes.set(yticks=places, yticklabels=kinds, xlabel="%", xlim=(0, 115))
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")
    axes.grid(visible=False, axis="y")


def _label_bars(axes: "Axes", bars: Any) -> None:
    axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)


def _draw_ranks(axes: "Axes", counts: NDArray[np.int64], name: str) -> None:
    falling = np.sort(counts[counts > 0])[::-1]
    axes.loglog(np.arange(1, len(falling) + 1), falling, color=_COLOUR)
    axes.set(xlabel=f"rank of the {name}, of {len(falling):,} that occur", ylabel="occurrences")


def _draw_coverage(axes: "Axes", counts: NDArray[np.int64]) -> None:
    falling = np.sort(counts[counts > 0])[::-1]
    shares = 100 * np.cumsum(falling) / max(int(falling.sum()), 1)
    axes.semilogx(np.arange(1, len(shares) + 1), shares, color=_COLOUR)
    for share, marker in ((50, "o"), (90, "s"), (99, "^")):
        needed = int(np.searchsorted(shares, share)) + 1
        axes.plot([needed], [share], marker, color=_MARK, markersize=5, label=f"{share} %: {needed:,} tokens")
    axes.set(xlabel="most frequent tokens", ylabel="% of the text", ylim=(0, 105))
    axes.legend(frameon=False, loc="upper left")
