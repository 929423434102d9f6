"""How every picture of an analysis looks: size, colours, curves with a band, and saving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.experiments.saved_figure import save_figure
from niwt_tf.files import replacing

# Okabe and Ito's colours, which stay apart for colour-blind readers, and a marker of its own for each.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#A5528D", "0.45"
MARKERS = {BLUE: "o", ORANGE: "s", GREEN: "D", PURPLE: "^", GREY: "x"}


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of so many inches, which pyplot knows nothing of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path) -> None:
    """Write the figure as a PNG, whole or not at all."""
    with replacing(path) as temporary:
        save_figure(figure, temporary)


def curve(
    axes: Any,
    x: Sequence[float] | np.ndarray,
    y: np.ndarray,
    colour: str,
    label: str,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    **style: Any,
) -> None:
    """Draw percentages of fractions over x, with a band from low to high; nothing where no value is known."""
    if not np.isfinite(y).any():
        return
    axes.plot(x, 100 * y, color=colour, marker=MARKERS.get(colour, "o"), markersize=4, label=label, **style)
    if low is not None and high is not None:
        axes.fill_between(x, 100 * low, 100 * high, color=colour, alpha=0.13, linewidth=0)


def percent_axis(axes: Any, label: str) -> None:
    """Label an upright axis in percent, from 0 to 100, with a light grid."""
    axes.set_ylim(0, 102)
    axes.set_ylabel(label)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def absent(axes: Any, sentence: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, sentence, ha="center", va="center", wrap=True, color=GREY, transform=axes.transAxes)
