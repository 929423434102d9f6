"""A head in closed form: class-balanced ridge regression of one-hot labels on frozen features.

Columns of a softmax head fit the gaps between particular classes, which descriptions say little about. Strongly shrunk
least-squares columns follow class means instead, so their importances are far better predicted from descriptions, at the same
seen accuracy.

Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from niwt_tf.compute.distributed import Team

_LARGEST_LOG_SCALE = 8.0
# An eigendecomposition takes the time of about four Cholesky factors with 1280 features and of eleven with 4096.
_WIDE = 2048
# With a lower strength rounding may leave a system without a factor.
_FACTORED = 1e-6


class RidgeMoments:
    """What a ridge head needs of its training images, taken in as they stream by: nothing grows with their number."""

    def __init__(self, num_features: int, counts: np.ndarray) -> None:
        """Start for D features and classes with `counts` [S] images; each class weighs the same however many it has."""
        self.counts = counts
        self.weights = 1.0 / (len(counts) * np.maximum(counts, 1))
        self.second = np.zeros((num_features, num_features))
        self.sums = np.zeros((len(counts), num_features))

    def add(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Take in features [B, D] of images with labels [B]."""
        rows = features.astype(np.float64)
        self.second += rows.T @ (self.weights[labels][:, None] * rows)
        np.add.at(self.sums, labels, rows)

    def reduce(self, team: Team) -> None:
        """Put the sums over all processes of the team in place of this one's."""
        self.second, self.sums = team.sum(self.second, self.sums)


class RidgeHeadPath:
    """Every strength's solution of one training set: by one eigendecomposition, or a Cholesky factor each for wide features."""

    def __init__(self, moments: RidgeMoments) -> None:
        """Prepare for the images that the moments have taken in."""
        means = (moments.weights[:, None] * moments.sums).T
        self._mean, self._target_mean = means.sum(axis=1), moments.counts * moments.weights
        self._covariance = moments.second - np.outer(self._mean, self._mean)
        self._targets = means - np.outer(self._mean, self._target_mean)

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, num_classes: int) -> RidgeHeadPath:
        """Return the path for features [M, D] with labels [M] in 0..S-1."""
        moments = RidgeMoments(features.shape[1], np.bincount(labels, minlength=num_classes))
        moments.add(features, labels)
        return cls(moments)

    def solve(self, regularization: float) -> tuple[np.ndarray, np.ndarray]:
        """Return columns [D, S] and biases [S] for a penalty in units of the mean variance of a feature."""
        columns = self._by_factor(regularization) if len(self._covariance) > _WIDE and regularization >= _FACTORED else None
        if columns is None:
            values, vectors, rotated = self._spectrum
            penalty = regularization * max(values.mean(), 1e-12)
            columns = vectors @ (rotated / (np.maximum(values, 0.0) + penalty)[:, None])
        return columns.astype(np.float32), (self._target_mean - self._mean @ columns).astype(np.float32)

    def _by_factor(self, regularization: float) -> np.ndarray | None:
        """Return columns [D, S], or None where rounding leaves the system without a factor: features that hardly vary."""
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        system = self._covariance.copy()
        system[np.diag_indices_from(system)] += regularization * max(np.trace(system) / len(system), 1e-12)
        try:
            return np.asarray(cho_solve(cho_factor(system, overwrite_a=True), self._targets))
        except LinAlgError:
            return None

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(self._covariance)
        return values, vectors, vectors.T @ self._targets


def temperature_scale(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the factor on logits [M, S] that minimises the cross-entropy with `labels` (Guo et al. 2017).

    The targets are smoothed as Platt (1999) does, to (M + 1) / (M + 2) for the true class: logits without a single mistake
    would otherwise ask for an endless factor.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = np.asarray(logits, np.float64)
    count, classes = logits.shape
    targets = np.full((count, classes), 1.0 / ((count + 2) * max(classes - 1, 1)))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def cross_entropy(log_scale: float) -> float:
        scale = np.exp(log_scale)
        return float(np.mean(logsumexp(scale * logits, axis=1) - scale * (targets * logits).sum(axis=1)))

    found = minimize_scalar(cross_entropy, bounds=(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE), method="bounded")
    return float(np.exp(found.x))


# Of sums of float64, as a share of the sum.
_ROUNDING = 1e-14


# A head in closed form: a shrunk linear discriminant (Fisher 1936; shrinkage: Friedman 1989), and the biases that go with it.
#
# With class means m_c less their mean g, the within-class covariance C and a shrinkage t, w_c = (C + t I)^-1 m_c and b_c = -m_c
# . w_c / 2 - g . w_c. For a large t it is the nearest class mean. Unlike another head's, its bias follows from the column
# alone: m_c = (C + t I) w_c. A new class, of which only the column is known, gets its bias and its length in the same way.


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


@dataclass(frozen=True)
class SeenHead:
    """Columns and biases of the seen classes.

    Attributes:
        regularization: the ridge penalty or the shrinkage, 0 for the trained softmax head.
        columns: float32 [D, S].
        biases: float32 [S].
        kind: "ridge", "lda" or "softmax".
        form: gives a discriminant's new columns their biases; None for another head.
    """

    regularization: float
    columns: np.ndarray
    biases: np.ndarray
    kind: str = "ridge"
    form: BiasForm | None = None
