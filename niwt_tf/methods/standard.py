"""Numbers brought to mean 0 and deviation 1, for what is trained on them.

Dimensions: M images, B of a batch, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_FLOOR = 1e-3  # of a feature's deviation, in units of their mean


@dataclass(frozen=True)
class Standard:
    """Features brought to mean 0 and deviation 1; a head for those is a head for the features as they are.

    Attributes:
        mean: float32 [D].
        deviation: float32 [D].
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Standard:
        """Return what standardises features [M, D] of training images."""
        mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        floor = max(_FLOOR * float(deviation.mean()), 1e-12)
        return cls(mean.astype(np.float32), np.maximum(deviation, floor).astype(np.float32))

    def __call__(self, features: Any) -> Any:
        """Return standardised features [B, D]; arrays and tensors alike."""
        return (features - self.mean) / self.deviation

    def head(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns [D, K] and biases [K] for the features as they are, of [K, D + 1] for standardised ones."""
        rows = columns[:, :-1].astype(np.float64) / self.deviation
        return rows.T.astype(np.float32), (columns[:, -1] - rows @ self.mean).astype(np.float32)
