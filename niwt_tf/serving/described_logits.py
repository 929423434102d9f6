"""Logits of classes that are given as descriptions in a request: `ColumnMap` as a part of a signature's graph."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from niwt_tf.method.column_map import ColumnMap

TOO_LARGE = "descriptions must not be so large that their lengths or logits overflow."


def described_logits(
    features: tf.Tensor, descriptions: tf.Tensor, variables: Mapping[str, tf.Variable], column_map: ColumnMap
) -> tf.Tensor:
    """Return logits [B, M] of images with features [B, D] for classes with raw descriptions [B, M, K].

    The columns themselves are not made: with z the targets of a description, its logit is (features . basis) . z, scaled
    and shifted as `ColumnMap` does.

    Args:
        features: float32.
        descriptions: float32, in the units of the knowledge.
        variables: those of `map_variables.MAP_VARIABLES`.
        column_map: gives what is fixed: the normalisation, the blocks, and how a bias is found.

    Raises:
        tf.errors.InvalidArgumentError: a description has another length than K, is not finite, or is too large for the logits
            of float32 (when the operation runs).
    """
    # Only Python's interface compares a request with the shape of a signature, and a single number would be broadcast.
    descriptions = tf.ensure_shape(descriptions, [None, None, len(column_map.importance_map.normaliser.centre)])
    descriptions = tf.debugging.assert_all_finite(descriptions, "descriptions must be finite numbers.")
    how, blocks = column_map.importance_map.normaliser.how, column_map.blocks
    shifted = descriptions - variables["centre"]
    normalised = descriptions if how == "raw" else tf.math.divide_no_nan(shifted, _length(shifted))
    predicted = tf.einsum("bmk,nk->bmn", normalised, variables["map_weights"]) + variables["map_bias"]
    discriminant = column_map.is_discriminant
    parts = [
        (predicted[..., rows] if discriminant else _directions(predicted[..., rows])) * float(weight)
        for rows, weight in zip(blocks.slices, blocks.weights, strict=True)
    ]
    targets = tf.concat([*parts, tf.ones_like(predicted[..., :1])], axis=-1)
    logits = tf.einsum("be,bme->bm", tf.matmul(features, variables["basis"]), targets)
    mean, deviation, raw_bias = tf.unstack(variables["statistics"])
    if column_map.statistics is None and not discriminant:
        return _finite(logits + raw_bias)
    variance = tf.einsum("bme,ef,bmf->bm", targets, variables["covariance"], targets, optimize="greedy")
    if discriminant:
        return _finite(logits - tf.einsum("bme,e->bm", targets, variables["means"]) - variance / 2)
    deviations = tf.sqrt(tf.maximum(variance, 0.0))
    scales = tf.where(deviations > 0, tf.math.divide_no_nan(deviation, deviations), tf.ones_like(deviations))
    return _finite(logits * scales + mean - tf.einsum("bme,e->bm", targets, variables["means"]) * scales)


def _directions(values: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(values, _length(values))


def _length(values: tf.Tensor) -> tf.Tensor:
    # What is divided by infinity is 0, as if nothing had been described.
    return _finite(tf.norm(values, axis=-1, keepdims=True))


def _finite(values: tf.Tensor) -> tf.Tensor:
    return tf.debugging.assert_all_finite(values, TOO_LARGE)
