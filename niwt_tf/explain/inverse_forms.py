"""Two ways to fit a linear map that takes deviations to deviations: ridge regression, and the paper's cosine loss.

Both are fitted in the principal directions of the inputs: their weights lie in the span of the inputs anyway, and there are no
more directions than classes, however many neurons there are.

Dimensions: S classes, N inputs, R <= S principal directions, K targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.method.importance import unit

_SINGULAR = 1e-6  # of the largest singular value; float32's rounding is below that
_LEARNING_RATE = 1e-2
_MEAN_DECAY, _SQUARE_DECAY, _ADAM_EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Directions:
    """The principal directions of inputs.

    Attributes:
        centre: the inputs' mean, float64 [N].
        basis: orthonormal rows, float64 [R, N].
        left: orthonormal columns, float64 [S, R].
        singular: the R singular values of the centred inputs, above 0.
    """

    centre: np.ndarray
    basis: np.ndarray
    left: np.ndarray
    singular: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray) -> Directions:
        """Decompose inputs [S, N]."""
        centre = inputs.mean(axis=0, dtype=np.float64)
        left, singular, basis = np.linalg.svd(inputs - centre, full_matrices=False)
        kept = singular > _SINGULAR * singular[0]
        return cls(centre, basis[kept], left[:, kept], singular[kept])

    @property
    def coordinates(self) -> np.ndarray:
        """The centred inputs in the directions, [S, R]."""
        return self.left * self.singular

    def of_others(self, inputs: np.ndarray) -> np.ndarray:
        """Return the coordinates [M, R] of other inputs [M, N]."""
        return (inputs - self.centre) @ self.basis.T


def closed_form(directions: Directions, targets: np.ndarray, penalties: Sequence[float]) -> Iterator[np.ndarray]:
    """Give, for each ridge penalty, weights [R, K] that minimise the squared error of targets [S, K] plus penalty |W|^2."""
    rotated = directions.left.T @ targets
    for penalty in penalties:
        yield (directions.singular / (directions.singular**2 + penalty))[:, None] * rotated


def cosine_form(directions: Directions, targets: np.ndarray, stops: Sequence[int]) -> Iterator[np.ndarray]:
    """Give weights [R, K] after each number of steps of Adam on 1 - cos(W x, y), averaged over classes (Eq. 2's loss).

    The descent begins at the covariance of inputs and targets. The cosine leaves the length of the weights open: they are given
    at the length that has the smallest squared error.

    Args:
        directions: of the inputs x.
        targets: y, [S, K].
        stops: rising numbers of steps, above 0.
    """
    scale = np.linalg.norm(directions.singular) / np.sqrt(len(targets))
    if not len(directions.singular):
        yield from (np.zeros((0, targets.shape[1])) for _ in stops)
        return
    inputs, wanted = directions.coordinates / scale, unit(targets)
    weights = inputs.T @ targets / len(targets)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, max(stops) + 1):
        predicted = inputs @ weights
        lengths = np.maximum(np.linalg.norm(predicted, axis=1, keepdims=True), 1e-12)
        predicted /= lengths
        cosines = (predicted * wanted).sum(axis=1, keepdims=True)
        gradient = inputs.T @ ((predicted * cosines - wanted) / lengths) / len(targets)
        mean = _MEAN_DECAY * mean + (1 - _MEAN_DECAY) * gradient
        square = _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * gradient**2
        divisor = np.sqrt(square / (1 - _SQUARE_DECAY**step)) + _ADAM_EPSILON
        weights = weights - _LEARNING_RATE * mean / (1 - _MEAN_DECAY**step) / divisor
        if step in stops:
            predicted = inputs @ weights
            length = (predicted * targets).sum() / max((predicted**2).sum(), 1e-300)
            yield weights * (length / scale)
