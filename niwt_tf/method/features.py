"""Features and predictions of many images, streamed: only the result is held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.models.network import Network


def pooled_features(network: Network, images: Images, batch_size: int = 32, progress: bool = False) -> np.ndarray:
    """Return what the head is applied to, float32 [M, D], in the order of `images`, in inference mode."""

    def features(batch: tf.Tensor) -> tf.Tensor:
        return network.tail(network.trunk(batch, training=False), training=False)

    return _streamed(features, network, network.num_features, images, batch_size, progress, "features")


def pooled_maps(network: Network, images: Images, batch_size: int = 32, progress: bool = False) -> np.ndarray:
    """Return the conv map's mean over positions, float32 [M, N], in the order of `images`."""

    def pooled(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(network.trunk(batch, training=False), axis=[1, 2])

    return _streamed(pooled, network, network.num_neurons, images, batch_size, progress, "features")


SOURCES = {"head": pooled_features, "map": pooled_maps}


class FeatureBank:
    """Features of images under one frozen network; each image is computed once, whoever asks for it."""

    def __init__(self, network: Network, batch_size: int = 32, progress: bool = False, source: str = "head") -> None:
        """Start empty. `network` is only read; `source` is "head" (what the head is applied to) or "map" (the pooled map)."""
        self._network, self._batch_size, self._progress, self._features = network, batch_size, progress, SOURCES[source]
        self._width = network.num_features if source == "head" else network.num_neurons
        self._rows: dict[str, np.ndarray] = {}

    def __call__(self, images: Images) -> np.ndarray:
        """Return features [M, D] in the order of `images`; all calls must share one root folder."""
        absent = np.flatnonzero([path not in self._rows for path in images.paths])
        if len(absent):
            asked = images.take(absent)
            rows = self._features(self._network, asked, self._batch_size, self._progress)
            self._rows.update(zip(asked.paths, rows, strict=True))
        return np.array([self._rows[path] for path in images.paths], np.float32).reshape(len(images), self._width)


def image_logits(network: Network, images: Images, batch_size: int = 32, progress: bool = False) -> np.ndarray:
    """Return logits, float32 [M, C], in the order of `images`."""

    def logits(batch: tf.Tensor) -> tf.Tensor:
        return network.model(batch, training=False)

    return _streamed(logits, network, len(network.class_names), images, batch_size, progress, "predict")


def _streamed(
    function: Callable[[tf.Tensor], Any],
    network: Network,
    width: int,
    images: Images,
    batch_size: int,
    progress: bool,
    what: str,
) -> np.ndarray:
    size = network.input_size
    # One trace for every batch size: the last batch is a smaller one.
    compiled = tf.function(function, input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)])
    result = np.empty((len(images), width), np.float32)
    done = 0
    with tqdm(total=len(images), desc=what, unit="image", disable=not progress) as bar:
        for batch, _ in image_batches(images, size, batch_size) if len(images) else ():
            rows = compiled(batch).numpy()
            result[done : done + len(rows)] = rows
            done += len(rows)
            bar.update(len(rows))
    return result
