"""Random images of which no class has two before every class has one."""

from __future__ import annotations

import numpy as np


def balanced_draw(labels: np.ndarray, candidates: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` different candidates at random, or all that there are.

    Args:
        labels: [M], classes of all images.
        candidates: indices of the images to draw from.
        count: how many.
        random: decides which image of a class is drawn, and which classes come first.

    Returns:
        int64 indices in the order of the draw: one image of each class, then another of each that has one, and so on.
    """
    shuffled = random.permutation(np.asarray(candidates, np.int64))
    turns = np.zeros(len(shuffled), np.int64)
    drawn: dict[int, int] = {}
    for place, label in enumerate(labels[shuffled].tolist()):
        turns[place] = drawn.get(label, 0)
        drawn[label] = turns[place] + 1
    return shuffled[np.argsort(turns, kind="stable")[:count]]
