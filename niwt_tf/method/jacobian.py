"""The position-averaged Jacobian M(x) [N, D] of any tail, by forward or reverse differentiation, in bounded memory.

Forward: row n is the directional derivative of the tail along "one at every position of channel n, divided by H W".
Reverse: column d is the gradient of feature d, averaged over positions. Both are exact; which is cheaper depends on N and D.

Dimensions: H x W positions, N neurons, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.method.importance import importance_of_maps

# Passes through the tail that one row or column costs: a tangent goes along with the values, a gradient comes back after them.
FORWARD_PASSES = 2.0
REVERSE_PASSES = 3.0
_LARGEST_BATCH = 256
_LARGEST_TENSOR = 2**24  # values of the widest activation of one chunk, 64 MB in float32


def cheaper_mode(num_neurons: int, num_features: int) -> str:
    """Return "forward" or "reverse", whichever takes fewer passes through the tail for the whole of M(x)."""
    return "forward" if FORWARD_PASSES * num_neurons <= REVERSE_PASSES * num_features else "reverse"


def jacobian_of(tail: Any, mode: str | None = None, *, jit: bool = False) -> Callable[[np.ndarray | tf.Tensor], np.ndarray]:
    """Return a function from one image's conv map [H, W, N] to M(x) [N, D], compiled once.

    As many rows or columns are differentiated together as keep the tail's widest activation under 2**24 values.

    Args:
        tail: Keras model, conv map [B, H, W, N] -> features [B, D].
        mode: "forward" or "reverse"; None takes the cheaper one.
        jit: compile with XLA.
    """
    height, width, neurons = (int(size) for size in tail.input_shape[1:])
    features = int(tail.output_shape[-1])
    chosen = mode or cheaper_mode(neurons, features)
    dtype = tail.inputs[0].dtype
    count = neurons if chosen == "forward" else features
    chunk = max(1, min(_LARGEST_BATCH, count, _LARGEST_TENSOR // _widest(tail)))

    @tf.function(jit_compile=jit, reduce_retracing=False)
    def forward(conv_map: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(directions)[0], height, width, neurons]
        tangents = tf.broadcast_to(directions[:, None, None, :], shape)
        repeated = tf.broadcast_to(conv_map[None], shape)
        with tf.autodiff.ForwardAccumulator(repeated, tangents) as accumulator:
            outputs = tail(repeated, training=False)
        return accumulator.jvp(outputs)

    @tf.function(jit_compile=jit, reduce_retracing=False)
    def reverse(conv_map: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        repeated = tf.broadcast_to(conv_map[None], [tf.shape(columns)[0], height, width, neurons])
        return importance_of_maps(tail, repeated, columns)

    identity = tf.eye(count, dtype=dtype) / (height * width if chosen == "forward" else 1)
    differentiate = forward if chosen == "forward" else reverse

    def jacobian(conv_map: np.ndarray | tf.Tensor) -> np.ndarray:
        tensor = tf.convert_to_tensor(conv_map, dtype)
        parts = [differentiate(tensor, identity[start : start + chunk]).numpy() for start in range(0, count, chunk)]
        rows = np.concatenate(parts)
        return rows if chosen == "forward" else np.ascontiguousarray(rows.T)

    return jacobian


def _widest(tail: Any) -> int:
    """Return the values of the largest activation of one image."""
    sizes = [int(np.prod(tail.input_shape[1:]))]
    for operation in tail.operations:
        for node in operation._inbound_nodes:
            sizes += [int(np.prod([size or 1 for size in tensor.shape[1:]])) for tensor in node.output_tensors]
    return max(sizes)
