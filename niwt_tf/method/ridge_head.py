"""A head in closed form: class-balanced ridge regression of one-hot labels on frozen features.

Columns of a softmax head fit the gaps between particular classes, which descriptions say little about. Strongly shrunk
least-squares columns follow class means instead, so their importances are far better predicted from descriptions, at the same
seen accuracy.

Dimensions: M images, D features, S classes.
"""

from __future__ import annotations

import numpy as np

_LARGEST_LOG_SCALE = 8.0
_CHUNK = 4096


class RidgeHeadPath:
    """Every strength's solution of one training set from one eigendecomposition."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
        """Prepare for features [M, D] with labels [M] in 0..S-1; each class weighs the same however many images it has."""
        counts = np.bincount(labels, minlength=num_classes)
        weights = 1.0 / (num_classes * np.maximum(counts, 1))
        width = features.shape[1]
        second, sums = np.zeros((width, width)), np.zeros((width, num_classes))
        for start in range(0, len(features), _CHUNK):  # a float64 copy of all features would triple the memory
            rows, owners = features[start : start + _CHUNK].astype(np.float64), labels[start : start + _CHUNK]
            second += rows.T @ (weights[owners][:, None] * rows)
            np.add.at(sums.T, owners, rows)
        means = sums * weights  # column c is the sum of class c's images times their weight
        self._mean, self._target_mean = means.sum(axis=1), counts * weights
        self._values, self._vectors = np.linalg.eigh(second - np.outer(self._mean, self._mean))
        self._rotated = self._vectors.T @ (means - np.outer(self._mean, self._target_mean))

    def solve(self, regularization: float) -> tuple[np.ndarray, np.ndarray]:
        """Return columns [D, S] and biases [S] for a penalty in units of the mean variance of a feature."""
        penalty = regularization * max(self._values.mean(), 1e-12)
        columns = self._vectors @ (self._rotated / (np.maximum(self._values, 0.0) + penalty)[:, None])
        return columns.astype(np.float32), (self._target_mean - self._mean @ columns).astype(np.float32)


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
