"""What an evaluation leaves beside its numbers: the per-class table, the confusion matrix and the seen-unseen curve.

Matplotlib is imported inside the functions that draw, and only its figure objects are used, so that nothing here touches the
state of pyplot. Every file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.csv_text import csv_text
from niwt_tf.files import replacing
from niwt_tf.metrics.gzsl import CalibrationCurve, Evaluation, harmonic_mean
from niwt_tf.plots.style import BLUE, ORANGE, new_figure, readable_names, save, shorten

_MOST_NAMES = 80  # more class names than this cannot be read at the size of a screen
_MOST_NUMBERS = 20  # the same for percentages inside the cells


def write_per_class_csv(
    path: str | Path, class_names: Sequence[str], num_seen: int, evaluation: Evaluation, labels: np.ndarray
) -> None:
    """Write one row a class: class, role (seen or unseen), images, accuracy (a fraction; empty without test images).

    Names are written as the data set spells them, seen classes first; labels [M] are true classes of the test images.
    """
    images = np.bincount(labels, minlength=len(class_names))
    rows: list[list[Any]] = [["class", "role", "images", "accuracy"]]
    for c, name in enumerate(class_names):
        accuracy = evaluation.per_class[c]
        shown = "" if np.isnan(accuracy) else round(float(accuracy), 6)
        rows.append([name, "seen" if c < num_seen else "unseen", images[c], shown])
    with replacing(path) as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8")


def plot_confusion(
    path: str | Path, labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], num_seen: int
) -> None:
    """Draw the confusion matrix as a PNG: rows are true classes [M] and sum to 100 %, columns are predicted classes [M].

    Lines part seen from unseen classes. The C names are hidden when there are too many to read.
    """
    from matplotlib.colors import PowerNorm

    classes = len(class_names)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predictions), 1)
    totals = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)

    side = float(np.clip((0.36 if classes <= _MOST_NUMBERS else 0.17) * classes, 3.5, 10.0 if classes > _MOST_NAMES else 14.0))
    figure = new_figure(side + 3.2, side + 2.6)
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")  # shows through the empty rows
    # The square root keeps single errors visible beside a diagonal near 100 %.
    shown = axes.imshow(
        np.ma.masked_invalid(percent), cmap="Blues", norm=PowerNorm(0.5, 0, 100), interpolation="nearest", aspect="equal"
    )
    bar = figure.colorbar(shown, ax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100], shrink=0.7, aspect=28, pad=0.02)
    bar.set_label("% of the true class's images")

    _name_classes(axes, readable_names(class_names))
    _part_seen_from_unseen(axes, classes, num_seen)
    if classes <= _MOST_NUMBERS:
        for row, column in zip(*np.nonzero(np.nan_to_num(percent)), strict=True):
            value = percent[row, column]
            colour = "white" if value > 35 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    title = f"Confusion of {classes} classes on {len(labels):,} test images"
    figure.suptitle(title + ("\n(grey rows: no test image)" if np.isnan(percent).any() else ""), fontsize=12)
    save(figure, path)


def plot_ausuc(path: str | Path, curve: CalibrationCurve, evaluation: Evaluation) -> None:
    """Draw seen accuracy over unseen accuracy for every calibration as a PNG, and the area below (AUSUC) in the title.

    A marker is at the accuracies of the evaluation, which is of the same scores as the curve.
    """
    figure = new_figure(6.0, 6.7)
    axes = figure.add_subplot()
    # Thin lines of equal harmonic mean, to read off what a calibration is worth.
    for level in range(20, 100, 20):
        unseen = np.linspace(level / 2 + 0.01, 100, 400)
        seen = level * unseen / (2 * unseen - level)
        axes.plot(unseen[seen <= 100], seen[seen <= 100], color="0.75", linewidth=0.8, linestyle=":")
        axes.text(level + 0.8, level + 0.8, f"H {level}", color="0.45", fontsize=8)
    axes.fill_between(100 * curve.acc_unseen, 100 * curve.acc_seen, color=BLUE, alpha=0.12, linewidth=0)
    axes.plot(100 * curve.acc_unseen, 100 * curve.acc_seen, color=BLUE, linewidth=2, label="every calibration")
    # A point of the curve holds for the constants above its own edge, up to and with the next one's.
    none = int(np.searchsorted(curve.calibrations, 0.0, side="left")) - 1
    _mark(axes, curve.acc_unseen[none], curve.acc_seen[none], "o", "white", "no calibration")
    chosen = f"chosen calibration ({evaluation.calibration:.2f})"
    _mark(axes, evaluation.acc_unseen, evaluation.acc_seen, "D", ORANGE, chosen)
    axes.set(xlim=(0, 102), ylim=(0, 102), aspect="equal")
    axes.set(xlabel="accuracy on unseen classes, %", ylabel="accuracy on seen classes, %")
    area = "n/a" if np.isnan(evaluation.ausuc) else f"{100 * evaluation.ausuc:.1f} %"
    axes.set_title(f"Seen against unseen accuracy, area (AUSUC) {area}", fontsize=12)
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)  # inside it would cover a good curve
    save(figure, path)


def _name_classes(axes: Any, names: Sequence[str]) -> None:
    """Label both axes with names, or with class numbers when the names could not be read."""
    if len(names) > _MOST_NAMES:
        numbered = "(numbered from 0, seen classes first)"
        axes.set(xlabel=f"predicted class {numbered}", ylabel=f"true class {numbered}")
        return
    axes.set(xlabel="predicted class", ylabel="true class")
    size = 9 if len(names) <= 2 * _MOST_NUMBERS else 7
    texts = [shorten(name, 28) for name in names]
    # A dollar sign in a name is no formula.
    axes.set_xticks(range(len(names)), texts, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(names)), texts, fontsize=size, parse_math=False)
    axes.tick_params(length=2)


def _part_seen_from_unseen(axes: Any, classes: int, num_seen: int) -> None:
    if not 0 < num_seen < classes:
        return
    for line in (axes.axhline, axes.axvline):
        line(num_seen - 0.5, color=ORANGE, linewidth=1.5)
    sides = (f"{num_seen} seen", (num_seen - 1) / 2), (f"{classes - num_seen} unseen", (num_seen + classes - 1) / 2)
    for text, middle in sides:
        style = {"color": ORANGE, "fontsize": 10, "fontweight": "bold"}
        axes.text(middle, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", **style)
        axes.text(1.01, middle, text, transform=axes.get_yaxis_transform(), ha="left", va="center", rotation=270, **style)


def _mark(axes: Any, unseen: float, seen: float, marker: str, colour: str, label: str) -> None:
    if np.isfinite(unseen) and np.isfinite(seen):
        text = f"{label}: H {100 * harmonic_mean(float(seen), float(unseen)):.1f} %"
        style = {"markeredgecolor": "black", "markersize": 9, "linestyle": "none", "clip_on": False, "zorder": 5}
        axes.plot(100 * unseen, 100 * seen, marker=marker, color=colour, label=text, **style)
