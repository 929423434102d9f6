"""A head in closed form: class-balanced ridge regression of one-hot labels on frozen features.

Columns of a softmax head fit the gaps between particular classes, which descriptions say little about. Strongly shrunk
least-squares columns follow class means instead, so their importances are far better predicted from descriptions, at the same
seen accuracy.

Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from niwt_tf.method.team import Team

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
