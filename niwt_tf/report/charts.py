"""The plain parts of inline SVG charts: a frame with axes, paths and marks.

Colours are the page's CSS classes, so that a chart follows its light or dark scheme. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

_NEAR = 0.3  # of a drawing's units


@dataclass(frozen=True)
class Frame:
    """Where values fall in a drawing.

    Attributes:
        x: values at the left and right edge.
        y: values at the bottom and top edge.
        width: of the drawing, in its own units.
        height: of the drawing.
        left: margin, for labels.
        right: margin.
        top: margin.
        bottom: margin, for labels.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 480
    height: float = 340
    left: float = 58
    right: float = 14
    top: float = 12
    bottom: float = 50

    def across(self, values: np.ndarray) -> np.ndarray:
        """Return the horizontal places of values."""
        low, high = self.x
        return self.left + (np.asarray(values, np.float64) - low) / (high - low) * (self.width - self.left - self.right)

    def down(self, values: np.ndarray) -> np.ndarray:
        """Return the vertical places of values; they grow downwards."""
        low, high = self.y
        return (
            self.height
            - self.bottom
            - (np.asarray(values, np.float64) - low) / (high - low) * (self.height - self.top - self.bottom)
        )


def line(frame: Frame, x: np.ndarray, y: np.ndarray, css: str) -> Markup:
    """Return a path through points; points nearly at the last one kept are left out."""
    across, down = frame.across(x), frame.down(y)
    kept = _spread(across, down)
    points = " ".join(f"{_short(a)},{_short(d)}" for a, d in zip(across[kept], down[kept], strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(css, points)


def area(frame: Frame, x: np.ndarray, y: np.ndarray, css: str) -> Markup:
    """Return the region between points and the bottom of the frame."""
    ends = np.asarray(x)[[0, -1]]
    bottom = np.full(2, frame.y[0])
    across = np.concatenate([frame.across(ends[:1]), frame.across(x), frame.across(ends[1:])])
    down = np.concatenate([frame.down(bottom[:1]), frame.down(y), frame.down(bottom[1:])])
    kept = _spread(across, down)
    points = " ".join(f"{_short(a)},{_short(d)}" for a, d in zip(across[kept], down[kept], strict=True))
    return Markup('<polygon class="{}" points="{}"/>').format(css, points)


def dot(frame: Frame, x: float, y: float, css: str, radius: float = 5) -> Markup:
    """Return a round mark."""
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
        css, _short(float(frame.across(np.array(x)))), _short(float(frame.down(np.array(y)))), _short(radius)
    )


def label(x: float, y: float, text: str, anchor: str = "start", css: str = "", turn: float | None = None) -> Markup:
    """Return a text at a place of the drawing (not of the frame's values)."""
    turned = "" if turn is None else Markup(' transform="rotate({} {} {})"').format(_short(turn), _short(x), _short(y))
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
        css, _short(x), _short(y), anchor, turned, text
    )


def axes(
    frame: Frame, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str, y_name: str
) -> Markup:
    """Return grid lines with their values and the names of both axes."""
    left, right = frame.left, frame.width - frame.right
    bottom, top = frame.height - frame.bottom, frame.top
    parts = []
    for value, text in x_ticks:
        place = float(frame.across(np.array(value)))
        parts.append(_stroke(place, bottom, place, top))
        parts.append(label(place, bottom + 17, text, "middle", "tick"))
    for value, text in y_ticks:
        place = float(frame.down(np.array(value)))
        parts.append(_stroke(left, place, right, place))
        parts.append(label(left - 7, place + 4, text, "end", "tick"))
    parts.append(label((left + right) / 2, frame.height - 8, x_name, "middle", "axis"))
    parts.append(label(14, (bottom + top) / 2, y_name, "middle", "axis", -90))
    return Markup("").join(parts)


def drawing(name: str, title: str, description: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    """Return the SVG element, with a title and a description for those who do not see it.

    Args:
        name: unique on the page; a word.
        title: what it is.
        description: what it shows, in a sentence or two.
        width: in the drawing's units.
        height: in the drawing's units.
        parts: what is drawn.
    """
    head = Markup(
        '<svg class="chart" id="{n}" role="img" aria-labelledby="{n}-t {n}-d" viewBox="0 0 {w} {h}">'
        '<title id="{n}-t">{t}</title><desc id="{n}-d">{d}</desc>'
    ).format(n=name, w=_short(width), h=_short(height), t=title, d=description)
    return head + Markup("").join(parts) + Markup("</svg>")


def percent_ticks() -> list[tuple[float, str]]:
    """Return ticks from 0 to 100 %."""
    return [(value / 100, str(value)) for value in range(0, 101, 20)]


def round_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return at most about 7 round values within a range, with their texts."""
    raw = (high - low) / 7
    unit = 10.0 ** np.floor(np.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [(float(value), f"{value + 0.0:g}") for value in np.round(values, 12)]


def _stroke(x1: float, y1: float, x2: float, y2: float) -> Markup:
    places = (_short(place) for place in (x1, y1, x2, y2))
    return Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(*places)


def _spread(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return indices of points that are further than `_NEAR` from the one before, and of both ends."""
    kept = [0]
    for index in range(1, len(across) - 1):
        last = kept[-1]
        if abs(across[index] - across[last]) > _NEAR or abs(down[index] - down[last]) > _NEAR:
            kept.append(index)
    return np.array([*kept, len(across) - 1] if len(across) > 1 else kept)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
