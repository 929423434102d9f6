"""A covariance of features that stays small: its leading directions, and the variance of each feature that they leave.

Dimensions: M images, D features, R directions, U vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RANK = 128


@dataclass(frozen=True)
class Covariance:
    """F F' + diag(d); the diagonal is that of the whole covariance, and with R = min(D, M) nothing is lost.

    Attributes:
        factor: float32 [D, R], F.
        diagonal: float32 [D], d >= 0.
    """

    factor: np.ndarray
    diagonal: np.ndarray

    @classmethod
    def of(cls, residuals: np.ndarray, rank: int = RANK) -> Covariance:
        """Return the covariance of rows [M, D] whose means have been taken off, to at most `rank` directions."""
        rows = residuals.astype(np.float64) / np.sqrt(max(len(residuals), 1))
        tall = rows.shape[0] > rows.shape[1]
        gram = rows.T @ rows if tall else rows @ rows.T
        size = len(gram)
        kept = min(rank, size)
        values, vectors = np.linalg.eigh(gram)
        values, vectors = values[size - kept :], vectors[:, size - kept :]
        factor = vectors * np.sqrt(np.maximum(values, 0.0)) if tall else rows.T @ vectors
        diagonal = np.maximum((rows**2).sum(axis=0) - (factor**2).sum(axis=1), 0.0)
        return cls(factor.astype(np.float32), diagonal.astype(np.float32))

    @property
    def mean_variance(self) -> float:
        """The mean over features of their variances."""
        factor = self.factor.astype(np.float64)
        return float((np.square(factor).sum() + self.diagonal.sum(dtype=np.float64)) / len(self.diagonal))

    def solve(self, vectors: np.ndarray, penalty: float) -> np.ndarray:
        """Return (F F' + diag(d) + penalty I)^-1 times `vectors` [D, U]; `penalty` > 0. Costs R^3 + D R U, not D^3."""
        factor = self.factor.astype(np.float64)
        inverse = 1.0 / (self.diagonal.astype(np.float64) + penalty)
        scaled = inverse[:, None] * factor
        inner = np.eye(factor.shape[1]) + factor.T @ scaled
        halfway = inverse[:, None] * vectors
        return halfway - scaled @ np.linalg.solve(inner, factor.T @ halfway)

    def deviations(self, columns: np.ndarray) -> np.ndarray:
        """Return [U], the standard deviation over the images of their features times each of the columns [D, U]."""
        columns = columns.astype(np.float64)
        along = np.square(self.factor.astype(np.float64).T @ columns).sum(axis=0)
        return np.sqrt(along + self.diagonal.astype(np.float64) @ np.square(columns))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return both parts as arrays whose names start with `name`; `from_arrays` takes them back."""
        return {f"{name}_factor": self.factor, f"{name}_diagonal": self.diagonal}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], name: str) -> Covariance:
        """Return what `arrays` gave under that name."""
        return cls(arrays[f"{name}_factor"], arrays[f"{name}_diagonal"])
