"""Explanations in words: the attributes that speak most for a class, and most against it.

Dimension: K attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Word:
    """An attribute that an importance speaks for or against.

    Attributes:
        attribute: its name.
        group: the name of its group, "" where it has none.
        weight: of the inverse map, in deviations of the attribute from the seen mean; below 0 it speaks against.
    """

    attribute: str
    group: str
    weight: float


@dataclass(frozen=True)
class Textual:
    """A textual explanation.

    Attributes:
        speaks_for: the largest positive weights, largest first.
        speaks_against: the most negative weights, most negative first.
    """

    speaks_for: tuple[Word, ...]
    speaks_against: tuple[Word, ...]


def textual_explanation(weights: np.ndarray, names: Sequence[str], groups: Sequence[str], top: int = 5) -> Textual:
    """Return the `top` attributes that speak for, and the `top` that speak against.

    Only weights above 0 speak for and only those below 0 against, so either may be shorter or empty; NaN says nothing. Equal
    weights come in the order of the attributes.

    Args:
        weights: [K], of `Explainer.attribute_weights` for one importance.
        names: K attribute names.
        groups: K attribute groups, "" where an attribute has none.
        top: at most this many each way.
    """
    values = np.asarray(weights, np.float64)

    def strongest(strengths: np.ndarray) -> tuple[Word, ...]:
        order = np.argsort(-strengths, kind="stable")[:top]
        return tuple(Word(names[k], groups[k], float(values[k])) for k in order if strengths[k] > 0)

    return Textual(strongest(values), strongest(-values))


def grouped(words: Iterable[Word]) -> dict[str, list[Word]]:
    """Return words by group, in the order in which the groups and the words come; those without a group are under ""."""
    groups: dict[str, list[Word]] = {}
    for word in words:
        groups.setdefault(word.group, []).append(word)
    return groups
