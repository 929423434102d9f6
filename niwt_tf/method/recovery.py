"""Columns back from importances alone: Eq. 3 over every image by least squares, exact where the importances are.

alpha_c(x) = M(x) w_c for every image x, so that w_c = argmin sum_x ||M(x) w - alpha_c(x)||^2. The mean over images, J w_c, has
only N equations for D unknowns; all images together have as many as their operators tell apart. Noise of size epsilon on
alpha_c(x) changes the right side by epsilon times one fixed sum, so that one pass over the images serves every epsilon.

Dimensions: B images at a time, N neurons, D features, C classes, R draws of noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.method.importance import importance_of_maps
from niwt_tf.method.jacobian import jacobian_of
from niwt_tf.method.tail_factors import factor_tail

# Eigenvalues below this share of the largest are rounding error of float32 masks and kernels summed in float64.
_SINGULAR = 1e-12
_LARGEST = 2**27  # bytes of the matrices [B, N, D] that are made together


@dataclass(frozen=True)
class ImportanceSystem:
    """The normal equations of least squares, summed over images in float64.

    Attributes:
        gram: sum of M(x)' M(x), [D, D].
        right: sum of M(x)' alpha_c(x), [D, C].
        noise: what standard normal noise for each image, times the mean magnitude of the importance, adds, [R, D, C].
        shared_noise: the same where a class's noise is the same for every image, [R, D, C].
        mean: J [N, D], the mean of M(x).
        num_images: summed over.
        disagreement: largest difference of M(x) w from Eq. 1's gradient in float32, as a share of the largest importance.
    """

    gram: np.ndarray
    right: np.ndarray
    noise: np.ndarray
    shared_noise: np.ndarray
    mean: np.ndarray
    num_images: int
    disagreement: float

    def solver(self) -> ColumnSolver:
        """Return what solves for columns; decomposed once."""
        return ColumnSolver(self.gram)


class ColumnSolver:
    """Solutions of (G + lambda t I) w = r, with t the mean eigenvalue of G [D, D]; lambda 0 is the pseudo-inverse.

    Attributes:
        rank: of G; D where importances determine a column.
    """

    def __init__(self, gram: np.ndarray) -> None:
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._determined = self._values > _SINGULAR * max(float(self._values.max(initial=0.0)), 1e-300)
        self.rank = int(self._determined.sum())

    def columns(self, right: np.ndarray, regularization: float = 0.0) -> np.ndarray:
        """Return columns [.., D, C] for right sides [.., D, C]."""
        penalised = self._values + regularization * float(self._values.mean())
        inverse = np.divide(1.0, penalised, out=np.zeros_like(penalised), where=self._determined)
        return np.asarray(self._vectors @ (inverse[:, None] * (self._vectors.T @ right)))


def importance_system(
    tail: Any, maps: Iterable[tf.Tensor], columns: np.ndarray, *, draws: int, seed: int, jit: bool = False
) -> ImportanceSystem:
    """Sum the normal equations over images, in memory that does not grow with their number.

    Args:
        tail: Keras model, conv map [B, H, W, N] -> features [B, D].
        maps: batches of conv maps [B, H, W, N], one at least.
        columns: [D, C], whose importances are taken.
        draws: R, of the noise.
        seed: of the noise.
        jit: compile with XLA.
    """
    matrices_of = tail_matrices(tail, jit=jit)
    wanted = tf.constant(columns, tf.float64)
    features, classes = columns.shape
    neurons = int(tail.input_shape[-1])
    gram, right = np.zeros((features, features)), np.zeros((features, classes))
    noise, shared = np.zeros((draws, features, classes)), np.zeros((draws, features, classes))
    mean = np.zeros((neurons, features))
    common = [tf.random.stateless_normal([neurons, classes], [seed, -1 - draw], dtype=tf.float64) for draw in range(draws)]

    @tf.function(reduce_retracing=True)
    def sums(matrices: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Sum over matrices [B, N, D] of the images from `first` on."""
        stacked = tf.reshape(matrices, [-1, features])
        importances = tf.reshape(tf.matmul(stacked, wanted), [-1, neurons, classes])
        magnitude = tf.reduce_mean(tf.abs(importances), axis=1, keepdims=True)

        def added(noise: tf.Tensor) -> tf.Tensor:
            scaled = tf.reshape(tf.broadcast_to(magnitude * noise, tf.shape(importances)), [-1, classes])
            return tf.matmul(stacked, scaled, transpose_a=True)

        shape = tf.shape(importances)
        own = [tf.random.stateless_normal(shape, [seed + draw, first], dtype=tf.float64) for draw in range(draws)]
        return (
            tf.matmul(stacked, stacked, transpose_a=True),
            tf.matmul(stacked, tf.reshape(importances, [-1, classes]), transpose_a=True),
            tf.stack([added(each) for each in own]),
            tf.stack([added(each) for each in common]),
            tf.reduce_sum(matrices, axis=0),
        )

    together = max(1, _LARGEST // (8 * neurons * features))
    count, disagreement = 0, float("nan")
    for batch in maps:
        for start in range(0, len(batch), together):
            some = batch[start : start + together]
            matrices = matrices_of(some)
            if count == 0:
                disagreement = _disagreement(tail, some, columns, matrices)
            found = [part.numpy() for part in sums(matrices, tf.constant(count, tf.int32))]
            for total, part in zip((gram, right, noise, shared, mean), found, strict=True):
                total += part
            count += len(some)
    assert count, "importances of at least one image are needed"
    return ImportanceSystem(gram, right, noise, shared, mean / count, count, disagreement)


def tail_matrices(tail: Any, *, jit: bool = False) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from conv maps [B, H, W, N] to M(x) in float64, [B, N, D].

    From the factors where the tail has them, which keeps them exact in float64; else the Jacobian in the tail's own precision.
    """
    factors = factor_tail(tail)
    if factors is None:
        jacobian = jacobian_of(tail, jit=jit)
        return lambda maps: tf.constant(np.stack([jacobian(conv_map) for conv_map in maps]), tf.float64)
    first, kernels = tf.cast(factors.first, tf.float64), [tf.cast(kernel, tf.float64) for kernel in factors.kernels]

    def matrices_of(maps: tf.Tensor) -> tf.Tensor:
        masks = [tf.cast(mask, tf.float64)[:, None, :] for mask in factors.masks(maps)]
        product = first[None] * masks[0]
        for kernel, mask in zip(kernels, masks[1:], strict=True):
            product = tf.matmul(product, kernel) * mask
        return product

    return matrices_of


def _disagreement(tail: Any, maps: tf.Tensor, columns: np.ndarray, matrices: tf.Tensor) -> float:
    asked = tf.convert_to_tensor(np.repeat(columns[:, :1].T, len(maps), axis=0), maps.dtype)
    gradient = np.asarray(importance_of_maps(tail, tf.convert_to_tensor(maps), asked), np.float64)
    product = np.asarray(matrices) @ columns[:, 0].astype(np.float64)
    return float(np.abs(product - gradient).max() / max(np.abs(gradient).max(), 1e-300))
