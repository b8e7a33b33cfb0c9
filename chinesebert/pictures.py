"""Plots as PNG files in memory, all in one style."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def png(draw: "Callable[[Axes], None]", size: tuple[float, float], dots_per_inch: int) -> bytes:
    """One plot as a PNG file; needs matplotlib.

    Args:
        draw: draws on the axes.
        size: width and height in inches.
        dots_per_inch: of the picture.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no state that is shared

    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    draw(axes)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dots_per_inch, format="png")
    return picture.getvalue()
