"""CNZSL: "Class Normalization for (Continual)? Generalized Zero-Shot Learning" (Skorokhodov and Elhoseiny, ICLR 2021).

An MLP makes a prototype of each class from its description, and a class scores the cosine of feature and prototype, each
scaled ("normalize + scale", by 5 or 3), under cross-entropy over the seen classes. Inside, every unit is standardised over
the classes (class normalisation, Eq. 9) after the middle layer and before the last one; descriptions have the length sqrt(K)
("attributes normalization"), and the last layer starts with variance 1 / (H D) (Eq. 10).

Three things differ from the authors' code. It divides by the variance where Eq. 9 has the deviation; here it is the
deviation. It keeps running statistics; here those of all seen classes under the present weights are used, which every batch
has anyway. And layers before a ReLU start with variance 2 / fan-in (He et al. 2015), which validation classes liked better.
An unseen class is standardised with the seen classes' statistics, so that its column does not depend on other unseen classes.

Dimensions: M images, D features, S seen classes, C classes, K description entries, H hidden units.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.descent import Descent, shuffled, uniform
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values

_EPSILON = 1e-5
_WEIGHT_DECAY = 1e-4
_BATCH = 256
# Of a few hundred images a pass in batches of 256 would be a step or two.
_STEPS_A_PASS = 16


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation over the seen classes of every unit: float32 [H] each."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class CNZSL(Fitted):
    """The network that makes prototypes.

    Attributes:
        weights: the matrices [K, H], [H, H], [H, D], each followed by its biases.
        normalised: statistics of the two class normalisations.
        rectified: whether prototypes are rectified, as features are that come out of a ReLU.
        scale: of feature and prototype each.
    """

    weights: tuple[np.ndarray, ...]
    normalised: tuple[Statistics, Statistics]
    rectified: bool
    scale: float = 5.0

    output = "cosine"

    @property
    def output_scale(self) -> float:
        """scale^2."""
        return self.scale**2

    def layers(self) -> tuple[Layer, ...]:
        """Return the prototype of a description; the class normalisations, whose statistics are fixed, are parts of layers."""
        first, first_bias, second, second_bias, last, last_bias = self.weights
        inner, outer = self.normalised
        return (
            Layer(np.sqrt(np.float32(len(first))) * first, first_bias, "relu"),
            Layer(second / inner.deviation, (second_bias - inner.mean) / inner.deviation, "relu"),
            Layer(
                last / outer.deviation[:, None], last_bias - (outer.mean / outer.deviation) @ last,
                "relu" if self.rectified else "none"
            ),
        )


def trained(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, CNZSL]]:
    """Train once for each width and rate; the numbers of epochs are stops on the way."""
    features, labels = tf.constant(sample.features), tf.constant(sample.labels, tf.int32)
    described, rectified = tf.constant(_scaled(descriptions)), bool((sample.features >= 0).all())
    size = min(_BATCH, max(len(sample.labels) // _STEPS_A_PASS, 1))

    def loss(weights: Sequence[tf.Tensor], batch: tf.Tensor, scale: float) -> tf.Tensor:
        prototypes, _ = _forward(tf, weights, described, _standardised, rectified)
        rows = tf.gather(features, batch)
        logits = scale**2 * tf.matmul(rows, tf.nn.l2_normalize(prototypes, axis=1), transpose_b=True)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, batch), logits))

    for hidden, rate, scale in itertools.product(grid["hidden"], grid["learning_rate"], grid["scale"]):
        generator = np.random.default_rng([sample.seed, 11])
        start = initial_weights(generator, descriptions.shape[1], int(hidden), sample.features.shape[1])
        descent, done = Descent(start, partial(loss, scale=scale), learning_rate=rate, weight_decay=_WEIGHT_DECAY), 0
        for epochs in sorted(grid["epochs"]):
            passes = [shuffled(generator, len(sample.labels), size) for _ in range(int(epochs) - done)]
            descent.run(np.concatenate(passes))
            done = int(epochs)
            found = _fitted(descent.weights, descriptions, rectified, scale)
            yield {"hidden": hidden, "learning_rate": rate, "scale": scale, "epochs": epochs}, found


def initial_weights(generator: np.random.Generator, entries: int, hidden: int, features: int) -> list[np.ndarray]:
    """Return the weights that training starts from: variance 2 / fan-in, but 1 / (H D) in the last layer (Eq. 10)."""
    shapes = ((entries, hidden), (hidden, hidden), (hidden, features))
    variances = (2 / entries, 2 / hidden, 1 / (hidden * features))
    weights = []
    for shape, variance in zip(shapes, variances, strict=True):
        weights += [uniform(generator, shape, variance), np.zeros(shape[1], np.float32)]
    return weights


def _fitted(weights: Sequence[np.ndarray], descriptions: np.ndarray, rectified: bool, scale: float) -> CNZSL:
    statistics: list[Statistics] = []

    def standardise(units: np.ndarray) -> np.ndarray:
        statistics.append(Statistics(units.mean(axis=0), np.sqrt(units.var(axis=0) + _EPSILON)))
        return (units - statistics[-1].mean) / statistics[-1].deviation

    _forward(np, weights, _scaled(descriptions), standardise, rectified)
    return CNZSL(tuple(weights), (statistics[0], statistics[1]), rectified, scale)


def _scaled(descriptions: np.ndarray) -> np.ndarray:
    """Return descriptions [C, K] of length 1 as such of length sqrt(K)."""
    return (descriptions * np.sqrt(descriptions.shape[1])).astype(np.float32)


def _standardised(units: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(units, axes=[0])
    return (units - mean) / tf.sqrt(variance + _EPSILON)


def _forward(library: Any, weights: Sequence[Any], descriptions: Any, standardise: Any, rectified: bool) -> tuple[Any, Any]:
    """Return prototypes [C, D] and the units [C, H] before the last layer, by TensorFlow or numpy."""
    first, first_bias, second, second_bias, last, last_bias = weights
    units = library.maximum(descriptions @ first + first_bias, 0.0)
    units = library.maximum(standardise(units @ second + second_bias), 0.0)
    units = standardise(units)
    prototypes = units @ last + last_bias
    return (library.maximum(prototypes, 0.0) if rectified else prototypes), units


METHOD = LinearMethod(
    "cnzsl", {"hidden": (1024.0,), "learning_rate": (5e-4,), "scale": (3.0, 5.0), "epochs": (5.0, 10.0, 20.0)}, trained,
    features=("unit",)
)
