"""Stage 3: head columns of unseen classes from predicted importances (NIWT Eq. 3), by a gradient of a gradient.

Dimensions: P support images, H x W positions, N neurons, D features, S seen and U unseen classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.niwt.transfer_closed_form import anchor_column


@dataclass(frozen=True)
class TransferOptions:
    """How Eq. 3 is minimised.

    Attributes:
        regularization: lambda, the weight of the distance between a new column and the anchor.
        anchor: "mean" is the mean seen column (the paper), "zero" lets the seen columns' common part go.
        regularizer: "norm" is that distance (the paper), "squared" half its square (the released code).
        learning_rate: of Adam.
        batch_size: (support image, class) pairs a step; each class appears as often as every other.
        max_steps: upper bound on the steps.
        patience: steps without an improvement of the loss by 1 % after which it stops.
        seed: draws the initial columns and the pairs.
    """

    regularization: float = 1e-3
    anchor: str = "mean"
    regularizer: str = "norm"
    learning_rate: float = 1e-2
    batch_size: int = 64
    max_steps: int = 1000
    patience: int = 40
    seed: int = 0


@dataclass(frozen=True)
class Transfer:
    """Columns of new classes.

    Attributes:
        columns: float32 [D, U].
        biases: float32 [U]; of a descent the mean seen bias, for importance does not determine one.
        losses: float32 [steps], Eq. 3 on each step's batch; [0] for the closed form.
        mean_cosine: of predicted and reached importances; of a descent over its last 10 steps, without the regulariser.
    """

    columns: np.ndarray
    biases: np.ndarray
    losses: np.ndarray
    mean_cosine: float


def initial_columns(seen_columns: np.ndarray, num_unseen: int, seed: int) -> np.ndarray:
    """Draw columns [D, U] from a normal distribution with each dimension's mean and deviation over the seen ones [D, S]."""
    generator = np.random.default_rng(seed)
    mean, deviation = seen_columns.mean(axis=1, keepdims=True), seen_columns.std(axis=1, keepdims=True)
    return generator.normal(mean, deviation, (len(seen_columns), num_unseen)).astype(np.float32)


def transfer_loss(
    tail: Callable[..., tf.Tensor], columns: tf.Tensor, maps: tf.Tensor, classes: tf.Tensor, targets: tf.Tensor,
    anchor: tf.Tensor, options: TransferOptions
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return Eq. 3 for a batch of (support image, class) pairs, and its mean cosine; both scalars.

    Args:
        tail: conv map -> features.
        columns: [U, D], one row a class.
        maps: conv maps [B, H, W, N] of the support images.
        classes: [B], the class that each image is paired with.
        targets: [U, N], predicted importances of unit length.
        anchor: [D], what lambda holds the columns to.
        options: lambda and the regulariser.
    """
    importance = importance_of_maps(tail, maps, tf.gather(columns, classes))
    cosine = tf.reduce_sum(tf.math.l2_normalize(importance, axis=1) * tf.gather(targets, classes), axis=1)
    mean_cosine = tf.reduce_mean(cosine)
    return 1.0 - mean_cosine + penalty(columns, anchor, options), mean_cosine


def penalty(columns: tf.Tensor, anchor: tf.Tensor, options: TransferOptions) -> tf.Tensor:
    """Return lambda times the mean distance (or half its square) of columns [U, D] from the anchor [D]."""
    squared = tf.reduce_sum(tf.square(columns - anchor), axis=1)
    # The small constant keeps the gradient of the norm finite where a column equals the anchor.
    distance = tf.sqrt(squared + 1e-12) if options.regularizer == "norm" else squared / 2
    return options.regularization * tf.reduce_mean(distance)


def transfer_columns(
    tail: Callable[..., tf.Tensor], support_maps: np.ndarray, importances: np.ndarray, seen_columns: np.ndarray,
    seen_biases: np.ndarray, options: TransferOptions, on_step: Callable[[int, float], None] | None = None
) -> Transfer:
    """Optimise the columns of all unseen classes together until their importances match (Eq. 3).

    The outer tape watches only the new columns, so nothing else moves. The same arguments give the same columns.

    Args:
        tail: conv map -> features, called as `tail(maps, training=False)`.
        support_maps: [P, H, W, N] conv maps of the support images.
        importances: [U, N] predicted by the map; only their direction matters.
        seen_columns: [D, S].
        seen_biases: [S].
        options: see `TransferOptions`.
        on_step: called with the step and its loss.
    """
    targets = tf.math.l2_normalize(tf.constant(importances, tf.float32), axis=1)
    anchor = tf.constant(anchor_column(seen_columns, options.anchor), tf.float32)
    maps = tf.constant(support_maps)

    def loss_of(columns: tf.Tensor, images: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return transfer_loss(tail, columns, tf.gather(maps, images), classes, targets, anchor, options)

    pairs = _pairs(len(support_maps), len(importances), options)
    return minimise(loss_of, pairs, len(importances), seen_columns, seen_biases, options, on_step)


def minimise(
    loss_of: Callable[..., tuple[tf.Tensor, tf.Tensor]], batches: Iterator[tuple[np.ndarray, ...]], num_unseen: int,
    seen_columns: np.ndarray, seen_biases: np.ndarray, options: TransferOptions,
    on_step: Callable[[int, float], None] | None = None, start: np.ndarray | None = None
) -> Transfer:
    """Descend with Adam until the loss no longer falls.

    Args:
        loss_of: (columns [U, D], *batch) -> (loss, mean cosine).
        batches: endless; tuples of index arrays.
        num_unseen: U.
        seen_columns: [D, S].
        seen_biases: [S].
        options: rate, steps and patience.
        on_step: called with the step and its loss.
        start: first columns [D, U]; None draws them as the paper does.
    """
    first = initial_columns(seen_columns, num_unseen, options.seed) if start is None else start
    columns = tf.Variable(np.ascontiguousarray(first.T, np.float32))
    optimiser = keras.optimizers.Adam(options.learning_rate)
    optimiser.build([columns])

    @tf.function(autograph=False)
    def step(*batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(columns)
            loss, cosine = loss_of(tf.convert_to_tensor(columns), *batch)
        optimiser.apply([tape.gradient(loss, columns)], [columns])
        return loss, cosine

    losses: list[float] = []
    cosines: list[float] = []
    best, best_step = np.inf, 0
    for number in range(options.max_steps):
        loss, cosine = step(*(tf.constant(part) for part in next(batches)))
        losses.append(float(loss))
        cosines.append(float(cosine))
        if on_step:
            on_step(number, losses[-1])
        if losses[-1] < 0.99 * best:
            best, best_step = losses[-1], number
        elif number - best_step >= options.patience:
            break
    biases = np.full(num_unseen, seen_biases.mean(), np.float32)
    return Transfer(columns.numpy().T, biases, np.asarray(losses, np.float32), float(np.mean(cosines[-10:])))


def _pairs(num_images: int, num_unseen: int, options: TransferOptions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield endless batches of (image indices, class indices), both walked through in reshuffled passes."""
    generator = np.random.default_rng(options.seed + 1)
    images = reshuffled(num_images, options.batch_size, generator)
    classes = reshuffled(num_unseen, options.batch_size, generator)
    while True:
        yield next(images), next(classes)


def reshuffled(count: int, size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield endless batches of `size` indices below `count`, walked through in passes that are shuffled anew."""
    indices = np.empty(0, np.int32)
    while True:
        while len(indices) < size:
            indices = np.concatenate([indices, generator.permutation(count).astype(np.int32)])
        yield indices[:size]
        indices = indices[size:]
