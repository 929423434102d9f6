"""Importance as a linear operator of the head column, image by image and averaged over images.

The logit is f(a) . w, so alpha(x) = M(x) w with M(x) [N, D] the tail's Jacobian averaged over positions. What nested tapes find
by a gradient of a gradient is then two matrix products: M(x) w, and M(x)' g for the gradient of any loss of it.

Dimensions: P images, N neurons, D features, C columns, B of the P images, L groups of images.
"""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.errors import InputError
from niwt_tf.method.jacobian import jacobian_of
from niwt_tf.method.tail_factors import TailFactors, factor_tail
from niwt_tf.method.team import ALONE, Team

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
    def adjoint(self, values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Return the sum over images of M(x)' g, [D, C], for values g [B, C, N]: a gradient by the columns."""

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

    def adjoint(self, values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `TailOperator`."""
        values = tf.matmul(values, self._factors.first) * self._mask(0, images)
        for index, kernel in enumerate(self._factors.kernels, start=1):
            values = tf.matmul(values, kernel) * self._mask(index, images)
        return tf.transpose(tf.reduce_sum(values, axis=0))

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

    def adjoint(self, values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """See `TailOperator`."""
        matrices = tf.gather(self._matrices, images)
        return tf.reduce_sum(tf.matmul(matrices, values, transpose_a=True, transpose_b=True), axis=0)

    def mean(self) -> np.ndarray:
        """See `TailOperator`."""
        return tf.reduce_mean(self._matrices, axis=0).numpy()


def tail_operator(
    tail: Any, maps: np.ndarray | tf.Tensor, *, jit: bool = False, progress: bool = False
) -> TailOperator:
    """Return the operator of conv maps [P, H, W, N]: factored where the tail allows it, else kept matrices.

    Raises:
        InputError: kept matrices would not fit in memory.
    """
    factors = factor_tail(tail)
    return KeptOperator(tail, maps, jit=jit, progress=progress) if factors is None else FactoredOperator(factors, maps)


def mean_operators(
    tail: Any,
    maps: np.ndarray,
    members: np.ndarray,
    *,
    jit: bool = False,
    progress: bool = False,
    team: Team = ALONE,
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


def _factored_means(
    factors: TailFactors, maps: np.ndarray, members: np.ndarray, own: np.ndarray, team: Team
) -> np.ndarray:
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
