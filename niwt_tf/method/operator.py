"""Importance as a linear operator of the head column, averaged over images.

The logit is f(a) . w, so alpha(x) = M(x) w with M(x) [N, D] the tail's Jacobian averaged over positions: row n is the tail's
directional derivative along "one at every position of channel n, divided by H W". Averaged over images, M gives the mean
importance of any column by one matrix product.

Dimensions: P images, H x W positions, N neurons, D features, L groups of images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tqdm import tqdm

_LARGEST_BATCH = 256
_LARGEST_TENSOR = 2**24  # values of the repeated map, 64 MB in float32


def mean_operators(
    tail: Callable[..., tf.Tensor], maps: np.ndarray, members: np.ndarray, *, progress: bool = False
) -> np.ndarray:
    """Return the mean of M(x) over each group of images, float32 [L, N, D], by forward-mode differentiation.

    One image and so many neurons are differentiated at a time that the repeated map has at most 2**24 values.

    Args:
        tail: conv map [B, H, W, N] -> features [B, D].
        maps: conv maps [P, H, W, N].
        members: bool [L, P], which images are in which group; each group has at least one.
        progress: show a bar.
    """
    height, width, neurons = maps.shape[1:]
    directions = tf.eye(neurons) / (height * width)
    chunk = min(_LARGEST_BATCH, max(1, _LARGEST_TENSOR // (height * width * neurons)))

    @tf.function
    def rows(conv_map: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        count = tf.shape(direction)[0]
        tangents = tf.broadcast_to(direction[:, None, None, :], [count, height, width, neurons])
        repeated = tf.broadcast_to(conv_map[None], [count, height, width, neurons])
        with tf.autodiff.ForwardAccumulator(repeated, tangents) as accumulator:
            features = tail(repeated, training=False)
        return accumulator.jvp(features)

    sums: np.ndarray | None = None
    for image in tqdm(range(len(maps)), desc="operator", unit="image", disable=not progress):
        groups = np.flatnonzero(members[:, image])
        if not len(groups):
            continue
        conv_map = tf.constant(maps[image])
        parts = [
            rows(conv_map, directions[start : start + chunk]).numpy() for start in range(0, neurons, chunk)
        ]
        operator = np.concatenate(parts)
        if sums is None:
            sums = np.zeros((len(members), *operator.shape), np.float32)
        sums[groups] += operator
    assert sums is not None, "every group must have an image"
    return sums / members.sum(axis=1)[:, None, None].astype(np.float32)


def solve_columns(
    operator: np.ndarray, importances: np.ndarray, seen_columns: np.ndarray, regularization: float
) -> np.ndarray:
    """Return columns [D, U] whose mean importances are nearest to those predicted: Eq. 3's averaged problem in closed form.

    w = argmin ||J w - s a||^2 + lambda t ||w - mean||^2 with J the mean operator, a the predicted direction, s the mean
    importance length of the seen columns, mean their mean and t = trace(J J') / N. Solved in the N x N dual form.

    Args:
        operator: J [N, D].
        importances: [U, N]; only their direction matters.
        seen_columns: [D, S].
        regularization: lambda, above 0.
    """
    operator = np.asarray(operator, np.float64)
    mean = seen_columns.mean(axis=1, dtype=np.float64)[:, None]
    length = np.linalg.norm(operator @ seen_columns, axis=0).mean()
    norms = np.linalg.norm(importances, axis=1, keepdims=True)
    targets = length * np.divide(importances, norms, out=np.zeros(importances.shape), where=norms > 0).T
    gram = operator @ operator.T
    penalty = regularization * max(np.trace(gram) / len(gram), 1e-12)
    dual = np.linalg.solve(gram + penalty * np.eye(len(gram)), targets - operator @ mean)
    return (mean + operator.T @ dual).astype(np.float32)


def mean_cosine(operator: np.ndarray, columns: np.ndarray, importances: np.ndarray) -> float:
    """Return the mean over classes of the cosine between J w and the predicted importance."""
    reached = (operator @ columns).T
    lengths = np.linalg.norm(reached, axis=1) * np.linalg.norm(importances, axis=1)
    products = (reached * importances).sum(axis=1)
    return float(np.divide(products, lengths, out=np.zeros(len(products)), where=lengths > 0).mean())
