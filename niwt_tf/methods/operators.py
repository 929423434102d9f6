"""Importance as a linear operator of the head column, image by image and averaged over images.

The logit is f(a) . w, so alpha(x) = M(x) w with M(x) [N, D] the tail's Jacobian averaged over positions. What nested tapes find
by a gradient of a gradient is then a matrix product, M(x) w.

Dimensions: P images, N neurons, D features, C columns, B of the P images, L groups of images.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.compute.distributed import ALONE, Team
from niwt_tf.errors import InputError
from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.linear_tail import linear_tail

_BYTES = 8  # of a number in float32 while the matrices are copied to where they stay
_MEMORY_SHARE = 0.5  # of the machine's free memory, for the operators of all support images


class TailOperator(abc.ABC):
    """M(x) of P images.

    Attributes:
        num_images: P.
        num_neurons: N.
        num_features: D.
    """

    num_images: int
    num_neurons: int
    num_features: int

    @abc.abstractmethod
    def apply(self, columns: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Return the importances [B, C, N] of columns [D, C] on the images with indices [B]; differentiable by the columns."""

    @abc.abstractmethod
    def mean(self) -> np.ndarray:
        """Return the mean of M(x) over all images, [N, D]."""


class FactoredOperator(TailOperator):
    """M(x) = V D1(x) W2 D2(x) ... of a fully connected tail: masks are all that is kept of an image."""

    def __init__(self, factors: TailFactors, maps: np.ndarray | tf.Tensor) -> None:
        """Run the tail once over conv maps [P, H, W, N] for the masks."""
        self._factors = factors
        self._masks = [tf.constant(mask) for mask in factors.masks(maps)]
        self.num_images, self.num_neurons = len(maps), int(factors.first.shape[0])
        self.num_features = factors.num_features

    def apply(self, columns: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `TailOperator`; without an [N, D] matrix."""
        values = tf.transpose(columns)[None] * self._mask(-1, images)
        for index, kernel in reversed(list(enumerate(self._factors.kernels))):
            values = tf.matmul(values, kernel, transpose_b=True) * self._mask(index, images)
        return tf.matmul(values, self._factors.first, transpose_b=True)

    def mean(self) -> np.ndarray:
        """See `TailOperator`."""
        if len(self._factors.kernels) <= 1:
            return _mean_of_masks(self._factors, self._masks, self.num_images, ALONE)
        identity, sums = tf.eye(self.num_features, dtype=self._factors.first.dtype), 0.0
        for image in range(self.num_images):
            sums += self.apply(identity, tf.constant([image]))[0]
        return tf.transpose(sums / self.num_images).numpy()

    def _mask(self, layer: int, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self._masks[layer], images), self._factors.first.dtype)[:, None, :]


class KeptOperator(TailOperator):
    """M(x) of any tail, computed once an image and kept, [P, N, D]."""

    def __init__(self, tail: Any, maps: np.ndarray | tf.Tensor, *, jit: bool = False, progress: bool = False) -> None:
        """Differentiate the tail at conv maps [P, H, W, N].

        Raises:
            InputError: the matrices would take over half of the free memory; the sentence says what would fit.
        """
        self.num_images, self.num_neurons = len(maps), int(maps.shape[-1])
        self.num_features = int(tail.output_shape[-1])
        check_memory(self.num_images, self.num_neurons, self.num_features)
        jacobian = jacobian_of(tail, jit=jit)
        matrices = np.empty((self.num_images, self.num_neurons, self.num_features), tail.outputs[0].dtype)
        for image in tqdm(range(self.num_images), desc="operator", unit="image", disable=not progress):
            matrices[image] = jacobian(maps[image])
        self._matrices = tf.constant(matrices)

    def apply(self, columns: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `TailOperator`."""
        matrices = tf.gather(self._matrices, images)
        return tf.matmul(columns[None], matrices, transpose_a=True, transpose_b=True)

    def mean(self) -> np.ndarray:
        """See `TailOperator`."""
        return tf.reduce_mean(self._matrices, axis=0).numpy()


def tail_operator(tail: Any, maps: np.ndarray | tf.Tensor, *, jit: bool = False, progress: bool = False) -> TailOperator:
    """Return the operator of conv maps [P, H, W, N]: factored where the tail allows it, else kept matrices.

    Raises:
        InputError: kept matrices would not fit in memory.
    """
    factors = factor_tail(tail)
    return KeptOperator(tail, maps, jit=jit, progress=progress) if factors is None else FactoredOperator(factors, maps)


def mean_operators(
    tail: Any, maps: np.ndarray, members: np.ndarray, *, jit: bool = False, progress: bool = False, team: Team = ALONE
) -> np.ndarray:
    """Return the mean of M(x) over each group of images, [L, N, D] in the type of the maps.

    In a team every process takes a share of the images; the sums are exact in float64 or counts.

    Args:
        tail: Keras model, conv map [B, H, W, N] -> features [B, D].
        maps: conv maps [P, H, W, N].
        members: bool [L, P], which images are in which group; each group has at least one.
        jit: compile with XLA.
        progress: show a bar.
        team: the processes that share the images.
    """
    members = np.asarray(members, bool)
    assert members.any(axis=1).all(), "every group must have an image"
    own = team.share(len(maps))
    factors = factor_tail(tail)
    if factors is not None and len(factors.kernels) <= 1:
        return _factored_means(factors, maps, members, own, team)
    jacobian = jacobian_of(tail, jit=jit)
    sums = np.zeros((len(members), int(maps.shape[-1]), int(tail.output_shape[-1])))
    for image in tqdm(own, desc="operator", unit="image", disable=not progress):
        groups = np.flatnonzero(members[:, image])
        if len(groups):
            sums[groups] += jacobian(maps[image])
    (sums,) = team.sum(sums)
    return (sums / members.sum(axis=1)[:, None, None]).astype(maps.dtype)


def _factored_means(factors: TailFactors, maps: np.ndarray, members: np.ndarray, own: np.ndarray, team: Team) -> np.ndarray:
    """Average over each group without forming the [N, D] matrix of an image."""
    masks = [tf.constant(mask) for mask in factors.masks(maps[own])]
    means = []
    for group in members:
        taken = [tf.boolean_mask(mask, group[own]) for mask in masks]
        means.append(_mean_of_masks(factors, taken, int(group.sum()), team))
    return np.stack(means).astype(maps.dtype)


def _mean_of_masks(factors: TailFactors, masks: list[tf.Tensor], count: int, team: Team) -> np.ndarray:
    """Average V D1 W2 D2 over `count` images: V (W2 * C), with C [U1, U2] the share of them where both units are active.

    The cost hardly depends on the number of images. `masks` are those of this process's images.
    """
    first = tf.cast(masks[0], tf.float32)
    two = len(masks) == 2
    # Sums of 0/1 products are counts, exact in float32 up to 16 million images.
    counts = tf.matmul(first, tf.cast(masks[1], tf.float32), transpose_a=True) if two else tf.reduce_sum(first, axis=0)
    if team.size > 1:
        counts = tf.constant(team.sum(counts.numpy())[0])
    shares = tf.cast(counts, factors.first.dtype) / tf.cast(count, factors.first.dtype)
    mean = tf.matmul(factors.first, factors.kernels[0] * shares) if two else factors.first * shares
    return np.asarray(mean.numpy())


def fits_in_memory(num_images: int, num_neurons: int, num_features: int) -> bool:
    """Return whether making [P, N, D] matrices in float32, held twice for a moment, takes at most half of the free memory."""
    return _BYTES * num_images * num_neurons * num_features <= _MEMORY_SHARE * free_memory()


def check_memory(num_images: int, num_neurons: int, num_features: int) -> None:
    """Check that making [P, N, D] matrices in float32 takes at most half of the free memory.

    Raises:
        InputError: they take more; the sentence says how many support images would fit, and the other way out.
    """
    if not fits_in_memory(num_images, num_neurons, num_features):
        an_image = _BYTES * num_neurons * num_features
        allowed = _MEMORY_SHARE * free_memory()
        fitting = int(allowed / an_image)
        smaller = f"--num_support={fitting} or " if fitting else ""
        raise InputError(
            f"--engine=operator must fit in memory: {num_images} support images of {num_neurons} x {num_features} numbers take "
            f"{num_images * an_image / 1e9:.1f} GB of {allowed / 1e9:.1f} GB allowed. {smaller}--engine=closed_form would fit. "
            f"Received: --num_support={num_images}."
        )


def free_memory() -> float:
    """Return the bytes of memory that are free on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


_LAYERS = keras.layers
_POOLS = (_LAYERS.MaxPooling2D, _LAYERS.AveragePooling2D, _LAYERS.GlobalMaxPooling2D, _LAYERS.GlobalAveragePooling2D)
# A batch reads every weight once, and fully connected weights are many.
_BATCH = 128


# A tail of pooling, Flatten and fully connected layers as a product of small matrices.
#
# Averaged over positions, the Jacobian of such a tail factors. Every output of a pooling window passes all of its gradient on
# to its own channel, so summed over positions pooling drops out; what is left is M(x) = V D1(x) W2 D2(x) ..., with V [N, U1]
# the first kernel summed over the positions of the pooled map and divided by those of the map, and D the 0/1 masks of the
# ReLUs. U are units of a fully connected layer, D the last U.


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


# Passes through the tail that one row or column costs: a tangent goes along with the values, or without them where the tail is
# piecewise linear; a gradient comes back after them.
FORWARD_PASSES = 2.0
LINEAR_PASSES = 1.0
REVERSE_PASSES = 3.0
_LARGEST_BATCH = 256
_LARGEST_TENSOR = 2**24  # values of the widest activation of one chunk, 64 MB in float32


# The position-averaged Jacobian M(x) [N, D] of any tail, by forward or reverse differentiation, in bounded memory.
#
# Forward: row n is the directional derivative of the tail along "one at every position of channel n, divided by H W".
# Reverse: column d is the gradient of feature d, averaged over positions. Both are exact; which is cheaper depends on N and D.


def cheaper_mode(num_neurons: int, num_features: int, forward_passes: float = FORWARD_PASSES) -> str:
    """Return "forward" or "reverse", whichever takes fewer passes through the tail for the whole of M(x)."""
    return "forward" if forward_passes * num_neurons <= REVERSE_PASSES * num_features else "reverse"


def jacobian_passes(tail: Any) -> float:
    """Return how many passes of one image through a tail M(x) costs."""
    neurons, features = int(tail.input_shape[-1]), int(tail.output_shape[-1])
    forward = FORWARD_PASSES if linear_tail(tail) is None else LINEAR_PASSES
    return min(forward * neurons, REVERSE_PASSES * features)


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
    linear = linear_tail(tail)
    chosen = mode or cheaper_mode(neurons, features, FORWARD_PASSES if linear is None else LINEAR_PASSES)
    dtype = tail.inputs[0].dtype
    count = neurons if chosen == "forward" else features
    chunk = max(1, min(_LARGEST_BATCH, count, _LARGEST_TENSOR // _widest(tail)))

    @tf.function(jit_compile=jit, reduce_retracing=False, autograph=False)
    def forward(conv_map: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(directions)[0], height, width, neurons]
        tangents = tf.broadcast_to(directions[:, None, None, :], shape)
        if linear is not None:
            return linear.tangents(tangents, linear.masks(conv_map[None]))
        repeated = tf.broadcast_to(conv_map[None], shape)
        with tf.autodiff.ForwardAccumulator(repeated, tangents) as accumulator:
            outputs = tail(repeated, training=False)
        return accumulator.jvp(outputs)

    @tf.function(jit_compile=jit, reduce_retracing=False, autograph=False)
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
