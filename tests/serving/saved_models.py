"""Small SavedModels with one fault each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")


def save(folder: Path, call: Callable[..., object], spec: tf.TensorSpec = IMAGES, **variables: tf.Variable) -> Path:
    """Write a SavedModel whose only signature is `call`, under the name `serving_default`."""
    module = tf.Module()
    module.kept = list(variables.values())
    module.call = tf.function(call, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    return folder


def scored(image_bytes: tf.Tensor, values: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the outputs of a signature that gives each image its number as score."""
    return {"labels": tf.repeat([["a"]], tf.size(image_bytes), axis=0), "scores": tf.reshape(values, [-1, 1])}


def brightness(image_bytes: tf.Tensor) -> tf.Tensor:
    """Return float32 [B], the mean of each image over 255."""

    def one(encoded: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255.0

    return tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)
