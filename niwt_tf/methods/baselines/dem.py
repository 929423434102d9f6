"""DEM: "Learning a Deep Embedding Model for Zero-Shot Learning" (Zhang, Xiang and Gong, CVPR 2017).

A network K -> H -> D, each layer with a ReLU, puts a class's description where the features of its images are, by squared error
and weight decay; an image is of the class whose point is nearest. As -|x - p|^2 = 2 x.p - |p|^2 - |x|^2 and the last term is
the same for all classes, a class has the column 2 p and the bias -|p|^2.

What differs from the paper: the squared errors of a class's images are that of their mean, times their number, and a
constant. So a step goes along the gradient over all images, by the class means, in place of an estimate by 64 images. With
fewer images than the paper's, H is 1600, Adam's rate 1e-3, and the number of steps is chosen on validation classes.

Dimensions: M images, D features, S seen classes, C classes, K description entries, H hidden units.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.descent import Descent, uniform
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values


@dataclass(frozen=True)
class DEM(Fitted):
    """The network that puts descriptions among the features.

    Attributes:
        weights: the matrices [K, H] and [H, D], each followed by its biases.
        scale: features in units of what the network gives.
        rectified: whether points are rectified, as features are that come out of a ReLU.
    """

    weights: tuple[np.ndarray, ...]
    scale: float
    rectified: bool

    output = "nearest"

    def layers(self) -> tuple[Layer, ...]:
        """Return the point among the features that a description is put at."""
        first, first_bias, last, last_bias = self.weights
        end = "relu" if self.rectified else "none"
        return Layer(first, first_bias, "relu"), Layer(self.scale * last, self.scale * last_bias, end)


def trained(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, DEM]]:
    """Train once for each width, rate and decay; the numbers of steps are stops on the way."""
    _, counts = sample.class_sums
    scale = float(np.sqrt((sample.features.astype(np.float64) ** 2).mean())) or 1.0
    rectified = bool((sample.features >= 0).all())
    means, shares = sample.class_means / scale, (counts / counts.sum())[:, None]
    points, weight = tf.constant(means, tf.float32), tf.constant(shares, tf.float32)
    described = tf.constant(descriptions, tf.float32)

    def loss(weights: Sequence[tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
        del batch
        first, first_bias, last, last_bias = weights
        made = tf.nn.relu(described @ first + first_bias) @ last + last_bias
        made = tf.nn.relu(made) if rectified else made
        return tf.reduce_mean(tf.reduce_sum(weight * (points - made) ** 2, axis=0))

    for hidden, rate, decay in itertools.product(grid["hidden"], grid["learning_rate"], grid["weight_decay"]):
        generator = np.random.default_rng([sample.seed, 17])
        start = initial_weights(generator, descriptions.shape[1], int(hidden), sample.features.shape[1])
        descent, done = Descent(start, loss, learning_rate=rate, weight_decay=decay), 0
        for steps in sorted(grid["steps"]):
            descent.run(np.zeros((int(steps) - done, 0)))
            done = int(steps)
            candidate = {"hidden": hidden, "learning_rate": rate, "weight_decay": decay, "steps": steps}
            yield candidate, DEM(tuple(descent.weights), scale, rectified)


def initial_weights(generator: np.random.Generator, entries: int, hidden: int, features: int) -> list[np.ndarray]:
    """Return the weights that training starts from, of variance 2 / fan-in as suits a ReLU; descriptions have length 1."""
    shapes = ((entries, hidden), (hidden, features))
    weights = []
    # A description of length 1 has a mean square of 1 / K an entry: the fan-in of the first layer is that of one entry.
    for shape, variance in zip(shapes, (2.0, 2 / hidden), strict=True):
        weights += [uniform(generator, shape, variance), np.zeros(shape[1], np.float32)]
    return weights


METHOD = LinearMethod(
    "dem",
    {
        "hidden": (1600.0,),
        "learning_rate": (1e-3,),
        "weight_decay": (1e-3, 1e-2),
        # Where no class can be held out the first is taken, and 30 steps are too few to take unseen.
        "steps": (300.0, 30.0, 100.0, 1000.0, 2000.0),
    },
    trained,
    features=("raw",),
)
