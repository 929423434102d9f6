"""Problems for Stage 3 with an answer: three tails, support maps, and importances that hidden columns really have.

Dimensions: P support and V held-out maps, H x W positions, N neurons, D features, S seen and U unseen classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.models.backbones import build_network

NUM_SEEN, NUM_UNSEEN = 150, 50
TAILS = ("small_vgg", "mobilenet_v2", "vgg16")
SHARED = 0.0  # of the variance of random maps, over images
_NOISE = 0.1  # of a predicted importance, as a share of its length: a map from descriptions is never exact
_BEHIND_TARGETS = 24  # images that the hidden columns' importances are averaged over
_PAIRS = 64


@dataclass(frozen=True)
class TailProblem:
    """What both sides of the comparison are given.

    Attributes:
        name: of the tail.
        tail: conv map [B, H, W, N] -> features [B, D].
        support: [P, H, W, N], fitted on.
        held_out: [V, H, W, N], that the validation loss is measured on.
        importances: [U, N] predicted: the hidden columns' mean importances, and noise.
        seen_columns: [D, S], with biases [S].
        seen_biases: [S].
    """

    name: str
    tail: Any
    support: np.ndarray
    held_out: np.ndarray
    importances: np.ndarray
    seen_columns: np.ndarray
    seen_biases: np.ndarray

    def loss_of_best(self, candidates: Sequence[np.ndarray]) -> tuple[int, float]:
        """Return which columns [D, U] have the lowest loss on one half of the held-out maps, and theirs on the other half."""
        half = len(self.held_out) // 2
        choosing, scoring = self.held_out[:half], self.held_out[half:]
        losses = [validation_loss(self.tail, choosing, columns, self.importances) for columns in candidates]
        best = int(np.argmin(losses))
        return best, validation_loss(self.tail, scoring, candidates[best], self.importances)

    @property
    def tail_bytes(self) -> int:
        """Size of the tail's weights."""
        return sum(int(np.prod(weight.shape)) * 4 for weight in self.tail.weights)


def problem(name: str, num_support: int = 96, num_held_out: int = 32, num_unseen: int = NUM_UNSEEN) -> TailProblem:
    """Return the problem of a tail: `small_vgg`, `mobilenet_v2` (their default layers) or `vgg16` at its real size."""
    generator = np.random.default_rng(0)
    count = num_support + num_held_out
    if name == "vgg16":
        tail = vgg16_tail()
        maps = random_maps(generator, count, 14, 512)
    else:
        network = build_network(name, [f"class_{c}" for c in range(NUM_SEEN)], weights="none", dropout=0.0)
        tail, maps = network.tail, _trunk_maps(network, generator, count)
    return with_hidden_columns(name, tail, maps[:num_support], maps[num_support:], num_unseen, generator)


def with_hidden_columns(
    name: str, tail: Any, support: np.ndarray, held_out: np.ndarray, num_unseen: int, generator: np.random.Generator
) -> TailProblem:
    """Return the problem of a tail and maps: seen and hidden columns are drawn alike, so the targets can be attained."""
    width = int(tail.output_shape[-1])
    common = generator.normal(0, 0.3 / np.sqrt(width), (width, 1))
    columns = (common + generator.normal(0, 1 / np.sqrt(width), (width, NUM_SEEN + num_unseen))).astype(np.float32)
    seen, hidden = columns[:, :NUM_SEEN], columns[:, NUM_SEEN:]
    targets = pair_importances(tail, support[:_BEHIND_TARGETS], hidden).mean(axis=0)
    noise = generator.standard_normal(targets.shape)
    noise *= _NOISE * np.linalg.norm(targets, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    biases = generator.normal(0, 0.1, NUM_SEEN).astype(np.float32)
    return TailProblem(name, tail, support, held_out, (targets + noise).astype(np.float32), seen, biases)


def vgg16_tail(side: int = 14, neurons: int = 512, units: int = 4096) -> keras.Model:
    """Return what follows `block5_conv3` of VGG16, at its real size and with He-normal weights."""
    conv_map = keras.Input((side, side, neurons))
    features = keras.layers.Flatten()(keras.layers.MaxPooling2D(2, strides=2)(conv_map))
    for index in (1, 2):
        dense = keras.layers.Dense(units, activation="relu", kernel_initializer=_HeNormal(index), name=f"fc{index}")
        features = dense(features)
    return keras.Model(conv_map, features, name="tail")


class _HeNormal(keras.initializers.Initializer):
    """He-normal weights by NumPy: with Keras's own, TensorFlow would go on holding a second copy of them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        values = np.random.default_rng(self._seed).standard_normal(shape, np.float32)
        values *= np.float32(np.sqrt(2 / shape[0]))
        return values


def random_maps(
    generator: np.random.Generator, count: int, side: int, neurons: int, shared: float = SHARED
) -> np.ndarray:
    """Draw maps [count, side, side, neurons] like real ones: rectified, smooth, each neuron with a rate of its own.

    `shared` is the share of a map's variance that all images have in common, 0 to 1.
    """
    rate = generator.normal(-0.5, 0.5, neurons)
    coarse = generator.standard_normal((count, (side + 3) // 4, (side + 3) // 4, neurons), np.float32)
    smooth = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :side, :side]
    fine = generator.standard_normal((count, side, side, neurons), np.float32)
    own = 0.8 * smooth + 0.6 * fine
    if shared:
        common = generator.standard_normal((1, side, side, neurons), np.float32)
        own = np.float32(np.sqrt(1 - shared)) * own + np.float32(np.sqrt(shared)) * common
    return np.maximum(own + rate.astype(np.float32), 0)


def agreement(case: TailProblem, images: int = 6, columns: int = 5) -> float:
    """Return the mean cosine between the importances of one column on two images; 1 where images do not matter."""
    reached = pair_importances(case.tail, case.support[:images], case.seen_columns[:, :columns])
    reached /= np.maximum(np.linalg.norm(reached, axis=2, keepdims=True), 1e-30)
    cosines = np.einsum("iun,jun->uij", reached, reached)
    return float(cosines[:, *np.triu_indices(images, 1)].mean())


def pair_importances(tail: Any, maps: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return every map's importance for every column [D, U], [M, U, N], by plain differentiation (Eq. 1)."""
    num_maps, num_columns = len(maps), columns.shape[1]
    rows = tf.constant(np.ascontiguousarray(columns.T))
    every = tf.constant(maps)
    index = np.arange(num_maps * num_columns, dtype=np.int32)
    importance = _importance_function(tail, maps.shape[1:])
    parts = [
        importance(every, rows, tf.constant(index[start : start + _PAIRS]), num_columns).numpy()
        for start in range(0, len(index), _PAIRS)
    ]
    return np.concatenate(parts).reshape(num_maps, num_columns, -1)


def validation_loss(tail: Any, maps: np.ndarray, columns: np.ndarray, importances: np.ndarray) -> float:
    """Return the mean over maps and classes of 1 - cos(alpha_hat, alpha), Eq. 3 without its regulariser."""
    reached = pair_importances(tail, maps, columns)
    lengths = np.linalg.norm(reached, axis=2) * np.linalg.norm(importances, axis=1)
    products = np.einsum("mun,un->mu", reached, importances)
    return float(1 - np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())


_FUNCTIONS: dict[str, Any] = {}


def _importance_function(tail: Any, shape: tuple[int, ...]) -> Any:
    """Return Eq. 1 for pairs of a map and a column, traced once for a tail."""
    found = _FUNCTIONS.get("tail")
    if found is None or found[0] is not tail:

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *shape], tf.float32),
                tf.TensorSpec([None, tail.output_shape[-1]], tf.float32),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([], tf.int32),
            ]
        )
        def importance(every: tf.Tensor, rows: tf.Tensor, pairs: tf.Tensor, num_columns: tf.Tensor) -> tf.Tensor:
            return importance_of_maps(tail, tf.gather(every, pairs // num_columns), tf.gather(rows, pairs % num_columns))

        found = _FUNCTIONS["tail"] = (tail, importance)
    return found[1]


def _trunk_maps(network: Any, generator: np.random.Generator, count: int) -> np.ndarray:
    """Return maps that the network's own (random) trunk makes of smooth random images."""
    size = network.input_size
    blocks = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    images = tf.image.resize(blocks, (size, size), method="bicubic") + generator.normal(0, 20, (count, size, size, 3))
    trunk = tf.function(lambda batch: network.trunk(batch, training=False))
    pixels = tf.clip_by_value(tf.cast(images, tf.float32), 0, 255)
    return np.concatenate([trunk(pixels[start : start + 32]).numpy() for start in range(0, count, 32)])


def unanswered_vgg16(num_support: int = 96) -> TailProblem:
    """Return VGG16's tail with importances drawn at random: nothing is differentiated, so that memory can be watched."""
    generator = np.random.default_rng(0)
    tail, maps = vgg16_tail(), random_maps(generator, num_support, 14, 512)
    importances = generator.standard_normal((NUM_UNSEEN, 512), np.float32)
    seen = generator.normal(0, 1 / 64, (4096, NUM_SEEN)).astype(np.float32)
    return TailProblem("vgg16", tail, maps, maps[:1], importances, seen, np.zeros(NUM_SEEN, np.float32))
