"""What speaks for the predicted class of a few images: importances, Grad-CAM, and how much each neuron answers.

Dimensions: B images, H x W positions, N neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import Images
from niwt_tf.explain.grad_cam import grad_cam, importance, logits_with_gradients
from niwt_tf.method.execution import Execution
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class Evidence:
    """The answers for B images.

    Attributes:
        maps: float32 [B, H, W, N], the network's maps.
        heat: float32 [B, H, W] in [0, 1], Grad-CAM of the predicted class.
        importances: float32 [B, N], for the predicted class.
        true_importances: float32 [B, N], for the true class.
    """

    maps: np.ndarray
    heat: np.ndarray
    importances: np.ndarray
    true_importances: np.ndarray

    @property
    def parts(self) -> np.ndarray:
        """alpha_n * mean of a_n, float32 [B, N]: each neuron's mean part in Grad-CAM before the ReLU."""
        return self.importances * self.maps.mean(axis=(1, 2))


def evidence_for(network: Network, images: Images, predicted: np.ndarray, true: np.ndarray, execution: Execution) -> Evidence:
    """Look at all images in one batch, compiled.

    Args:
        network: with the classes.
        images: B of them.
        predicted: [B] indices of the network's classes.
        true: [B] of the same kind.
        execution: how maps are read.
    """
    maps = Reader(network, execution).maps(images)
    classes = tf.TensorSpec([None], tf.int64)

    @tf.function(input_signature=[tf.TensorSpec([None, *maps.shape[1:]]), classes, classes], jit_compile=execution.jit)
    def explained(batch: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def logits_of(each: tf.Tensor) -> tf.Tensor:
            return network.head(network.tail(each, training=False))

        _, _, gradients = logits_with_gradients(batch, logits_of, lambda _: (first, second))
        alphas, true_alphas = (importance(gradient) for gradient in gradients)
        return grad_cam(batch, alphas), alphas, true_alphas

    answers = explained(tf.constant(maps), tf.constant(predicted, tf.int64), tf.constant(true, tf.int64))
    return Evidence(maps, *(answer.numpy() for answer in answers))
