"""The confusion matrix as inline SVG: only cells that hold images, one path for each of a few shades."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from niwt_tf.experiments.class_names import shorten
from niwt_tf.report.charts import drawing, label
from niwt_tf.report.contents import Confusion

MOST_NAMED = 80  # more names along an axis than this cannot be read
_SHADES = 8
_NAME = 26  # characters


def confusion_chart(confusion: Confusion, names: Sequence[str], num_seen: int) -> Markup:
    """Draw the matrix: rows are true classes, columns predicted ones; lines part seen from unseen classes.

    A cell's shade grows with the square root of its share of the row, so that single mistakes stay visible.

    Args:
        confusion: the cells.
        names: C names; written along the axes up to `MOST_NAMED`.
        num_seen: S.
    """
    classes, named = len(names), len(names) <= MOST_NAMED
    left, cell = geometry(names)
    top, side = left, cell * classes
    parts = [Markup(f'<rect class="sheet" x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}"/>')]
    empty = np.flatnonzero(confusion.totals == 0)
    bands = "".join(f"M{left:g} {top + cell * row:.5g}h{side:g}v{cell:.5g}h-{side:g}z" for row in empty.tolist())
    if bands:
        parts.append(Markup(f'<path class="no-images" d="{bands}"/>'))
    share = confusion.counts / np.maximum(confusion.totals[confusion.true], 1)
    shade = np.clip(np.ceil(np.sqrt(share) * _SHADES).astype(int), 1, _SHADES)
    # A cell of a large matrix would otherwise vanish between the dots of a screen.
    extent = max(cell, 2.0)
    for css, which in (("right", confusion.true == confusion.predicted), ("wrong", confusion.true != confusion.predicted)):
        for level in range(1, _SHADES + 1):
            places = np.flatnonzero(which & (shade == level)).tolist()
            path = "".join(
                f"M{left + cell * int(confusion.predicted[i]):.5g} {top + cell * int(confusion.true[i]):.5g}"
                f"h{extent:.5g}v{extent:.5g}h-{extent:.5g}z"
                for i in places
            )
            if path:
                parts.append(Markup(f'<path class="cells {css}" fill-opacity="{level / _SHADES:g}" d="{path}"/>'))
    parts += _dividing_lines(left, top, side, cell, num_seen, classes)
    if named:
        parts += _names(names, left, top, cell)
    sides = ((f"{num_seen} seen", 0, num_seen), (f"{classes - num_seen} unseen", num_seen, classes))
    for text, first, last in () if named else sides:
        middle = cell * (first + last) / 2
        parts.append(label(left + middle, top - 9, text, "middle", "axis"))
        parts.append(label(left - 9, top + middle, text, "middle", "axis", -90))
    wrong = int(confusion.counts[confusion.true != confusion.predicted].sum())
    description = (
        f"{classes} classes, {int(confusion.totals.sum()):,} test images, {wrong:,} of them named wrongly. "
        "Rows are true classes, columns the names given. The table of the most confused pairs says the same in words."
    )
    return drawing("confusion-matrix", "Confusion matrix", description, left + side + 8, top + side + 8, parts)


def geometry(names: Sequence[str]) -> tuple[float, float]:
    """Return the margin and the size of a cell that `confusion_chart` uses, for finding the cell under a pointer."""
    return (168.0, 12.0) if len(names) <= MOST_NAMED else (26.0, 720 / len(names))


def _dividing_lines(left: float, top: float, side: float, cell: float, num_seen: int, classes: int) -> list[Markup]:
    if not 0 < num_seen < classes:
        return []
    at = cell * num_seen
    across = f"M{left:g} {top + at:.5g}h{side:g}M{left + at:.5g} {top:g}v{side:g}"
    return [Markup(f'<path class="divider" d="{across}"/>')]


def _names(names: Sequence[str], left: float, top: float, cell: float) -> list[Markup]:
    parts = []
    for place, name in enumerate(names):
        middle = cell * (place + 0.5)
        parts.append(label(left - 5, top + middle + 3.2, shorten(name, _NAME), "end", "name"))
        parts.append(label(left + middle + 3.2, top - 5, shorten(name, _NAME), "start", "name", -90))
    return parts
