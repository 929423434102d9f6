"""Insertion and deletion: what happens to a class's probability when pixels come or go in order of heat.

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018). A pixel that is away has the
image's mean colour. Dimensions: B images, S x S pixels, T steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

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


def insertion_curve(
    probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor, steps: int = STEPS
) -> np.ndarray:
    """Return the probability of `classes` while pixels are put back, first places first, float [B, T + 1].

    Args:
        probability: pixels [B, S, S, 3] and classes [B] -> probabilities [B].
        pixels: float32 [B, S, S, 3].
        order: places [B, S, S] in [0, 1).
        classes: int [B].
        steps: T.
    """
    return _curve(probability, pixels, order, classes, steps, put_back=True)


def deletion_curve(
    probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor, steps: int = STEPS
) -> np.ndarray:
    """Return the probability of `classes` while pixels are taken away, first places first; as `insertion_curve`.

    With the places of a random order it is the insertion of the reverse order read backwards: their areas have the same mean.
    """
    return _curve(probability, pixels, order, classes, steps, put_back=False)


def _curve(
    probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor, steps: int, put_back: bool
) -> np.ndarray:
    away = tf.reduce_mean(pixels, axis=[1, 2], keepdims=True)
    places = tf.constant(order)[..., None]
    curve = []
    for step in range(steps + 1):
        reached = places < step / steps
        shown = tf.where(reached, pixels, away) if put_back else tf.where(reached, away, pixels)
        curve.append(np.asarray(probability(shown, classes)))
    return np.stack(curve, axis=1)
