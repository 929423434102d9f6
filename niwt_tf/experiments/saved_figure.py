"""Saving a figure of Matplotlib, whatever script the names in it are written in, and measuring its text."""

from __future__ import annotations

import functools
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import ImageFont


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure as a PNG; a letter that the font lacks is a box, which says so itself.

    Raises:
        OSError: it cannot be written.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(path, format="png")


@functools.cache
def figure_font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that comes with Matplotlib, the same on every machine; its letters are as wide as in a figure.

    Args:
        size: pixels; in a figure, points * dpi / 72.
        bold: whether the letters are.
    """
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
