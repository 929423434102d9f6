"""Saving a figure of Matplotlib, whatever script the names in it are written in, and measuring its text."""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niwt_tf.config.extras import imported
from niwt_tf.files import replacing

if TYPE_CHECKING:
    from PIL import ImageFont


@functools.cache
def figure_font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that comes with Matplotlib, the same on every machine; its letters are as wide as in a figure.

    The size is in pixels: in a figure, points * dpi / 72.
    """
    from PIL import ImageFont

    path = Path(imported("matplotlib", "A picture").get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' * bold}.ttf")
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


_NUMBER = re.compile(r"^\d+\.(?=.)")


def readable_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return names without a leading class number and with spaces: "001.Red_Finch" becomes "Red Finch".

    Names that would become equal to another stay as they are.
    """
    plain = [" ".join(re.sub(r"[_+]", " ", _NUMBER.sub("", name)).split()) for name in class_names]
    times = Counter(plain)
    return tuple(name if times[short] > 1 or not short else short for name, short in zip(class_names, plain, strict=True))


def shorten(name: str, length: int) -> str:
    """Return at most `length` characters of `name`, the last an ellipsis where some are left out."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


# Okabe and Ito's colours, which stay apart for colour-blind readers, and a marker of its own for each.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#A5528D", "0.45"
MARKERS = {BLUE: "o", ORANGE: "s", GREEN: "D", PURPLE: "^", GREY: "x"}


def new_figure(width: float, height: float, dpi: int = 120, layout: Any = "constrained") -> Any:
    """Return an empty figure of so many inches, which pyplot knows nothing of."""
    drawing, agg = (imported(f"matplotlib.{module}", "A picture") for module in ("figure", "backends.backend_agg"))
    figure = drawing.Figure(figsize=(width, height), dpi=dpi, layout=layout, facecolor="white")
    agg.FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure as a PNG, whole or not at all; a letter that the font lacks is a box, which says so itself.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(temporary, format="png")


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
