"""A tail of pooling, Flatten and fully connected layers as a product of small matrices.

Averaged over positions, the Jacobian of such a tail factors. Every output of a pooling window passes all of its gradient on to
its own channel, so summed over positions pooling drops out; what is left is M(x) = V D1(x) W2 D2(x) ..., with V [N, U1] the
first kernel summed over the positions of the pooled map and divided by those of the map, and D the 0/1 masks of the ReLUs.

Dimensions: P images, H x W positions, N neurons, U units of a fully connected layer, D features (the last U).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LAYERS = keras.layers
_POOLS = (_LAYERS.MaxPooling2D, _LAYERS.AveragePooling2D, _LAYERS.GlobalMaxPooling2D, _LAYERS.GlobalAveragePooling2D)
# A batch reads every weight once, and fully connected weights are many.
_BATCH = 128


@dataclass(frozen=True)
class TailFactors:
    """The factors of M(x) that are the same for every image.

    Attributes:
        first: V [N, U1].
        kernels: W2 [U1, U2] and so on, views of the layers' own weights; empty for one fully connected layer.
        activations: conv map -> the outputs [B, U] of each layer that a ReLU follows; None where there is none.
        masked: for each fully connected layer, whether a ReLU follows.
    """

    first: tf.Tensor
    kernels: tuple[tf.Tensor, ...]
    activations: keras.Model | None
    masked: tuple[bool, ...]

    @property
    def num_features(self) -> int:
        """D."""
        return int((self.kernels[-1] if self.kernels else self.first).shape[-1])

    def masks(self, maps: np.ndarray | tf.Tensor) -> list[np.ndarray]:
        """Return, for each fully connected layer, bool [P, U]: which units pass a gradient on; all where no ReLU follows."""
        count = len(maps)
        parts: list[list[np.ndarray]] = [[] for _ in range(sum(self.masked))]
        for start in range(0, count, _BATCH):
            if self.activations is None:
                break
            outputs = self.activations(maps[start : start + _BATCH], training=False)
            for kept, output in zip(parts, outputs if isinstance(outputs, list | tuple) else [outputs], strict=True):
                kept.append((output > 0).numpy())
        found = iter(parts)
        widths = [int(self.first.shape[1]), *(int(kernel.shape[1]) for kernel in self.kernels)]
        return [
            np.concatenate(next(found)) if masked else np.ones((count, width), bool)
            for masked, width in zip(self.masked, widths, strict=True)
        ]


def factor_tail(tail: Any) -> TailFactors | None:
    """Return the factors of a tail, or None where it is not pooling, Flatten and fully connected layers with or without ReLU.

    Args:
        tail: conv map [B, H, W, N] -> features [B, D]; anything but a Keras functional model has no factors.
    """
    chain = _chain(tail)
    if chain is None:
        return None
    dense: list[Any] = []
    outputs: list[Any | None] = []
    flat = False
    for layer, output in chain:
        if isinstance(layer, _LAYERS.Dropout):
            continue
        if isinstance(layer, _POOLS) and not flat:
            flat = len(output.shape) == 2
        elif isinstance(layer, _LAYERS.Flatten) and not flat and layer.data_format == "channels_last":
            flat = True
        elif flat and isinstance(layer, _LAYERS.Dense):
            name = keras.activations.serialize(layer.activation)
            if name not in ("linear", "relu"):
                return None
            dense.append(layer)
            outputs.append(output if name == "relu" else None)
        elif flat and dense and outputs[-1] is None and _is_relu(layer):
            outputs[-1] = output
        else:
            return None
    if not dense:
        return None
    height, width, neurons = tail.input_shape[1:]
    kernel = tf.convert_to_tensor(dense[0].kernel)
    first = tf.reduce_sum(tf.reshape(kernel, [-1, neurons, kernel.shape[-1]]), axis=0) / (height * width)
    rectified = [output for output in outputs if output is not None]
    activations = keras.Model(tail.inputs[0], rectified) if rectified else None
    kernels = tuple(tf.convert_to_tensor(layer.kernel) for layer in dense[1:])
    return TailFactors(first, kernels, activations, tuple(output is not None for output in outputs))


def _chain(tail: Any) -> list[tuple[Any, Any]] | None:
    """Return (layer, output) from the map to the features if each layer takes the one before it alone."""
    if not isinstance(tail, keras.Model) or not hasattr(tail, "_nodes_by_depth") or len(tail.input_shape) != 4:
        return None
    chain = []
    tensor = tail.outputs[0]
    while tensor is not tail.inputs[0]:
        operation, node, _ = tensor._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        if len(inputs) != 1:
            return None
        chain.append((operation, tensor))
        tensor = inputs[0]
    return chain[::-1]


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, _LAYERS.Activation):
        return bool(keras.activations.serialize(layer.activation) == "relu")
    return isinstance(layer, _LAYERS.ReLU) and layer.max_value is None and not layer.negative_slope and not layer.threshold
