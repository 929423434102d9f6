"""One-versus-other support vector machines with squared hinge loss, all classes at once, by Newton's method in the primal.

Chapelle, "Training a support vector machine in the primal" (2007): each step solves a ridge regression on the images within
the margin, and a few steps reach the minimum.

Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import ThreadpoolController

_MOST_STEPS = 30
_HALVINGS = 20
# Inner products of so many images are kept: 128 MB.
_GRAM_IMAGES = 4096
# Each thread holds a system of its own and a copy of it: about 260 MB for 4,096 images.
_MOST_THREADS = 4


def squared_hinge_path(
    features: np.ndarray, labels: np.ndarray, num_classes: int, penalties: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yield the columns [D, S] that minimise mean(max(0, 1 - y x.w)^2) + penalty / 2 |w|^2, for each penalty as given.

    Features are [M, D], labels [M] in 0..S-1, and y is 1 for images of the class and -1 for others. Each solve starts from the
    one before, so the quickest order is from the largest penalty down.
    """
    images = _Images(features.astype(np.float64))
    signs = np.where(labels[:, None] == np.arange(num_classes), 1.0, -1.0)
    columns = np.zeros((features.shape[1], num_classes))
    for penalty in penalties:
        columns = _all_classes(images, signs, columns, penalty)
        yield columns


class _Images:
    """The images of a path, rows [M, D], and what all of its systems are parts of."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        self._gram = rows @ rows.T if len(rows) <= _GRAM_IMAGES else None
        # With fewer images than features the other system is always the smaller one.
        self._moments = rows.T @ rows if len(rows) >= rows.shape[1] else np.zeros((0, 0))

    def ridge(self, within: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
        """Return the minimum [D] of |rows w - targets|^2 + penalty |w|^2 over rows `within`, by the smaller of two systems."""
        count = int(within.sum())
        if count == 0:
            return np.zeros(self.rows.shape[1])
        if count < self.rows.shape[1]:
            solution = np.zeros(len(self.rows))
            solution[within] = _solved(self._inner_products(within), targets[within], penalty)
            return np.asarray(self.rows.T @ solution)
        return _solved(self._second_moments(within), self.rows.T @ np.where(within, targets, 0.0), penalty)

    def _inner_products(self, within: np.ndarray) -> np.ndarray:
        if self._gram is not None:
            return self._gram[np.ix_(within, within)]
        inside = self.rows[within]
        return np.asarray(inside @ inside.T)

    def _second_moments(self, within: np.ndarray) -> np.ndarray:
        """Return the sum of x x' over the rows `within`, [D, D]: of the fewer rows, those within or those without."""
        if 2 * within.sum() < len(within):
            return np.asarray(self.rows[within].T @ self.rows[within])
        outside = self.rows[~within]
        return np.asarray(self._moments - outside.T @ outside)


def _all_classes(images: _Images, signs: np.ndarray, columns: np.ndarray, penalty: float) -> np.ndarray:
    # A class to each thread: threads that share one small system mostly wait for each other, above all on busy processors.
    controller = _linear_algebra()
    num_threads = max((library["num_threads"] for library in controller.info()), default=1)
    with controller.limit(limits=1, user_api="blas"), ThreadPoolExecutor(min(num_threads, _MOST_THREADS)) as threads:
        classes = range(signs.shape[1])
        return np.stack(list(threads.map(lambda c: _solve(images, signs[:, c], columns[:, c], penalty), classes)), axis=1)


@cache
def _linear_algebra() -> ThreadpoolController:
    """Return what tells and limits the threads of the linear algebra libraries."""
    return ThreadpoolController().select(user_api="blas")


def _solve(images: _Images, signs: np.ndarray, column: np.ndarray, penalty: float) -> np.ndarray:
    count = len(signs)
    margins = 1 - signs * (images.rows @ column)
    value = _objective(margins, column, penalty)
    for _ in range(_MOST_STEPS):
        within = margins > 0
        step = images.ridge(within, signs, penalty * count / 2) - column
        moved = signs * (images.rows @ step)
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


def _solved(system: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Return (system + penalty)^-1 targets; the system is overwritten."""
    system[np.diag_indices_from(system)] += penalty
    return np.asarray(cho_solve(cho_factor(system, overwrite_a=True), targets))


def _objective(margins: np.ndarray, column: np.ndarray, penalty: float) -> float:
    return float((np.maximum(margins, 0.0) ** 2).mean() + penalty / 2 * (column @ column))
