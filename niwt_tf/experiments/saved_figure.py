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
def figure_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that comes with Matplotlib, the same on every machine."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)
