"""Which changes of a class's description are worth a thought: those within what the known classes show.

Dimensions: C known classes, K attributes, E edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Edits:
    """Edits of one description, each of one attribute, or of two where one takes the other's place within its group.

    Attributes:
        attributes: int64 [E, 2], what changes; the second entry repeats the first where one attribute changes alone.
        changes: float64 [E, 2], what is added to it; the second is 0 where one changes alone.
        subjects: int64 [E]; two edits of one subject cannot be made together.
        sizes: float64 [E], the sum of |change| / range over the attributes.
        is_continuous: bool [E], whether a smaller change of the same attribute makes sense too.
    """

    attributes: np.ndarray
    changes: np.ndarray
    subjects: np.ndarray
    sizes: np.ndarray
    is_continuous: np.ndarray

    def __len__(self) -> int:
        return len(self.subjects)


def possible_edits(description: np.ndarray, known: np.ndarray, groups: Sequence[str]) -> Edits:
    """Return the edits of a description that stay within the known classes' values.

    An attribute with two values takes the other one; one with more goes to its least or its largest. In a group of which every
    class has exactly one entry, an entry takes the place of the one that the description has: it gets the largest value that
    a class has in it, and the other becomes 0. An attribute in which no class differs is left alone.

    Args:
        description: raw [K].
        known: raw [C, K], of the known classes.
        groups: K attribute groups, "" where an attribute has none.
    """
    description, known = np.asarray(description, np.float64), np.asarray(known, np.float64)
    least, largest = (extreme(np.stack([limit, description]), axis=0) for extreme, limit in (
        (np.min, known.min(axis=0)), (np.max, known.max(axis=0))
    ))  # fmt: skip
    ranges = largest - least
    exclusive = _exclusive_groups(description, known, groups)
    rows = [row for group in exclusive for row in _swaps(group, description, known, ranges)]
    free = np.setdiff1d(np.flatnonzero(ranges > 0), np.concatenate([*exclusive, np.empty(0, np.int64)]))
    inner = (known[:, free] > least[free]) & (known[:, free] < largest[free])
    has_more = inner.any(axis=0) | ((description[free] > least[free]) & (description[free] < largest[free]))
    for k, continuous in zip(free.tolist(), has_more.tolist(), strict=True):
        for value in (least[k], largest[k]):
            if value != description[k]:
                change = value - description[k]
                rows.append((k, k, change, 0.0, k, abs(change) / ranges[k], continuous))
    columns = list(zip(*rows, strict=True)) or [()] * 7
    first, second, change, other, subjects, sizes, continuous_too = columns
    return Edits(
        np.array([first, second], np.int64).T,
        np.array([change, other], np.float64).T,
        np.array(subjects, np.int64),
        np.array(sizes, np.float64),
        np.array(continuous_too, bool),
    )


def _exclusive_groups(description: np.ndarray, known: np.ndarray, groups: Sequence[str]) -> list[np.ndarray]:
    """Return the attributes [..] of each group of which every class, and the description, has exactly one entry."""
    members: dict[str, list[int]] = {}
    for k, group in enumerate(groups):
        if group:
            members.setdefault(group, []).append(k)
    every = np.concatenate([known, description[None]]) != 0
    found = [np.array(group) for group in members.values() if len(group) > 1]
    return [group for group in found if (every[:, group].sum(axis=1) == 1).all()]


_Row = tuple[int, int, float, float, int, float, bool]


def _swaps(group: np.ndarray, description: np.ndarray, known: np.ndarray, ranges: np.ndarray) -> list[_Row]:
    before = int(group[np.flatnonzero(description[group])[0]])
    rows: list[_Row] = []
    for after in group.tolist():
        values = known[:, after]
        value = float(values[np.abs(values).argmax()])
        if after != before and value != 0:
            size = abs(description[before]) / ranges[before] if ranges[before] > 0 else 1.0
            # Attributes of one group share its first one as their subject.
            rows.append((after, before, value, -description[before], int(group[0]), size + abs(value) / ranges[after], False))
    return rows
