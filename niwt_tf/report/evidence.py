"""What speaks for the predicted class of a few images: importances, Grad-CAM, and how much each neuron answers.

Dimensions: B images, H x W positions, N neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import Images
from niwt_tf.explain.class_maps import explained_twice
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
    classes = (tf.constant(each, tf.int64) for each in (predicted, true))
    heat, alphas, _, true_alphas = explained_twice(network, jit=execution.jit)(tf.constant(maps), *classes)
    return Evidence(maps, heat.numpy(), alphas.numpy(), true_alphas.numpy())
