"""ESZSL: "An embarrassingly simple approach to zero-shot learning" (Romera-Paredes and Torr, ICML 2015), Eq. 5.

Dimensions: M images, D features, S seen classes, K description entries.
"""

from __future__ import annotations

import copy
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
        signs = np.where(labels[:, None] == np.arange(len(descriptions)), 1.0, -1.0)
        self._feature_values, self._feature_vectors = np.linalg.eigh(features.T @ features)
        self._moments = self._feature_vectors.T @ (features.T @ signs)
        self._describe(descriptions)

    def with_descriptions(self, descriptions: np.ndarray) -> ESZSLPath:
        """Return the path for other descriptions [S, K] of the same classes; the features are not decomposed again."""
        other = copy.copy(self)
        other._describe(descriptions)
        return other

    def solve(self, gamma: float, lambda_: float) -> ESZSL:
        """Return the solution for one pair of penalties."""
        return ESZSL(self._feature_vectors @ self._scaled(gamma, lambda_) @ self._entry_vectors.T)

    def rotated(self, features: np.ndarray, descriptions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features [M, D] and descriptions [C, K] in the eigenvectors' coordinates, for `scores`."""
        return features @ self._feature_vectors, descriptions @ self._entry_vectors

    def scores(self, gamma: float, lambda_: float, rotated: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return what `solve(gamma, lambda_).scores` gives [M, C], without forming the solution."""
        features, descriptions = rotated
        return features @ (self._scaled(gamma, lambda_) @ descriptions.T)

    def _describe(self, descriptions: np.ndarray) -> None:
        descriptions = np.asarray(descriptions, np.float64)
        self._entry_values, self._entry_vectors = np.linalg.eigh(descriptions.T @ descriptions)
        self._rotated = self._moments @ descriptions @ self._entry_vectors

    def _scaled(self, gamma: float, lambda_: float) -> np.ndarray:
        return self._rotated / (self._feature_values + gamma)[:, None] / (self._entry_values + lambda_)[None, :]


def fit(features: np.ndarray, labels: np.ndarray, descriptions: np.ndarray, *, gamma: float, lambda_: float) -> ESZSL:
    """Fit ESZSL; arguments as in `ESZSLPath`."""
    return ESZSLPath(features, labels, descriptions).solve(gamma, lambda_)
