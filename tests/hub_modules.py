"""Modules for the tests of hub backbones, written as SavedModels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

SIZE = 16
DECAY = 1e-2


class Layers(tf.Module):
    """Two convolutions with something like batch norm between them."""

    def __init__(self) -> None:
        super().__init__()
        random = tf.random.Generator.from_seed(1)
        self.first = tf.Variable(random.normal([3, 3, 3, 4]) * 0.4, name="first/kernel")
        self.second = tf.Variable(random.normal([3, 3, 4, 6]) * 0.4, name="second/kernel")
        self.mean = tf.Variable(tf.zeros([4]), trainable=False, name="norm/mean")
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")

    def maps(self, images: Any, training: bool) -> tuple[Any, Any]:
        """Return the maps [B, 8, 8, 4] and [B, 4, 4, 6]; training moves the mean and uses the batch's own."""
        first = tf.nn.conv2d(images, self.first, 2, "SAME")
        mean = self.mean.read_value()
        if training:
            mean = tf.reduce_mean(first, [0, 1, 2])
            self.mean.assign(0.5 * self.mean + 0.5 * mean)
            self.steps.assign_add(1)
        first = tf.nn.relu(first - mean)
        return first, tf.nn.relu(tf.nn.conv2d(first, self.second, 2, "SAME"))


class Reusable(Layers):
    """The convention of image feature vectors, with endpoints and regularisation."""

    def __init__(self) -> None:
        super().__init__()
        self.regularization_losses = [self.decay]

    @tf.function(input_signature=[])
    def decay(self) -> Any:
        """Return the penalty of the first kernel."""
        return DECAY * tf.nn.l2_loss(self.first)

    @tf.function
    def __call__(self, images: Any, training: bool = False, return_endpoints: bool = False) -> Any:
        """Return the features [B, 6], or every endpoint by name."""
        first, second = self.maps(images, training)
        features = tf.reduce_mean(second, [1, 2])
        return {"net/first": first, "net/second": second, "default": features} if return_endpoints else features


class OnlyFeatures(Layers):
    """No inner map."""

    @tf.function
    def __call__(self, images: Any, training: bool = False) -> Any:
        """Return the features [B, 6]."""
        return tf.reduce_mean(self.maps(images, training)[1], [1, 2])


class Dictionary(Layers):
    """One call, without options, that returns a dictionary."""

    @tf.function
    def __call__(self, images: Any) -> Any:
        """Return the last map and the features."""
        last = self.maps(images, False)[1]
        return {"last": last, "default": tf.reduce_mean(last, [1, 2])}


class Signature(Layers):
    """No call, only a signature."""

    @tf.function
    def serve(self, pixels: Any) -> Any:
        """Return the last map."""
        return {"conv": self.maps(pixels, False)[1]}


def save_reusable(folder: Path, size: int | None = SIZE, module: tf.Module | None = None) -> Path:
    """Write a module with its four calls; a size of None takes images of any size."""
    module = module or Reusable()
    images = tf.TensorSpec([None, size, size, 3], tf.float32)
    for training in (False, True):
        for endpoints in (False, True):
            module.__call__.get_concrete_function(images, training=training, return_endpoints=endpoints)
    tf.saved_model.save(module, str(folder))
    return folder


def save_only_features(folder: Path) -> Path:
    """Write a module without an inner map."""
    module = OnlyFeatures()
    for training in (False, True):
        module.__call__.get_concrete_function(tf.TensorSpec([None, SIZE, SIZE, 3]), training=training)
    tf.saved_model.save(module, str(folder))
    return folder


def save_dictionary(folder: Path) -> Path:
    """Write a module whose call returns a dictionary."""
    module = Dictionary()
    module.__call__.get_concrete_function(tf.TensorSpec([None, SIZE, SIZE, 3]))
    tf.saved_model.save(module, str(folder))
    return folder


def save_signature(folder: Path) -> Path:
    """Write a SavedModel with a signature and nothing to call."""
    module = Signature()
    signature = module.serve.get_concrete_function(tf.TensorSpec([None, SIZE, SIZE, 3], name="pixels"))
    tf.saved_model.save(module, str(folder), signatures={"maps": signature})
    return folder
