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
    for penalty in penalties:
        columns = np.stack([_solve(rows, signs[:, c], columns[:, c], penalty) for c in range(num_classes)], axis=1)
        yield columns


def _solve(rows: np.ndarray, signs: np.ndarray, column: np.ndarray, penalty: float) -> np.ndarray:
    count = len(rows)
    margins = 1 - signs * (rows @ column)
    value = _objective(margins, column, penalty)
    for _ in range(_MOST_STEPS):
        within = margins > 0
        inside = rows[within]
        target = _ridge(inside, signs[within], penalty * count / 2)
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


def _ridge(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Return the minimum of |rows w - targets|^2 + penalty |w|^2, through the smaller of the two Gram matrices."""
    if not len(rows):
        return np.zeros(rows.shape[1])
    if len(rows) < rows.shape[1]:
        gram = rows @ rows.T
        gram[np.diag_indices_from(gram)] += penalty
        return rows.T @ cho_solve(cho_factor(gram, overwrite_a=True), targets)
    gram = rows.T @ rows
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(cho_solve(cho_factor(gram, overwrite_a=True), rows.T @ targets))


def _objective(margins: np.ndarray, column: np.ndarray, penalty: float) -> float:
    return float((np.maximum(margins, 0.0) ** 2).mean() + penalty / 2 * (column @ column))
