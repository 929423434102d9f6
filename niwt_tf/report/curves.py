"""The charts of an evaluation: seen over unseen accuracy, accuracy over calibration, and how far probabilities hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from niwt_tf.method.evaluation import CalibrationCurve
from niwt_tf.report.charts import Frame, area, axes, dot, drawing, label, line, percent_ticks, round_ticks
from niwt_tf.report.contents import ReliabilityBin

_STEPS = 361  # places at which a step function is drawn


def at_calibrations(curve: CalibrationCurve, constants: np.ndarray) -> np.ndarray:
    """Return seen accuracy, unseen accuracy and their harmonic mean at constants [T]: float64 [3, T]."""
    place = np.searchsorted(curve.calibrations, constants, side="left") - 1
    seen, unseen = curve.acc_seen[np.maximum(place, 0)], curve.acc_unseen[np.maximum(place, 0)]
    total = seen + unseen
    return np.stack([seen, unseen, np.divide(2 * seen * unseen, total, out=np.zeros_like(total), where=total > 0)])


def calibration_range(curve: CalibrationCurve, chosen: float) -> tuple[float, float]:
    """Return constants between which nearly all predictions change; 0 and the chosen one lie within."""
    finite = curve.calibrations[1:]
    edges = [*np.quantile(finite, (0.01, 0.99)).tolist(), 0.0, chosen] if len(finite) else [0.0, chosen]
    low, high = min(edges), max(edges)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def table_of(curve: CalibrationCurve, chosen: float, rows: int = 9) -> list[tuple[float, float, float, float, str]]:
    """Return rows of constant, seen accuracy, unseen accuracy, harmonic mean and a remark, for a table."""
    low, high = calibration_range(curve, chosen)
    marked = {0.0: "none", chosen: "chosen"}
    constants = np.array(sorted({*np.linspace(low, high, rows).tolist(), *marked}))
    values = at_calibrations(curve, constants)
    rows_of = zip(constants.tolist(), values.T.tolist(), strict=True)
    return [(constant, *figures, marked.get(constant, "")) for constant, figures in rows_of]


def ausuc_chart(curve: CalibrationCurve, chosen: float) -> Markup:
    """Draw seen accuracy over unseen accuracy for every calibration."""
    frame = Frame((0, 1), (0, 1), width=420, height=400)
    marks = at_calibrations(curve, np.array([0.0, chosen]))
    parts = [axes(frame, percent_ticks(), percent_ticks(), "accuracy on unseen classes, %", "accuracy on seen classes, %")]
    parts += [_equal_harmonic_means(frame, level) for level in (0.2, 0.4, 0.6, 0.8)]
    parts.append(area(frame, curve.acc_unseen, curve.acc_seen, "under"))
    parts.append(line(frame, curve.acc_unseen, curve.acc_seen, "line ink"))
    parts.append(dot(frame, marks[1, 0], marks[0, 0], "mark hollow"))
    parts.append(dot(frame, marks[1, 1], marks[0, 1], "mark chosen", 6))
    description = (
        f"The area under the curve is {100 * curve.area:.1f} %. Without calibration the network is at "
        f"{100 * marks[1, 0]:.1f} % unseen and {100 * marks[0, 0]:.1f} % seen; at the chosen constant at "
        f"{100 * marks[1, 1]:.1f} % unseen and {100 * marks[0, 1]:.1f} % seen."
    )
    return drawing("ausuc", "Seen accuracy over unseen accuracy", description, frame.width, frame.height, parts)


def calibration_chart(curve: CalibrationCurve, chosen: float) -> Markup:
    """Draw both accuracies and their harmonic mean over the calibration constant, which the logits of seen classes lose."""
    low, high = calibration_range(curve, chosen)
    frame = Frame((low, high), (0, 1), width=420, height=400, top=26)
    constants = np.linspace(low, high, _STEPS)
    values = at_calibrations(curve, constants)
    place = float(frame.across(np.array(chosen)))
    bottom = frame.height - frame.bottom
    x_name = "calibration constant"
    parts = [axes(frame, round_ticks(low, high), percent_ticks(), x_name, "accuracy, %")]
    upright = '<line class="chosen-line" x1="{0:.2f}" y1="{1:.2f}" x2="{0:.2f}" y2="{2:.2f}"/>'
    parts.append(Markup(upright.format(place, bottom, frame.top)))
    parts += [line(frame, constants, values[row], css) for row, css in enumerate(("line seen", "line unseen", "line both"))]
    at_chosen = at_calibrations(curve, np.array([chosen]))[:, 0]
    sides = zip(at_chosen.tolist(), ("seen", "unseen", "both"), strict=True)
    parts += [dot(frame, chosen, value, f"mark {css}", 4) for value, css in sides]
    # Above the frame, where no curve can run.
    is_left = place < frame.width / 2
    parts.append(label(place, frame.top - 8, f"chosen: {chosen:.2f}", "start" if is_left else "end", "note"))
    best = int(values[2].argmax())
    description = (
        f"At the chosen constant {chosen:.2f}: seen {100 * at_chosen[0]:.1f} %, unseen {100 * at_chosen[1]:.1f} %, H "
        f"{100 * at_chosen[2]:.1f} %. On these test images H would be highest, {100 * values[2, best]:.1f} %, "
        f"near {constants[best]:.2f}; the constant was chosen without them."
    )
    return drawing("calibration", "Accuracy over the calibration constant", description, frame.width, frame.height, parts)


def reliability_chart(bins: Sequence[ReliabilityBin], error: float | None) -> Markup:
    """Draw the share of right answers over their probability; the circles' areas are shares of images."""
    frame = Frame((0, 1), (0, 1), width=420, height=400)
    parts = [axes(frame, percent_ticks(), percent_ticks(), "highest probability, %", "right answers, %")]
    ends = np.array([0.0, 1.0])
    parts.append(line(frame, ends, ends, "line guide"))
    x, y = (np.array([getattr(each, name) for each in bins]) for name in ("probability", "right"))
    for each in bins:
        low, high = (float(frame.down(np.array(value))) for value in (each.probability, each.right))
        place = float(frame.across(np.array(each.probability)))
        gap = f'<line class="gap" x1="{place:.2f}" y1="{low:.2f}" x2="{place:.2f}" y2="{high:.2f}"/>'
        parts.append(Markup(gap))
    parts.append(line(frame, x, y, "line ink thin"))
    parts += [dot(frame, each.probability, each.right, "mark ink", 3 + 13 * float(np.sqrt(each.share))) for each in bins]
    said = "" if error is None else f"The expected calibration error is {100 * error:.1f} %. "
    description = said + "Points on the diagonal are probabilities that hold; points below it are answers that are too sure."
    return drawing("reliability", "Share of right answers over probability", description, frame.width, frame.height, parts)


def _equal_harmonic_means(frame: Frame, level: float) -> Markup:
    unseen = np.linspace(level / (2 - level), 1, 60)
    seen = level * unseen / (2 * unseen - level)
    at = float(frame.across(np.array(level))), float(frame.down(np.array(level)))
    return line(frame, unseen, seen, "line guide") + label(at[0] + 3, at[1] - 3, f"H {100 * level:.0f}", "start", "tick faint")
