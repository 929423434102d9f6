"""Where a network looks, and how much each neuron counts, for the logits of any classes and for their differences.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017). All functions take
batches, treat each row for itself, and can be traced or compiled for any device.
Dimensions: B images, S pixels a side, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

import tensorflow as tf


def importance(gradients: tf.Tensor) -> tf.Tensor:
    """Return alpha [B, N], the mean over positions of gradients [B, H, W, N] (Eq. 1)."""
    return tf.reduce_mean(gradients, axis=[1, 2])


def grad_cam(maps: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """Return Grad-CAM float32 [B, H, W], ReLU(sum_n alpha_n a_n), each scaled to a maximum of 1; one without evidence is 0.

    Of maps [B, H, W, N] and the importances float32 [B, N] for a class or for a difference of two.
    """
    summed = tf.reduce_sum(tf.cast(maps, tf.float32) * alphas[:, None, None, :], axis=-1)
    return scaled_to_one(tf.nn.relu(summed))


def scaled_to_one(heat: tf.Tensor) -> tf.Tensor:
    """Return maps [B, H, W] of values from 0, each divided by its maximum; a map of 0 stays 0."""
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=[1, 2], keepdims=True))


def upsampled(heat: tf.Tensor, size: int) -> tf.Tensor:
    """Return maps [B, H, W] as float32 [B, size, size], bilinear between the centres of positions and constant beyond them."""
    return resized(heat, tf.constant(size), tf.constant(size))


def resized(heat: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Return maps [B, H, W] as float32 [B, height, width], bilinear likewise."""
    # XLA's own resize is wrong at the borders.
    rows, columns = _interpolation(tf.shape(heat)[1], height), _interpolation(tf.shape(heat)[2], width)
    return tf.matmul(tf.matmul(rows, heat), columns, transpose_b=True)


def _interpolation(count: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the matrix [size, count] that interpolates `count` values at `size` places."""
    positions = tf.cast(tf.range(count), tf.float32)
    steps = tf.cast(count, tf.float32) / tf.cast(size, tf.float32)
    places = (tf.range(tf.cast(size, tf.float32)) + 0.5) * steps - 0.5
    places = tf.clip_by_value(places, 0.0, tf.cast(count - 1, tf.float32))
    return tf.nn.relu(1.0 - tf.abs(places[:, None] - positions))


def unit_length(vectors: tf.Tensor) -> tf.Tensor:
    """Return vectors [B, N] divided by their L2 norms, however short they are; 0 stays 0."""
    # Squares of small gradients would underflow.
    scaled = tf.math.divide_no_nan(vectors, tf.reduce_max(tf.abs(vectors), axis=1, keepdims=True))
    return tf.math.divide_no_nan(scaled, tf.norm(scaled, axis=1, keepdims=True))


def attribute_weights(alphas: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Return the inverse map [B, K] at importances [B, N] brought to unit length.

    Of its weights [K, N] and its bias [K], None for a difference of importances, in which it cancels.
    """
    product = tf.matmul(unit_length(alphas), weights, transpose_b=True)
    return product if bias is None else product + bias
