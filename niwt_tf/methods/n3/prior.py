"""A linear prior of the head: from a class's pooled tokens to the mean of its standardised features, by ridge regression.

As -|x - m|^2 / 2 = x.m - |m|^2 / 2 and a term without the class, a class of mean m has the column m and the bias -|m|^2 / 2.
In training a class's prior comes from the others alone, for that of an unseen class does too.

Dimensions: S seen classes, K classes, E numbers of a token, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_PENALTIES = tuple(10.0 ** (power / 2) for power in range(-8, 5))


@dataclass(frozen=True)
class LinearPrior:
    """The fitted regression.

    Attributes:
        centre: float32 [E], the mean of the seen classes' pooled tokens.
        weights: float32 [E, D].
        bias: float32 [D].
    """

    centre: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, pooled: np.ndarray, means: np.ndarray) -> tuple[LinearPrior, np.ndarray]:
        """Fit pooled tokens [S, E] to means [S, D] at the penalty that predicts classes best that are left out.

        Returns:
            The prior, and the seen classes' head [S, D + 1], each predicted without its own mean.
        """
        centre, middle = pooled.mean(axis=0, dtype=np.float64), means.mean(axis=0, dtype=np.float64)
        rows, wanted = pooled - centre, means - middle
        gram = rows @ rows.T
        unit = max(float(np.trace(gram)) / len(gram), 1e-12)
        best, found = np.inf, (np.zeros_like(wanted), np.zeros_like(wanted))
        for penalty in _PENALTIES:
            inverse = np.linalg.inv(gram + penalty * unit * np.eye(len(gram)))
            dual = inverse @ wanted
            # The residual of a class that is left out, of the means of the others too, in closed form (Allen's PRESS).
            left_out = dual / (np.diag(inverse) - 1 / (len(gram) * penalty * unit))[:, None]
            error = float(np.square(left_out).sum())
            if error < best:
                best, found = error, (dual, wanted - left_out)
        dual, predicted = found
        made = cls(centre.astype(np.float32), (rows.T @ dual).astype(np.float32), middle.astype(np.float32))
        return made, _head(predicted + middle)

    def __call__(self, pooled: np.ndarray) -> np.ndarray:
        """Return the head [K, D + 1] of classes by their pooled tokens [K, E]."""
        return np.asarray(self.head(tf.constant(pooled, tf.float32)))

    def head(self, pooled: Any) -> Any:
        """Return what calling it does, of a tensor and as one."""
        means = tf.matmul(pooled - self.centre, self.weights) + self.bias
        return tf.concat([means, -0.5 * tf.reduce_sum(tf.square(means), axis=1, keepdims=True)], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        return {"prior_centre": self.centre, "prior_weights": self.weights, "prior_bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LinearPrior | None:
        """Return what `arrays` gave, or None where there is no prior."""
        if "prior_weights" not in arrays:
            return None
        return cls(arrays["prior_centre"], arrays["prior_weights"], arrays["prior_bias"])


def _head(means: np.ndarray) -> np.ndarray:
    return np.concatenate([means, -0.5 * np.square(means).sum(axis=1, keepdims=True)], axis=1).astype(np.float32)
