"""The plain parts of inline SVG charts: a frame with axes, paths and marks.

Colours are the page's CSS classes, so that a chart follows its light or dark scheme. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

_NEAR = 0.3  # of a drawing's units


@dataclass(frozen=True)
class Frame:
    """Where values fall in a drawing: x from the left to the right edge, y from the bottom to the top one.

    Width, height and the four margins are in the drawing's own units.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 480
    height: float = 340
    left: float = 58
    right: float = 14
    top: float = 12
    bottom: float = 50

    def across(self, values: Any) -> Any:
        """Return the horizontal places of a value or an array of them."""
        return self.left + (values - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - self.left - self.right)

    def down(self, values: Any) -> Any:
        """Return the vertical places of a value or an array of them; they grow downwards."""
        share = (values - self.y[0]) / (self.y[1] - self.y[0])
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def line(frame: Frame, x: np.ndarray, y: np.ndarray, css: str) -> Markup:
    """Return a path through points; points nearly at the last one kept are left out."""
    return Markup('<polyline class="{}" points="{}"/>').format(css, _points(frame.across(x), frame.down(y)))


def area(frame: Frame, x: np.ndarray, y: np.ndarray, css: str) -> Markup:
    """Return the region between points and the bottom of the frame."""
    down = np.pad(frame.down(y), 1, constant_values=frame.height - frame.bottom)
    return Markup('<polygon class="{}" points="{}"/>').format(css, _points(np.pad(frame.across(x), 1, mode="edge"), down))


def dot(frame: Frame, x: float, y: float, css: str, radius: float = 5) -> Markup:
    """Return a round mark."""
    places = (_short(place) for place in (frame.across(x), frame.down(y), radius))
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(css, *places)


def label(x: float, y: float, text: str, anchor: str = "start", css: str = "", turn: float | None = None) -> Markup:
    """Return a text at a place of the drawing (not of the frame's values)."""
    turned = "" if turn is None else Markup(' transform="rotate({} {} {})"').format(_short(turn), _short(x), _short(y))
    element = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>')
    return element.format(css, _short(x), _short(y), anchor, turned, text)


def axes(
    frame: Frame, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_name: str, y_name: str
) -> Markup:
    """Return grid lines with their values and the names of both axes."""
    left, right = frame.left, frame.width - frame.right
    bottom, top = frame.height - frame.bottom, frame.top
    parts = []
    for value, text in x_ticks:
        place = frame.across(value)
        parts += [_stroke(place, bottom, place, top), label(place, bottom + 17, text, "middle", "tick")]
    for value, text in y_ticks:
        place = frame.down(value)
        parts += [_stroke(left, place, right, place), label(left - 7, place + 4, text, "end", "tick")]
    parts.append(label((left + right) / 2, frame.height - 8, x_name, "middle", "axis"))
    parts.append(label(14, (bottom + top) / 2, y_name, "middle", "axis", -90))
    return Markup("").join(parts)


def drawing(name: str, title: str, description: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    """Return the SVG element, with a title and a description for those who do not see it.

    The name is a word, unique on the page. Width and height are in the drawing's units.
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


def _points(across: np.ndarray, down: np.ndarray) -> str:
    """Return the places that are further than `_NEAR` from the one before, and both ends."""
    (*others, end) = zip(across.tolist(), down.tolist(), strict=True)
    kept = others[:1]
    for place in others[1:]:
        if max(abs(place[0] - kept[-1][0]), abs(place[1] - kept[-1][1])) > _NEAR:
            kept.append(place)
    return " ".join(f"{_short(a)},{_short(d)}" for a, d in (*kept, end))


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
