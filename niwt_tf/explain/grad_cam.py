"""Where a network looks, and how much each neuron counts, for the logits of any classes and for their differences.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017). All functions take
batches, treat each row for itself, and can be traced or compiled for any device.
Dimensions: B images, S pixels a side, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.models.network import Network

Classes = Sequence[tf.Tensor]


def logits_with_gradients(
    maps: tf.Tensor, logits_of: Callable[[tf.Tensor], tf.Tensor], choose: Callable[[tf.Tensor], Classes]
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
    """Return logits, and the gradients by the map of the logits of classes that are chosen after seeing them.

    One pass forward, and one back for each choice. The gradient of a difference of logits is the difference of gradients. Maps
    [B, H, W, N] have logits [B, C], before any softmax, of which J integer tensors [B] are chosen, each with a class for each
    image. Logits are given as float32, then the J tensors, then their J gradients float32 [B, H, W, N].
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(maps)
        logits = logits_of(maps)
    chosen = tuple(choose(logits))
    width = tf.shape(logits)[1]
    gradients = tuple(
        tape.gradient(logits, maps, output_gradients=tf.one_hot(classes, width, dtype=logits.dtype)) for classes in chosen
    )
    return tf.cast(logits, tf.float32), chosen, tuple(tf.cast(gradient, tf.float32) for gradient in gradients)


def class_gradients(maps: tf.Tensor, logits_of: Callable[[tf.Tensor], tf.Tensor], classes: tf.Tensor) -> tf.Tensor:
    """Return the gradients float32 [B, H, W, N] by the map of the logits of `classes` [B], one for each image."""
    return logits_with_gradients(maps, logits_of, lambda _: (classes,))[2][0]


def importance(gradients: tf.Tensor) -> tf.Tensor:
    """Return alpha [B, N], the mean over positions of gradients [B, H, W, N] (Eq. 1)."""
    return tf.reduce_mean(gradients, axis=[1, 2])


def grad_cam(maps: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """Return Grad-CAM float32 [B, H, W], ReLU(sum_n alpha_n a_n), each scaled to a maximum of 1; one without evidence is 0.

    Of maps [B, H, W, N] and the importances float32 [B, N] for a class or for a difference of two.
    """
    summed = tf.reduce_sum(tf.cast(maps, tf.float32) * alphas[:, None, None, :], axis=-1)
    return scaled_to_one(tf.nn.relu(summed))


def scaled_to_one(heat: tf.Tensor) -> tf.Tensor:
    """Return maps [B, H, W] of values from 0, each divided by its maximum; a map of 0 stays 0."""
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=[1, 2], keepdims=True))


def upsampled(heat: tf.Tensor, size: int) -> tf.Tensor:
    """Return maps [B, H, W] as float32 [B, size, size], bilinear between the centres of positions and constant beyond them."""
    # XLA's own resize is wrong at the borders.
    rows, columns = (_interpolation(tf.shape(heat)[axis], size) for axis in (1, 2))
    return tf.matmul(tf.matmul(rows, heat), columns, transpose_b=True)


def _interpolation(count: tf.Tensor, size: int) -> tf.Tensor:
    """Return the matrix [size, count] that interpolates `count` values at `size` places."""
    positions = tf.cast(tf.range(count), tf.float32)
    steps = tf.cast(count, tf.float32) / float(size)
    places = tf.clip_by_value((tf.range(size, dtype=tf.float32) + 0.5) * steps - 0.5, 0.0, tf.cast(count - 1, tf.float32))
    return tf.nn.relu(1.0 - tf.abs(places[:, None] - positions))


def unit_length(vectors: tf.Tensor) -> tf.Tensor:
    """Return vectors [B, N] divided by their L2 norms, however short they are; 0 stays 0."""
    # Squares of small gradients would underflow.
    scaled = tf.math.divide_no_nan(vectors, tf.reduce_max(tf.abs(vectors), axis=1, keepdims=True))
    return tf.math.divide_no_nan(scaled, tf.norm(scaled, axis=1, keepdims=True))


def attribute_weights(alphas: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Return the inverse map [B, K] at importances [B, N] brought to unit length.

    Of its weights [K, N] and its bias [K], None for a difference of importances, in which it cancels.
    """
    product = tf.matmul(unit_length(alphas), weights, transpose_b=True)
    return product if bias is None else product + bias


_NOBODY = -1


class GradCam:
    """Maps of a network, which is read when a shape is first seen and must not change its layers after that.

    Tail and head of the `judging` network give the gradients instead, as a check of what a map depends on. `jit` compiles with
    XLA.
    """

    def __init__(self, network: Network, judging: Network | None = None, *, jit: bool = False) -> None:
        self._network, self._judging = network, judging or network
        size = network.input_size
        pixels, whole = tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int32)
        # XLA compiles for a shape; a signature would hide it.
        signature = None if jit else [pixels, whole, whole]
        self._coarse = _traced(self._maps, signature, jit)
        self._fine = _traced(self._upsampled_maps, signature, jit)

    def __call__(
        self, images: np.ndarray, classes: np.ndarray, rivals: np.ndarray | None = None, *, upsample: bool = True
    ) -> np.ndarray:
        """Return a map for each image, at least 0 and with a maximum of 1; 0 everywhere where nothing speaks for the class.

        Images are [B, S, S, 3], RGB in 0..255, classes int [B]. With rivals, int [B], the map is that of the difference of the
        two logits. It is [B, S, S], bilinear, or without `upsample` [B, H, W].

        Raises:
            InputError: a class that the network does not have, or not one for each image.
        """
        count = len(images)
        against = np.full(count, _NOBODY) if rivals is None else np.asarray(rivals)
        for name, chosen in (("classes", np.asarray(classes)), ("rivals", against)):
            self._check(name, chosen, count, lowest=_NOBODY if rivals is None and name == "rivals" else 0)
        if not count:  # some operations refuse a batch of none
            size = self._network.input_size
            return np.empty((0, size, size) if upsample else (0, *self._network.trunk.output_shape[1:3]), np.float32)
        compute = self._fine if upsample else self._coarse
        arguments = (images, tf.float32), (classes, tf.int32), (against, tf.int32)
        return compute(*(tf.cast(value, dtype) for value, dtype in arguments)).numpy()

    def _check(self, name: str, chosen: np.ndarray, count: int, lowest: int) -> None:
        if chosen.shape != (count,):
            raise InputError(f"{name} must name one class for each of {count} images. Received: shape {chosen.shape}.")
        known = len(self._network.class_names)
        if count and not (lowest <= chosen.min() and chosen.max() < known):
            wrong = chosen[(chosen < lowest) | (chosen >= known)][0]
            raise InputError(f"{name} must be indices from 0 to {known - 1}. Received: {wrong}.")

    def _maps(self, images: tf.Tensor, classes: tf.Tensor, rivals: tf.Tensor) -> tf.Tensor:
        maps, judging = self._network.trunk(images, training=False), self._judging
        has_rival = tf.cast(rivals != _NOBODY, judging.head.compute_dtype)[:, None]

        def logits_of(some: tf.Tensor) -> tf.Tensor:
            logits = judging.head(judging.tail(some, training=False))
            return logits - tf.gather(logits, tf.maximum(rivals, 0), batch_dims=1)[:, None] * has_rival

        return grad_cam(maps, importance(class_gradients(maps, logits_of, classes)))

    def _upsampled_maps(self, images: tf.Tensor, classes: tf.Tensor, rivals: tf.Tensor) -> tf.Tensor:
        return scaled_to_one(upsampled(self._maps(images, classes, rivals), self._network.input_size))


def explained_twice(network: Network, *, jit: bool = False) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Return a compiled function of maps that are at hand already: two classes of each image, for one pass forward.

    It takes maps float32 [B, H, W, N], classes and others int64 [B], and gives Grad-CAM [B, H, W] and importance [B, N] of the
    first, then of the second.
    """

    def explained(maps: tf.Tensor, classes: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def logits_of(each: tf.Tensor) -> tf.Tensor:
            return network.head(network.tail(each, training=False))

        _, _, gradients = logits_with_gradients(maps, logits_of, lambda _: (classes, others))
        alphas, other_alphas = (importance(each) for each in gradients)
        return grad_cam(maps, alphas), alphas, grad_cam(maps, other_alphas), other_alphas

    chosen = tf.TensorSpec([None], tf.int64)
    return _traced(explained, [tf.TensorSpec([None, *network.tail.input_shape[1:]], tf.float32), chosen, chosen], jit)


def _traced(function: Callable[..., tf.Tensor], signature: list[tf.TensorSpec] | None, jit: bool) -> Callable[..., tf.Tensor]:
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    return tf.function(partial(function), input_signature=signature, jit_compile=jit)
