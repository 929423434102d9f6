"""The picture of a leaderboard: H and AUSUC of every method with intervals, and each problem as a faint dot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.experiments.comparison.leaderboard import PAIRED, Table
from niwt_tf.plots.style import BLUE, ORANGE, new_figure, save, shorten

_TITLES = {"harmonic_mean": "H, %", "ausuc": "AUSUC, %"}
_LONGEST = 48  # characters of a label
_ROW = 0.34  # inches a method


def plot_leaderboard(path: str | Path, tables: Sequence[Table]) -> None:
    """Draw a row of two panels for each table: methods by rank, the best at the top, the reference in orange.

    A dot is a mean with its 95 % interval (none for one problem), hollow where it is optimistic; faint dots are the problems.

    Raises:
        OSError: the file cannot be written.
    """
    heights = [_ROW * len(table.rows) + 1.0 for table in tables]
    figure = new_figure(10.5, sum(heights) + 0.5)
    panels = figure.subplots(len(tables), len(PAIRED), squeeze=False, height_ratios=heights)
    for axes_of_table, table in zip(panels, tables, strict=True):
        for axes, name in zip(axes_of_table, PAIRED, strict=True):
            _panel(axes, table, name, named=name == PAIRED[0])
        axes_of_table[0].set_title(table.dataset, loc="left", fontsize=10, parse_math=False)
    figure.supxlabel("mean and 95 % interval over problems; faint: each problem; hollow: optimistic", fontsize=9)
    save(figure, path)


def _panel(axes: Any, table: Table, name: str, named: bool) -> None:
    for place, row in enumerate(table.rows):
        colour = ORANGE if row.label == table.reference else BLUE
        values = [result.figures.get(name) for _, result in sorted(row.results.items())]
        known = [100 * value for value in values if value is not None]
        # Below the interval, and a little apart: always the same problem in the same place.
        spread = place + (np.linspace(0.16, 0.34, len(known)) if len(known) > 1 else np.full(len(known), 0.25))
        axes.plot(known, spread, "o", color=colour, alpha=0.28, markersize=4, markeredgewidth=0)
        mean = row.figures[name]
        if mean is None:
            axes.text(0.02, place, "n/a", transform=axes.get_yaxis_transform(), va="center", fontsize=8, color="0.4")
            continue
        if mean.half is not None:
            ends = 100 * (mean.value - mean.half), 100 * (mean.value + mean.half)
            axes.plot(ends, [place] * 2, color=colour, linewidth=1.8)
        face = "white" if row.optimistic else colour
        axes.plot(100 * mean.value, place, "o", markersize=7, color=colour, markerfacecolor=face, markeredgewidth=1.6)
    labels = [shorten(row.label, _LONGEST) + (" (optimistic)" if row.optimistic else "") for row in table.rows]
    axes.set_yticks(range(len(labels)), labels if named else [""] * len(labels), fontsize=9, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.5)
    axes.set_xlabel(_TITLES[name], fontsize=9)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
