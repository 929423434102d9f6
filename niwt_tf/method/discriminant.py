"""A head in closed form: a shrunk linear discriminant (Fisher 1936; shrinkage: Friedman 1989), and the biases that go with it.

With class means m_c less their mean g, the within-class covariance C and a shrinkage t, w_c = (C + t I)^-1 m_c and
b_c = -m_c . w_c / 2 - g . w_c. For a large t it is the nearest class mean. Unlike another head's, its bias follows from the
column alone: m_c = (C + t I) w_c. A new class, of which only the column is known, gets its bias and its length in the same way.

Dimensions: D features, S classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.method.ridge_head import RidgeMoments

# Of sums of float64, as a share of the sum.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class BiasForm:
    """b(w) = -w'(C + t I) w / (2 s) - g . w, for columns that were multiplied by s.

    Attributes:
        centre: float64 [D], g.
        within: float32 [D, D], C.
        shrinkage: t.
        scale: s, above 0.
    """

    centre: np.ndarray
    within: np.ndarray
    shrinkage: float
    scale: float

    def quadratic(self, columns: np.ndarray) -> np.ndarray:
        """Return W'(C + t I) W / s, float64 [E, E], of columns W [D, E]."""
        columns = np.asarray(columns, np.float64)
        return (columns.T @ (self.within @ columns) + self.shrinkage * (columns.T @ columns)) / self.scale

    def biases(self, columns: np.ndarray) -> np.ndarray:
        """Return float32 [U] for columns [D, U]."""
        columns = np.asarray(columns, np.float64)
        moved = self.within @ columns + self.shrinkage * columns
        return (-0.5 / self.scale * (columns * moved).sum(axis=0) - self.centre @ columns).astype(np.float32)


class DiscriminantPath:
    """The heads of every shrinkage from one pass over the training images, each class weighing the same."""

    def __init__(self, moments: RidgeMoments) -> None:
        """Prepare for the images that the moments have taken in."""
        present = moments.counts > 0
        means = moments.sums / np.maximum(moments.counts, 1)[:, None]
        self._centre = means[present].mean(axis=0) if present.any() else means.mean(axis=0)
        self._means = np.where(present[:, None], means - self._centre, 0.0)
        share = moments.weights * moments.counts
        self._within = moments.second - means.T @ (share[:, None] * means)
        # Where images of a class are all the same, what is left is rounding, with eigenvalues of either sign.
        rounding = _ROUNDING * float(np.trace(moments.second))
        self._unit = max(float(np.trace(self._within)) / len(self._within), rounding, 1e-12)

    def solve(self, shrinkage: float) -> tuple[np.ndarray, np.ndarray, BiasForm]:
        """Return columns [D, S], biases [S] and the form for a shrinkage in units of a feature's mean variance in a class."""
        from scipy.linalg import cho_factor, cho_solve

        added = shrinkage * self._unit
        factor = cho_factor(self._within + added * np.eye(len(self._within)))
        columns = cho_solve(factor, self._means.T)
        biases = -0.5 * (self._means.T * columns).sum(axis=0) - self._centre @ columns
        form = BiasForm(self._centre, self._within.astype(np.float32), added, 1.0)
        return columns.astype(np.float32), biases.astype(np.float32), form
