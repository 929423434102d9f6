"""The base network with adapted weights: which weights are adapted, and how columns become weights (Eq. 6).

Theta' = gamma Theta + mu rms(Theta) dTheta. The factor rms(Theta) is not in the paper: with it one mu suits layers of all
sizes.

Dimensions: B images, M output channels, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.methods.n3.meta_model import Target
from niwt_tf.models.network import Network

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def targets_of(network: Network, adapt: str) -> list[Target]:
    """Return the weights before the head that are adapted.

    Args:
        network: the base.
        adapt: "head" (none of them), "film" (a factor and a shift of each output channel) or "all" (every kernel, bias and
            the shift of every batch norm; its factor and its statistics stay).
    """
    if adapt == "head":
        return []
    made = []
    for layer in body_of(network).layers:
        for weight in layer.weights:
            kind, channels = weight.path.rsplit("/", 1)[-1], int(weight.shape[-1])
            if kind == "depthwise_kernel" or (kind == "kernel" and isinstance(layer, keras.layers.DepthwiseConv2D)):
                channels *= int(weight.shape[-2])
            scale = float(np.sqrt(np.mean(np.square(weight.numpy())))) if kind in _KERNELS else 0.0
            if kind in _KERNELS:
                size = 1 if adapt == "film" else int(np.prod(weight.shape)) // channels
                made.append(Target(weight.path, channels, size, scale))
            elif kind in ("bias", "beta"):
                made.append(Target(weight.path, channels, 1, max(scale, _shift_unit(layer, channels))))
    return made


def body_of(network: Network) -> keras.Model:
    """Return images [B, S, S, 3] -> features [B, D], over the network's own layers."""
    return keras.Model(network.model.inputs[0], network.head_input())


def weights_of(
    network: Network, targets: Sequence[Target], adaptations: Sequence[Any], gamma: Any, adapt: str
) -> dict[str, Any]:
    """Return Theta' by path: tensors, of adaptations [M, size] each."""
    base = {weight.path: weight for weight in network.model.weights}
    made = {}
    for target, columns in zip(targets, adaptations, strict=True):
        weight = tf.convert_to_tensor(base[target.path])
        if weight.shape.rank == 1:
            made[target.path] = gamma * weight + columns[:, 0]
        elif adapt == "film":
            factor = tf.reshape(columns[:, 0] / target.scale, _channel_shape(target, weight.shape))
            made[target.path] = weight * (gamma + factor)
        else:
            # Output channels are the last axis, of a depthwise kernel the last two.
            made[target.path] = gamma * weight + tf.reshape(tf.transpose(columns), weight.shape)
    return made


def features_of(body: keras.Model, weights: Mapping[str, Any], images: Any) -> Any:
    """Return the features [B, D] that a body with other weights gives; batch norm stays in inference mode."""
    trained = [weights.get(each.path, each) for each in body.trainable_variables]
    others = [weights.get(each.path, each) for each in body.non_trainable_variables]
    return body.stateless_call(trained, others, images, training=False)[0]


def _channel_shape(target: Target, shape: Any) -> list[int]:
    depthwise = int(shape[-1]) != target.columns
    return [1] * (len(shape) - 1 - depthwise) + [int(size) for size in shape[len(shape) - 1 - depthwise :]]


def _shift_unit(layer: keras.layers.Layer, channels: int) -> float:
    """Return the unit of a shift: rms of a batch norm's factor, or of what a kernel sums up, taken at unit inputs."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return float(np.sqrt(np.mean(np.square(layer.gamma.numpy())))) if layer.scale else 1.0
    kernel = layer.weights[0].numpy()
    return float(np.sqrt(np.mean(np.square(kernel)) * kernel.size / channels))
