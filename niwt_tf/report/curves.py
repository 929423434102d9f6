"""The charts of an evaluation: seen over unseen accuracy, accuracy over calibration, and how far probabilities hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup

from niwt_tf.metrics.calibration import harmonic_means
from niwt_tf.metrics.gzsl import CalibrationCurve
from niwt_tf.plots.style import shorten
from niwt_tf.report.charts import Frame, area, axes, dot, drawing, label, line, percent_ticks, round_ticks
from niwt_tf.report.contents import Confusion, ReliabilityBin

_STEPS = 361  # places at which a step function is drawn
_SQUARE = Frame((0, 1), (0, 1), width=420, height=400)


def at_calibrations(curve: CalibrationCurve, constants: np.ndarray) -> np.ndarray:
    """Return seen accuracy, unseen accuracy and their harmonic mean at constants [T]: float64 [3, T]."""
    place = np.searchsorted(curve.calibrations, constants, side="left") - 1
    return np.stack([curve.acc_seen[place], curve.acc_unseen[place], harmonic_means(curve, constants)])


def calibration_range(curve: CalibrationCurve, chosen: float) -> tuple[float, float]:
    """Return constants between which nearly all predictions change; 0 and the chosen one lie within."""
    finite = curve.calibrations[1:]
    edges = [*np.quantile(finite, (0.01, 0.99)).tolist(), 0.0, chosen] if len(finite) else [0.0, chosen]
    low, high = min(edges), max(edges)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def table_of(curve: CalibrationCurve, chosen: float) -> list[tuple[float, float, float, float, str]]:
    """Return rows of constant, seen accuracy, unseen accuracy, harmonic mean and a remark, for a table."""
    low, high = calibration_range(curve, chosen)
    marked = {0.0: "none", chosen: "chosen"}
    constants = np.array(sorted({*np.linspace(low, high, 9).tolist(), *marked}))
    values = at_calibrations(curve, constants)
    rows_of = zip(constants.tolist(), values.T.tolist(), strict=True)
    return [(constant, *figures, marked.get(constant, "")) for constant, figures in rows_of]


def ausuc_chart(curve: CalibrationCurve, chosen: float) -> Markup:
    """Draw seen accuracy over unseen accuracy for every calibration."""
    frame = _SQUARE
    marks = at_calibrations(curve, np.array([0.0, chosen]))
    parts = [axes(frame, percent_ticks(), percent_ticks(), "accuracy on unseen classes, %", "accuracy on seen classes, %")]
    parts += [_equal_harmonic_means(frame, level) for level in (0.2, 0.4, 0.6, 0.8)]
    parts += [draw(frame, curve.acc_unseen, curve.acc_seen, css) for draw, css in ((area, "under"), (line, "line ink"))]
    parts += [dot(frame, marks[1, 0], marks[0, 0], "mark hollow"), dot(frame, marks[1, 1], marks[0, 1], "mark chosen", 6)]
    description = (
        f"The area under the curve is {100 * curve.area:.1f} %. Without calibration the network is at "
        f"{100 * marks[1, 0]:.1f} % unseen and {100 * marks[0, 0]:.1f} % seen; at the chosen constant at "
        f"{100 * marks[1, 1]:.1f} % unseen and {100 * marks[0, 1]:.1f} % seen."
    )
    return drawing("ausuc", "Seen accuracy over unseen accuracy", description, frame.width, frame.height, parts)


def calibration_chart(curve: CalibrationCurve, chosen: float) -> Markup:
    """Draw both accuracies and their harmonic mean over the calibration constant, which the logits of seen classes lose."""
    low, high = calibration_range(curve, chosen)
    frame = replace(_SQUARE, x=(low, high), top=26)
    constants = np.linspace(low, high, _STEPS)
    values = at_calibrations(curve, constants)
    place = frame.across(chosen)
    parts = [axes(frame, round_ticks(low, high), percent_ticks(), "calibration constant", "accuracy, %")]
    upright = '<line class="chosen-line" x1="{0:.2f}" y1="{1:.2f}" x2="{0:.2f}" y2="{2:.2f}"/>'
    parts.append(Markup(upright.format(place, frame.height - frame.bottom, frame.top)))
    parts += [line(frame, constants, values[row], css) for row, css in enumerate(("line seen", "line unseen", "line both"))]
    at_chosen = at_calibrations(curve, np.array([chosen]))[:, 0]
    sides = zip(at_chosen.tolist(), ("seen", "unseen", "both"), strict=True)
    parts += [dot(frame, chosen, value, f"mark {css}", 4) for value, css in sides]
    # Above the frame, where no curve can run.
    anchor = "start" if place < frame.width / 2 else "end"
    parts.append(label(place, frame.top - 8, f"chosen: {chosen:.2f}", anchor, "note"))
    best = int(values[2].argmax())
    description = (
        f"At the chosen constant {chosen:.2f}: seen {100 * at_chosen[0]:.1f} %, unseen {100 * at_chosen[1]:.1f} %, H "
        f"{100 * at_chosen[2]:.1f} %. On these test images H would be highest, {100 * values[2, best]:.1f} %, "
        f"near {constants[best]:.2f}. The constant was chosen without them."
    )
    return drawing("calibration", "Accuracy over the calibration constant", description, frame.width, frame.height, parts)


def reliability_chart(bins: Sequence[ReliabilityBin], error: float | None) -> Markup:
    """Draw the share of right answers over their probability; the circles' areas are shares of images."""
    frame = _SQUARE
    parts = [axes(frame, percent_ticks(), percent_ticks(), "highest probability, %", "right answers, %")]
    ends = np.array([0.0, 1.0])
    parts.append(line(frame, ends, ends, "line guide"))
    x, y = np.array([(each.probability, each.right) for each in bins]).T
    gap = '<line class="gap" x1="{0:.2f}" y1="{1:.2f}" x2="{0:.2f}" y2="{2:.2f}"/>'
    parts += [Markup(gap.format(frame.across(p), frame.down(p), frame.down(right))) for p, right in zip(x, y, strict=True)]
    parts.append(line(frame, x, y, "line ink thin"))
    parts += [dot(frame, each.probability, each.right, "mark ink", 3 + 13 * float(np.sqrt(each.share))) for each in bins]
    said = "" if error is None else f"The expected calibration error is {100 * error:.1f} %. "
    description = said + "Points on the diagonal are correct probabilities. Points below it are answers that are too confident."
    return drawing("reliability", "Share of right answers over probability", description, frame.width, frame.height, parts)


def _equal_harmonic_means(frame: Frame, level: float) -> Markup:
    unseen = np.linspace(level / (2 - level), 1, 60)
    seen = level * unseen / (2 * unseen - level)
    name = label(frame.across(level) + 3, frame.down(level) - 3, f"H {100 * level:.0f}", "start", "tick faint")
    return line(frame, unseen, seen, "line guide") + name


MOST_NAMED = 80  # more names along an axis than this cannot be read
_SHADES = 8
_NAME = 26  # characters
_LEAST_WIDE = 520.0  # a page draws it as wide as itself, so that a few classes would get huge letters


def confusion_chart(confusion: Confusion, names: Sequence[str], num_seen: int) -> Markup:
    """Draw the matrix: rows are true classes, columns predicted ones; lines part seen from unseen classes.

    A cell's shade grows with the square root of its share of the row, so that single mistakes stay visible. Names are written
    along the axes where there are at most `MOST_NAMED`.
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
    if 0 < num_seen < classes:
        at = cell * num_seen
        across = f"M{left:g} {top + at:.5g}h{side:g}M{left + at:.5g} {top:g}v{side:g}"
        parts.append(Markup(f'<path class="divider" d="{across}"/>'))
    for place, name in enumerate(names if named else ()):
        middle, short = cell * (place + 0.5) + 3.2, shorten(name, _NAME)
        parts.append(label(left - 5, top + middle, short, "end", "name"))
        parts.append(label(left + middle, top - 5, short, "start", "name", -90))
    sides = ((f"{num_seen} seen", 0, num_seen), (f"{classes - num_seen} unseen", num_seen, classes))
    for text, first, last in () if named else sides:
        middle = cell * (first + last) / 2
        parts.append(label(left + middle, top - 9, text, "middle", "axis"))
        parts.append(label(left - 9, top + middle, text, "middle", "axis", -90))
    wrong = int(confusion.counts[confusion.true != confusion.predicted].sum())
    description = (
        f"{classes} classes, {int(confusion.totals.sum()):,} test images, {wrong:,} of them classified wrongly. "
        "Rows are true classes, columns are predicted classes. The table of the most confused pairs has the same figures."
    )
    width = max(left + side + 8, _LEAST_WIDE)
    return drawing("confusion-matrix", "Confusion matrix", description, width, top + side + 8, parts)


def geometry(names: Sequence[str]) -> tuple[float, float]:
    """Return the margin and the size of a cell that `confusion_chart` uses, for finding the cell under a pointer."""
    if len(names) > MOST_NAMED:
        return 26.0, 720 / len(names)
    return 12.0 + max(map(_length, names)), 12.0


def _length(name: str) -> float:
    """Return the length of a name that is cut at `_NAME` characters: those of Chinese, for one, are wider."""
    return sum(9.0 if unicodedata.east_asian_width(character) in "WF" else 6.0 for character in name[:_NAME])
