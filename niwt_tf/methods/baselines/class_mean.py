"""Nearest class mean: of the training images for seen classes, predicted from the description for others.

Ridge regression, with every seen class counting the same, takes a description to its class's mean, in deviations from the mean
of all of them. As -|x - m|^2 = 2 x.m - |m|^2 - |x|^2 a class has the column 2 m and the bias -|m|^2.

Dimensions: M images, D features, S seen classes, C classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.base import Candidate, Columns, Grid, LinearScorer, Method, Sample


@dataclass(frozen=True)
class ClassMean(LinearScorer):
    """The means of the seen classes, and what predicts others'.

    Attributes:
        means: float64 [S, D].
        weights: float64 [K, D].
        bias: float64 [D].
    """

    means: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns and biases of the means that are predicted for descriptions [C, K]."""
        return _nearest(descriptions @ self.weights + self.bias)

    def seen_columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns and biases of the observed means."""
        del descriptions
        return _nearest(self.means)


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Candidate, ClassMean]]:
    """Yield the solution for each penalty of the grid."""
    means = sample.class_means
    centre, middle = descriptions.mean(axis=0, dtype=np.float64), means.mean(axis=0)
    deviations = descriptions - centre
    gram = deviations @ deviations.T
    for penalty in grid["penalty"]:
        dual = np.linalg.solve(gram + penalty * np.eye(len(gram)), means - middle)
        weights = deviations.T @ dual
        yield {"penalty": penalty}, ClassMean(means, weights, middle - centre @ weights)


def _nearest(means: np.ndarray) -> Columns:
    return 2 * means.T, -(means**2).sum(axis=1)


METHOD = Method("class_mean", {"penalty": tuple(10.0**power for power in range(-3, 3))}, solutions)
