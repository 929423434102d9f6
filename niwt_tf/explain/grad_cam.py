"""Where a network looks, and how much each neuron counts, for the logits of any classes and for their differences.

All functions take batches, treat each row for itself, and can be traced or compiled for any device.
Dimensions: B images, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

Classes = Sequence[tf.Tensor]


def logits_with_gradients(
    maps: tf.Tensor, logits_of: Callable[[tf.Tensor], tf.Tensor], choose: Callable[[tf.Tensor], Classes]
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
    """Return logits, and the gradients by the map of the logits of classes that are chosen after seeing them.

    One pass forward, and one back for each choice. The gradient of a difference of logits is the difference of gradients.

    Args:
        maps: [B, H, W, N].
        logits_of: maps -> logits [B, C], before any softmax, through tail and head.
        choose: logits [B, C] -> J integer tensors [B], each with a class for each image.

    Returns:
        Logits float32 [B, C], the J chosen tensors and their J gradients float32 [B, H, W, N].
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(maps)
        logits = logits_of(maps)
    chosen = tuple(choose(logits))
    width = tf.shape(logits)[1]
    gradients = tuple(
        tape.gradient(logits, maps, output_gradients=tf.one_hot(classes, width, dtype=logits.dtype)) for classes in chosen
    )
    return tf.cast(logits, tf.float32), chosen, tuple(tf.cast(gradient, tf.float32) for gradient in gradients)


def class_gradients(maps: tf.Tensor, logits_of: Callable[[tf.Tensor], tf.Tensor], classes: tf.Tensor) -> tf.Tensor:
    """Return the gradients float32 [B, H, W, N] by the map of the logits of `classes` [B], one for each image."""
    return logits_with_gradients(maps, logits_of, lambda _: (classes,))[2][0]


def importance(gradients: tf.Tensor) -> tf.Tensor:
    """Return alpha [B, N], the mean over positions of gradients [B, H, W, N] (Eq. 1)."""
    return tf.reduce_mean(gradients, axis=[1, 2])


def grad_cam(maps: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """Return Grad-CAM float32 [B, H, W], ReLU(sum_n alpha_n a_n), each scaled to a maximum of 1; one without evidence is 0.

    Args:
        maps: [B, H, W, N].
        alphas: float32 [B, N], the importance for a class or for a difference of two.
    """
    summed = tf.reduce_sum(tf.cast(maps, tf.float32) * alphas[:, None, None, :], axis=-1)
    return scaled_to_one(tf.nn.relu(summed))


def scaled_to_one(heat: tf.Tensor) -> tf.Tensor:
    """Return maps [B, H, W] of values from 0, each divided by its maximum; a map of 0 stays 0."""
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=[1, 2], keepdims=True))


def upsampled(heat: tf.Tensor, size: int) -> tf.Tensor:
    """Return maps [B, H, W] as float32 [B, size, size], bilinear between the centres of positions and constant beyond them."""
    # XLA's own resize is wrong at the borders.
    rows, columns = (_interpolation(tf.shape(heat)[axis], size) for axis in (1, 2))
    return tf.matmul(tf.matmul(rows, heat), columns, transpose_b=True)


def _interpolation(count: tf.Tensor, size: int) -> tf.Tensor:
    """Return the matrix [size, count] that interpolates `count` values at `size` places."""
    positions = tf.cast(tf.range(count), tf.float32)
    steps = tf.cast(count, tf.float32) / float(size)
    places = tf.clip_by_value((tf.range(size, dtype=tf.float32) + 0.5) * steps - 0.5, 0.0, tf.cast(count - 1, tf.float32))
    return tf.nn.relu(1.0 - tf.abs(places[:, None] - positions))


def unit_length(vectors: tf.Tensor) -> tf.Tensor:
    """Return vectors [B, N] divided by their L2 norms, however short they are; 0 stays 0."""
    # Squares of small gradients would underflow.
    scaled = tf.math.divide_no_nan(vectors, tf.reduce_max(tf.abs(vectors), axis=1, keepdims=True))
    return tf.math.divide_no_nan(scaled, tf.norm(scaled, axis=1, keepdims=True))


def attribute_weights(alphas: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Return the inverse map [B, K] at unit importances.

    Args:
        alphas: [B, N], of any length.
        weights: of the inverse map, [K, N].
        bias: of the inverse map, [K]; None for a difference of importances, in which it cancels.
    """
    product = tf.matmul(unit_length(alphas), weights, transpose_b=True)
    return product if bias is None else product + bias
