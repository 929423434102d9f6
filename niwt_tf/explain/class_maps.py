"""Grad-CAM of a whole network, compiled once: a map for any class of each image, or for the difference of two.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017).
Dimensions: B images, S pixels a side, H x W positions, N neurons, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.explain.grad_cam import class_gradients, grad_cam, importance, logits_with_gradients, scaled_to_one, upsampled
from niwt_tf.models.network import Network

_NOBODY = -1


class GradCam:
    """Maps of a network, which is read when a shape is first seen and must not change its layers after that.

    Args:
        network: trunk, tail and head.
        judging: whose tail and head give the gradients instead, as a check of what a map depends on.
        jit: whether to compile with XLA.
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

        Args:
            images: [B, S, S, 3], RGB in 0..255.
            classes: int [B], the class that each map is for.
            rivals: int [B], the class that speaks against it: the map is then that of the difference of the two logits.
            upsample: whether to return [B, S, S], bilinear, instead of [B, H, W].

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
