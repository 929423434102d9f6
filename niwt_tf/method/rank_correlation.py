"""Spearman rank correlation of importance vectors, for two vectors, and over all pairs of a stream without keeping them."""

from __future__ import annotations

import numpy as np

from niwt_tf.method.team import Team


def standardised_ranks(vectors: np.ndarray) -> np.ndarray:
    """Return rank vectors [M, N] of mean 0 and norm 1, so that a dot product of two is their Spearman correlation.

    Ties share their average rank; a constant vector, which has no order, becomes 0.
    """
    from scipy.stats import rankdata

    ranks = rankdata(vectors, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)


def mean_rank_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return the mean over rows of Spearman's correlation between `predicted` and `observed`, both [M, N]."""
    return float((standardised_ranks(predicted) * standardised_ranks(observed)).sum(axis=1).mean())


class PairwiseRankCorrelation:
    """The mean Spearman correlation over every pair of vectors within a class, and over every pair across classes.

    A sum of dot products over all pairs is a difference of squared norms of sums, so only one [N] sum a class is kept:
    the figures of NIWT Section 3.2 over all images, exactly, in memory that does not grow with the number of images.
    """

    def __init__(self, num_classes: int, num_neurons: int) -> None:
        self._sums = np.zeros((num_classes, num_neurons))
        self._counts = np.zeros(num_classes, np.int64)

    def add(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        """Take in importance vectors [B, N] of classes `labels` [B]; constant vectors are left out."""
        ranks = standardised_ranks(vectors)
        ordered = np.abs(ranks).max(axis=1) > 0
        np.add.at(self._sums, labels[ordered], ranks[ordered])
        self._counts += np.bincount(labels[ordered], minlength=len(self._counts))

    def reduce(self, team: Team) -> None:
        """Put the sums over all processes of the team in place of this one's."""
        self._sums, self._counts = team.sum(self._sums, self._counts)

    @property
    def within(self) -> float:
        """Mean over classes of the mean over pairs of one class; NaN when no class has two vectors."""
        paired = self._counts > 1
        if not paired.any():
            return float("nan")
        counts = self._counts[paired].astype(np.float64)
        squared = (self._sums[paired] ** 2).sum(axis=1)
        return float(((squared - counts) / (counts * (counts - 1))).mean())

    @property
    def across(self) -> float:
        """Mean over pairs from two different classes, every class weighing the same; NaN for a single class."""
        present = self._counts > 0
        classes = int(present.sum())
        if classes < 2:
            return float("nan")
        means = self._sums[present] / self._counts[present][:, None]
        total = (means.sum(axis=0) ** 2).sum() - (means**2).sum()
        return float(total / (classes * (classes - 1)))
