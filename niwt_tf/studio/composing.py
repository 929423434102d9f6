"""A new class that is being put together: where it began, what was changed, and which images it would claim.

Dimensions: M images, C known classes, K description entries, D features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from niwt_tf.metrics.probabilities import UNKNOWN, Probabilities
from niwt_tf.studio.gallery import Gallery


@dataclass(frozen=True)
class Composition:
    """A description in the making: float32 [K] that it began with, edits by place, and the words it was read from, or ""."""

    start: np.ndarray
    edits: Mapping[int, float] = field(default_factory=dict)
    text: str = ""

    @property
    def values(self) -> np.ndarray:
        """The description, float32 [K]."""
        values = np.array(self.start, np.float32)
        for place, value in self.edits.items():
            values[place] = value
        return values

    def edited(self, place: int, value: float) -> Composition:
        """Return the same with another value at a place; the value that it began with is no change."""
        edits = {other: old for other, old in self.edits.items() if other != place}
        if np.float32(value) != self.start[place]:
            edits[place] = float(value)
        return replace(self, edits=edits)


@dataclass(frozen=True)
class Range:
    """What a slider covers. Both ends are multiples of the step of an arrow key, which is 1, 2 or 5 times a power of ten."""

    low: float
    high: float
    step: float

    @property
    def digits(self) -> int:
        """Digits after the point that tell two steps apart."""
        return max(0, -math.floor(math.log10(self.step) + 1e-9))

    def nearest(self, value: float) -> float:
        """Return the value of the slider that is nearest."""
        steps = round((min(max(value, self.low), self.high) - self.low) / self.step)
        return round(self.low + steps * self.step, self.digits)


def ranges(descriptions: np.ndarray, numeric: np.ndarray | None = None) -> list[Range]:
    """Return the range of each entry among descriptions [C, K] of known classes, with 0 in it.

    Of entries that are `numeric`, bool [K], such as a weight, a new class may have more than any known one: twice the range.
    """
    lows, highs = np.minimum(descriptions.min(axis=0), 0.0), np.maximum(descriptions.max(axis=0), 0.0)
    if numeric is not None:
        highs = np.where(numeric, highs + (highs - lows), highs)
    return [_range(low, high) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]


def _range(low: float, high: float) -> Range:
    width = high - low if high > low else 1.0
    power = 10.0 ** math.floor(math.log10(width / 50))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 50 >= width * (1 - 1e-6))
    first, last = math.floor(low / step + 1e-6), math.ceil(max(high, low + width) / step - 1e-6)
    digits = Range(low, high, step).digits
    return Range(*(round(value, digits) for value in (first * step, last * step, step)))


def by_group(names: tuple[str, ...], groups: tuple[str, ...], search: str = "") -> dict[str, list[int]]:
    """Return the places of the entries in each group, of those whose name has all words of `search`, in order."""
    wanted = search.casefold().split()
    found: dict[str, list[int]] = {}
    for place, (name, group) in enumerate(zip(names, groups, strict=True)):
        if all(word in f"{group} {name}".casefold() for word in wanted):
            found.setdefault(group or "attributes", []).append(place)
    return found


def short_name(name: str, group: str) -> str:
    """Return an entry's name without its group: "blue" of "has_crown_color::blue" in the group "crown_color"."""
    before, _, rest = name.partition("::")
    return rest if rest and group and before.endswith(group) else name


@dataclass(frozen=True)
class Claims:
    """What a new class does to the answers for M images.

    Scores are float64 [M], the probability of the new class; `before` says what each image is called without it; claimed are
    the places of the images that it takes, most probable first.
    """

    scores: np.ndarray
    before: tuple[str, ...]
    claimed: tuple[int, ...]

    def lost(self) -> list[tuple[str, int]]:
        """Return (class, number of images that it loses), most first."""
        return Counter(self.before[place] for place in self.claimed).most_common()


def claims(
    gallery: Gallery,
    labels: tuple[str, ...],
    column: np.ndarray,
    bias: float,
    temperature: float = 1.0,
    abstain_below: float = 0.0,
) -> Claims:
    """Return what a class with this column float32 [D] claims, as the signature `classify_with` would answer.

    It is computed from the images' features alone. Probabilities are softmax(logits / temperature); an image whose best class
    is less probable than `abstain_below` is nobody's.
    """
    new = gallery.features @ column + np.float32(bias)
    probabilities = Probabilities(temperature)
    before = probabilities.of(gallery.logits)
    after = probabilities.of(np.concatenate([gallery.logits, new[:, None]], axis=1))
    named = tuple(
        labels[best] if row[best] >= abstain_below else UNKNOWN
        for best, row in zip(gallery.logits.argmax(axis=1), before, strict=True)
    )
    scores = after[:, -1]
    wins = (new > gallery.logits.max(axis=1)) & (scores >= abstain_below)
    ordered = sorted(np.flatnonzero(wins).tolist(), key=lambda place: -scores[place])
    return Claims(scores, named, tuple(ordered))
