"""What becomes of a class's probability while pixels of an image are put back or taken away.

Dimensions: B images, S x S pixels, T steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from niwt_tf.models.network import Network

STEPS = 16
Probability = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def heat_order(heat: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return each pixel's place in the order of falling heat [B, S, S], as float32 [B, S, S] in [0, 1).

    Pixels of equal heat, as where a map is 0, come in random order; so do all of them for the same heat everywhere.
    """
    flat = heat.reshape(len(heat), -1)
    order = np.lexsort((generator.random(flat.shape), -flat), axis=1)
    places = np.empty(order.shape, np.float32)
    np.put_along_axis(places, order, np.arange(order.shape[1], dtype=np.float32) / order.shape[1], axis=1)
    return places.reshape(heat.shape)


def probability_curve(
    probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor, steps: int = STEPS, *, put_back: bool
) -> np.ndarray:
    """Return the probability of classes [B] while pixels are put back, or taken away, first places first, float [B, T + 1].

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018). A pixel that is away has the
    image's mean colour. With the places of a random order deletion is the insertion of the reverse order read backwards: their
    areas have the same mean. Pixels are float32 [B, S, S, 3], places are [B, S, S] in [0, 1).
    """
    away = tf.reduce_mean(pixels, axis=[1, 2], keepdims=True)
    places = tf.constant(order)[..., None]
    first, last = (pixels, away) if put_back else (away, pixels)
    shown = (tf.where(places < step / steps, first, last) for step in range(steps + 1))
    return np.stack([np.asarray(probability(each, classes)) for each in shown], axis=1)


def with_shuffled_weights(network: Network, seed: int) -> Network:
    """Return a network whose weights are this one's, each array in a random order of its entries.

    Shuffling keeps every layer's mean and spread, which drawing anew need not, so that activations neither vanish nor explode.
    """
    generator = np.random.default_rng(seed)
    shuffled = network.copy()
    for variable in shuffled.model.weights:
        values = variable.numpy()
        variable.assign(generator.permutation(values.ravel()).reshape(values.shape))
    return shuffled


def curve_area(curve: np.ndarray) -> np.ndarray:
    """Return the area [B] under curves [B, T + 1] over equal steps from 0 to 1, by trapezoids."""
    return (curve[:, 1:] + curve[:, :-1]).mean(axis=1, dtype=np.float64) / 2


def probability_of(network: Network, temperature: float, jit: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a compiled function of pixels [B, S, S, 3] and classes [B]: their probabilities, softmax(logits / temperature)."""

    def probability(pixels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(network.model(pixels, training=False), tf.float32)
        return tf.gather(tf.nn.softmax(logits / temperature), classes, batch_dims=1)

    size = network.input_size
    signature = [tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int64)]
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    return tf.function(partial(probability), input_signature=signature, jit_compile=jit, autograph=False)
