"""Grad-CAM of a whole network, compiled once: a map for any class of each image, or for the difference of two.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017).
Dimensions: B images, S pixels a side, H x W positions, C classes.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.explain.grad_cam import grad_cam, importance, logits_with_gradients, scaled_to_one, upsampled
from niwt_tf.models.network import Network

_NOBODY = -1


class GradCam:
    """Maps of a network, which is read when a shape is first seen and must not change its layers after that.

    Args:
        network: trunk, tail and head.
        jit: whether to compile with XLA.
    """

    def __init__(self, network: Network, *, jit: bool = False) -> None:
        self._network = network
        size = network.input_size
        pixels, whole = tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int32)
        # XLA compiles for a shape; a signature would hide it.
        signature = None if jit else [pixels, whole, whole]
        self._coarse = tf.function(self._maps, input_signature=signature, jit_compile=jit)
        self._fine = tf.function(self._upsampled_maps, input_signature=signature, jit_compile=jit)

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
        network = self._network
        maps = network.trunk(images, training=False)

        def logits_of(some: tf.Tensor) -> tf.Tensor:
            logits = network.head(network.tail(some, training=False))
            return logits - tf.gather(logits, tf.maximum(rivals, 0), batch_dims=1)[:, None] * has_rival

        has_rival = tf.cast(rivals != _NOBODY, network.head.compute_dtype)[:, None]
        _, _, (gradients,) = logits_with_gradients(maps, logits_of, lambda _: (classes,))
        return grad_cam(maps, importance(gradients))

    def _upsampled_maps(self, images: tf.Tensor, classes: tf.Tensor, rivals: tf.Tensor) -> tf.Tensor:
        return scaled_to_one(upsampled(self._maps(images, classes, rivals), self._network.input_size))
