"""Features of length 1: what comes between tail and head where a classifier compares directions."""

from __future__ import annotations

from typing import Any

import keras

# The square of a length that is taken for none.
_SMALLEST = 1e-24


@keras.saving.register_keras_serializable(package="niwt_tf")
class UnitFeatures(keras.layers.Layer):
    """Features [B, D] divided by their L2 norms; those of an image without any stay 0. Float32 in every precision."""

    def call(self, features: Any) -> Any:
        """Return features [B, D] of length 1."""
        squares = keras.ops.sum(keras.ops.square(features), axis=-1, keepdims=True)
        return features * keras.ops.rsqrt(keras.ops.maximum(squares, _SMALLEST))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, D]."""
        return tuple(input_shape)
