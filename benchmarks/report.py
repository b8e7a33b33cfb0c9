"""The figures of ``benchmarks.model`` as tables and as JSON."""

from collections.abc import Sequence
from typing import Any

from benchmarks.timing import Cell
from benchmarks.tokenizer import ORIGINAL, OURS_SINGLY
from benchmarks.variants import BERT, FOLDED, INFERENCE, OURS, STRAIGHTFORWARD, TRAINING, VARIANTS

# (mode, variant, baseline) -> how many times as fast it should be at base size; None: no target, only shown.
RATIOS: dict[tuple[str, str, str], float | None] = {
    (TRAINING, OURS, BERT): 1.15,
    (TRAINING, OURS, STRAIGHTFORWARD): 1.3,
    (INFERENCE, FOLDED, BERT): 0.98,
    (INFERENCE, FOLDED, STRAIGHTFORWARD): None,
    (INFERENCE, OURS, BERT): None,
    (INFERENCE, OURS, STRAIGHTFORWARD): None,
}
_SHORT = {BERT: "(a)", STRAIGHTFORWARD: "(b)", OURS: "(c)", FOLDED: "(c) folded"}


def cell_figures(cell: Cell, size: str) -> dict[str, Any]:
    """All that is known of one cell, for JSON."""
    variants: dict[str, dict[str, Any]] = {}
    for name, times in cell.seconds.items():
        variants[name] = {"tokens_per_second": cell.tokens_per_second(name), "seconds": times}
    for name, peak in cell.memory_mib.items():
        variants.setdefault(name, {})["peak_memory_mib"] = peak
    return {
        "mode": cell.mode,
        "dtype": cell.dtype,
        "length": cell.length,
        "rows": cell.rows,
        "rounds": cell.rounds,
        "note": cell.note,
        "variants": variants,
        "ratios": ratio_figures(cell, size),
    }


def ratio_figures(cell: Cell, size: str) -> list[dict[str, Any]]:
    """The ratios of one cell; the targets are for base size. ``met`` goes by the ratio of the medians."""
    figures = []
    for (mode, variant, baseline), wanted in RATIOS.items():
        if mode != cell.mode or variant not in cell.seconds or baseline not in cell.seconds:
            continue
        target = wanted if size == "base" else None
        ratio: dict[str, Any] = {"variant": variant, "baseline": baseline, **cell.ratio(variant, baseline)}
        figures.append(ratio | {"target": target, "met": None if target is None else ratio["of_medians"] >= target})
    return figures


def speed_table(cells: Sequence[Cell]) -> list[str]:
    """A line for each variant of each cell."""
    lines = [("mode", "dtype", "length", "rows", "variant", "tokens/s", "seconds/step", "peak MiB")]
    for cell in cells:
        for name in VARIANTS:
            if name in cell.seconds or name in cell.memory_mib:
                where = (cell.mode, cell.dtype, str(cell.length), str(cell.rows))
                lines.append((*where, VARIANTS[name].title, *_speed(cell, name), _memory(cell, name)))
    return aligned(lines, left=(0, 1, 4))


def _speed(cell: Cell, name: str) -> tuple[str, str]:
    if name not in cell.seconds:
        return "–", "–"
    speed = cell.tokens_per_second(name)
    return f"{speed:,.0f}", f"{cell.rows * cell.length / speed:.4f}"


def _memory(cell: Cell, name: str) -> str:
    peak = cell.memory_mib.get(name)
    return "–" if peak is None else f"{peak:,.0f}"


def ratio_table(cells: Sequence[Cell], size: str) -> list[str]:
    """A line for each ratio of each cell."""
    lines = [("mode", "dtype", "length", "ratio", "of medians", "paired", "lowest–highest", "rounds", "target", "")]
    for cell in cells:
        for ratio in ratio_figures(cell, size):
            spread = f"{ratio['lowest']:.3f}–{ratio['highest']:.3f}"
            lines.append(
                (
                    *(cell.mode, cell.dtype, str(cell.length)),
                    f"{_SHORT[ratio['variant']]} ÷ {_SHORT[ratio['baseline']]}",
                    *(f"{ratio['of_medians']:.3f}", f"{ratio['paired']:.3f}", spread, str(cell.rounds)),
                    "–" if ratio["target"] is None else f"≥ {ratio['target']}",
                    {None: "", True: "met", False: "MISSED"}[ratio["met"]],
                )
            )
    return aligned(lines, left=(0, 1, 3, 9))


def tokenizer_lines(figures: dict[str, Any]) -> list[str]:
    """The comparison of the tokenizers in a few lines."""
    speeds, ratio = figures["characters_per_second"], figures["ratio"]
    titles = {ORIGINAL: "original, a sentence at a time", "ours": "ours, one batch", OURS_SINGLY: "ours, one by one"}
    lines = [f"{figures['characters']:,} characters in {figures['sentences']:,} sentences, {figures['rounds']} rounds"]
    lines += aligned([(titles[name], f"{speed:,.0f} characters/s") for name, speed in speeds.items()], left=(0,))
    verdict = "met" if ratio["met"] else "MISSED"
    figure = f"ratio of medians {ratio['of_medians']:.2f}, paired {ratio['paired']:.2f}"
    lines.append(f"{figure}, target ≥ {ratio['target']}: {verdict}")
    return [*lines, f"token ids equal: {figures['ids_equal']}, syllables equal: {figures['syllables_equal']}"]


def aligned(lines: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Columns of equal width, two spaces apart; those in ``left`` begin together, the others end together."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def rounded(figures: Any) -> Any:
    """The same with every float cut to five digits that count: no measurement here is good for more."""
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [rounded(value) for value in figures]
    return float(f"{figures:.5g}") if isinstance(figures, float) else figures
