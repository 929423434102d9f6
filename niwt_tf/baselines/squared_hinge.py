"""One-versus-other support vector machines with squared hinge loss, all classes at once, by Newton's method in the primal.

Chapelle, "Training a support vector machine in the primal" (2007): each step solves a ridge regression on the images within
the margin, and a few steps reach the minimum.

Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

_MOST_STEPS = 30
_HALVINGS = 20
# Inner products of so many images are kept: 128 MB.
_GRAM_IMAGES = 4096


def squared_hinge_path(
    features: np.ndarray, labels: np.ndarray, num_classes: int, penalties: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yield the columns [D, S] that minimise mean(max(0, 1 - y x.w)^2) + penalty / 2 |w|^2, for each penalty as given.

    Each solve starts from the one before, so the quickest order is from the largest penalty down.

    Args:
        features: [M, D].
        labels: [M] in 0..S-1; y is 1 for images of the class and -1 for others.
        num_classes: S.
        penalties: the penalties.
    """
    rows = features.astype(np.float64)
    signs = np.where(labels[:, None] == np.arange(num_classes), 1.0, -1.0)
    columns = np.zeros((rows.shape[1], num_classes))
    gram = rows @ rows.T if len(rows) <= _GRAM_IMAGES else None
    for penalty in penalties:
        columns = np.stack([_solve(rows, gram, signs[:, c], columns[:, c], penalty) for c in range(num_classes)], axis=1)
        yield columns


def _solve(
    rows: np.ndarray, gram: np.ndarray | None, signs: np.ndarray, column: np.ndarray, penalty: float
) -> np.ndarray:
    count = len(rows)
    margins = 1 - signs * (rows @ column)
    value = _objective(margins, column, penalty)
    for _ in range(_MOST_STEPS):
        within = margins > 0
        target = _ridge(rows, gram, within, signs[within], penalty * count / 2)
        step = target - column
        moved = signs * (rows @ step)
        size = 1.0
        for _ in range(_HALVINGS):
            tried = margins - size * moved
            found = _objective(tried, column + size * step, penalty)
            if found <= value:
                break
            size /= 2
        column, margins = column + size * step, tried
        settled = bool(((margins > 0) == within).all()) and size == 1.0
        if settled or value - found <= 1e-10 * abs(value):
            return column
        value = found
    return column


def _ridge(
    rows: np.ndarray, gram: np.ndarray | None, within: np.ndarray, targets: np.ndarray, penalty: float
) -> np.ndarray:
    """Return the minimum of |rows w - targets|^2 + penalty |w|^2 over the rows `within`, by the smaller of two systems."""
    inside = rows[within]
    if not len(inside):
        return np.zeros(rows.shape[1])
    if len(inside) < rows.shape[1]:
        system = inside @ inside.T if gram is None else gram[np.ix_(within, within)]
        system[np.diag_indices_from(system)] += penalty
        return np.asarray(inside.T @ cho_solve(cho_factor(system, overwrite_a=True), targets))
    system = inside.T @ inside
    system[np.diag_indices_from(system)] += penalty
    return np.asarray(cho_solve(cho_factor(system, overwrite_a=True), inside.T @ targets))


def _objective(margins: np.ndarray, column: np.ndarray, penalty: float) -> float:
    return float((np.maximum(margins, 0.0) ** 2).mean() + penalty / 2 * (column @ column))
