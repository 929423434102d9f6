"""Explanations in words: the attributes that speak most for a class, and most against it.

Dimension: K attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WeightedAttribute:
    """An attribute that an importance speaks for or, with a weight below 0, against; its group is "" where it has none.

    The weight is that of the inverse map, in deviations of the attribute from the seen mean.
    """

    attribute: str
    group: str
    weight: float


@dataclass(frozen=True)
class AttributeReasons:
    """A textual explanation: the largest positive weights, largest first, and the most negative ones, most negative first."""

    speaks_for: tuple[WeightedAttribute, ...]
    speaks_against: tuple[WeightedAttribute, ...]


def textual_explanation(weights: np.ndarray, names: Sequence[str], groups: Sequence[str], top: int = 5) -> AttributeReasons:
    """Return the `top` attributes that speak for, and the `top` that speak against, by weights [K] for one importance.

    Only weights above 0 speak for and only those below 0 against, so either may be shorter or empty; NaN says nothing. Equal
    weights come in the order of the attributes. An attribute without a group has the group "".
    """
    values = np.asarray(weights, np.float64)

    def strongest(strengths: np.ndarray) -> tuple[WeightedAttribute, ...]:
        order = np.argsort(-strengths, kind="stable")[:top]
        return tuple(WeightedAttribute(names[k], groups[k], float(values[k])) for k in order if strengths[k] > 0)

    return AttributeReasons(strongest(values), strongest(-values))


def grouped(words: Iterable[WeightedAttribute]) -> dict[str, list[WeightedAttribute]]:
    """Return words by group, in the order in which the groups and the words come; those without a group are under ""."""
    groups: dict[str, list[WeightedAttribute]] = {}
    for word in words:
        groups.setdefault(word.group, []).append(word)
    return groups


_ROUNDING = 1e-6  # values whose range is below this part of their size differ by float32's rounding alone
_TWO_DECIMALS = 0.1  # two decimals are at least two significant digits from here on


def varied(values: np.ndarray) -> np.ndarray:
    """Return which columns of values [S, M] differ between rows by more than rounding, bool [M]."""
    return np.asarray(np.ptp(values, axis=0) > _ROUNDING * np.abs(values).max(axis=0))


def shortest(value: float | np.floating) -> float:
    """Return a float32 as the shortest number that reads back as it: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def text_of(value: bytes | np.ndarray) -> str:
    """Return a string of a graph, which is bytes."""
    return bytes(value).decode("utf-8", "replace")


def shown_weight(value: float | np.floating) -> str:
    """Return a weight for people, with its sign: two decimals, and two significant digits where that would say too little.

    So 0.5 is "+0.50", -12.345 is "-12.35" and 0.00042 is "+0.00042"; it never reads as 0 without being 0.
    """
    return f"{value:+#.2g}" if 0 < abs(float(value)) < _TWO_DECIMALS else f"{value:+.2f}"
