"""Nearest class mean: of the training images for seen classes, predicted from the description for others.

Ridge regression, with every seen class counting the same, takes a description to its class's mean, in deviations from the mean
of all of them. As -|x - m|^2 = 2 x.m - |m|^2 - |x|^2 a class has the column 2 m and the bias -|m|^2.

Dimensions: M images, D features, S seen classes, C classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values, nearest_mean
from niwt_tf.methods.formula import Columns


@dataclass(frozen=True)
class ClassMean(Fitted):
    """The means of the seen classes, and what predicts others'.

    Attributes:
        means: float64 [S, D].
        weights: float64 [K, D].
        bias: float64 [D].
    """

    means: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    output = "nearest"

    def layers(self) -> tuple[Layer, ...]:
        """Return the mean that is predicted for a description."""
        return (Layer(self.weights, self.bias),)

    def seen_columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns and biases of the observed means."""
        del descriptions
        return nearest_mean(self.means)


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, ClassMean]]:
    """Yield the solution for each penalty of the grid."""
    means = sample.class_means
    centre, middle = descriptions.mean(axis=0, dtype=np.float64), means.mean(axis=0)
    deviations = descriptions - centre
    gram = deviations @ deviations.T
    for penalty in grid["penalty"]:
        dual = np.linalg.solve(gram + penalty * np.eye(len(gram)), means - middle)
        weights = deviations.T @ dual
        yield {"penalty": penalty}, ClassMean(means, weights, middle - centre @ weights)


METHOD = LinearMethod("class_mean", {"penalty": tuple(10.0**power for power in range(-3, 3))}, solutions)
