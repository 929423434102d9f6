"""ESZSL: "An embarrassingly simple approach to zero-shot learning" (Romera-Paredes and Torr, ICML 2015), Eq. 5.

Dimensions: M images, D features, S seen classes, K description entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ESZSL:
    """The bilinear compatibility x' V k.

    Attributes:
        compatibility: float64 [D, K].
    """

    compatibility: np.ndarray

    def scores(self, features: np.ndarray, descriptions: np.ndarray) -> np.ndarray:
        """Return scores [M, C] of features [M, D] for classes described by [C, K]."""
        return features @ self.compatibility @ descriptions.T


class ESZSLPath:
    """Every (gamma, lambda) solution of one training set from two eigendecompositions.

    V = (X'X + gamma I)^-1 X' Y K (K'K + lambda I)^-1 with rows for images and classes, Y in {-1, 1}.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, descriptions: np.ndarray) -> None:
        """Prepare for features [M, D], labels [M] in 0..S-1 and seen descriptions [S, K]."""
        features = np.asarray(features, np.float64)
        descriptions = np.asarray(descriptions, np.float64)
        signs = np.where(labels[:, None] == np.arange(len(descriptions)), 1.0, -1.0)
        self._feature_values, self._feature_vectors = np.linalg.eigh(features.T @ features)
        self._entry_values, self._entry_vectors = np.linalg.eigh(descriptions.T @ descriptions)
        self._rotated = self._feature_vectors.T @ (features.T @ signs @ descriptions) @ self._entry_vectors

    def solve(self, gamma: float, lambda_: float) -> ESZSL:
        """Return the solution for one pair of penalties."""
        scaled = self._rotated / (self._feature_values + gamma)[:, None] / (self._entry_values + lambda_)[None, :]
        return ESZSL(self._feature_vectors @ scaled @ self._entry_vectors.T)


def fit(features: np.ndarray, labels: np.ndarray, descriptions: np.ndarray, *, gamma: float, lambda_: float) -> ESZSL:
    """Fit ESZSL; arguments as in `ESZSLPath`."""
    return ESZSLPath(features, labels, descriptions).solve(gamma, lambda_)
