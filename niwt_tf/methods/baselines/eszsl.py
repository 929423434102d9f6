"""ESZSL: "An embarrassingly simple approach to zero-shot learning" (Romera-Paredes and Torr, ICML 2015), Eq. 5.

V = (X'X + gamma I)^-1 X' Y K (K'K + lambda I)^-1 with rows for images and classes, Y in {-1, 1}; a class scores x' V k.
Every (gamma, lambda) comes from two eigendecompositions.

Dimensions: M images, D features, S seen classes, K description entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values

# Raw features may be long, and gamma is in units of their squares.
_GAMMAS, _LAMBDAS = (tuple(10.0**power for power in range(-3, end)) for end in (6, 4))


@dataclass(frozen=True)
class ESZSL(Fitted):
    """The bilinear compatibility x' V k as V = L S R', so that no [D, K] matrix is formed for a candidate.

    Attributes:
        left: float64 [D, D], eigenvectors of X'X.
        middle: float64 [D, K].
        right: float64 [K, K], eigenvectors of K'K.
    """

    left: np.ndarray
    middle: np.ndarray
    right: np.ndarray

    @property
    def compatibility(self) -> np.ndarray:
        """V, float64 [D, K]."""
        return self.left @ self.middle @ self.right.T

    def layers(self) -> tuple[Layer, ...]:
        """Return V k one factor after the other."""
        return tuple(Layer(factor, np.zeros(factor.shape[1])) for factor in (self.right, self.middle.T, self.left.T))


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, ESZSL]]:
    """Yield the solution for each gamma and lambda of the grid; descriptions [S, K] as they are to be used."""
    values, vectors = sample.spectrum
    sums, _ = sample.class_sums
    descriptions = np.asarray(descriptions, np.float64)
    # Y = 2 (one-hot) - 1.
    moments = vectors.T @ (2 * sums - sums.sum(axis=0)).T
    entry_values, entry_vectors = np.linalg.eigh(descriptions.T @ descriptions)
    rotated = moments @ (descriptions @ entry_vectors)
    for gamma, penalty in itertools.product(grid["gamma"], grid["lambda"]):
        middle = rotated / (values + gamma)[:, None] / (entry_values + penalty)
        yield {"gamma": gamma, "lambda": penalty}, ESZSL(vectors, middle, entry_vectors)


METHOD = LinearMethod("eszsl", {"gamma": _GAMMAS, "lambda": _LAMBDAS}, solutions)
