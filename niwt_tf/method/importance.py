"""Stage 1: the importance of each neuron for a class (NIWT Eq. 1), streamed over images.

Dimensions: B images, H x W positions, N neurons, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.method.rank_correlation import PairwiseRankCorrelation
from niwt_tf.models.network import Network


def importance_of_maps(tail: Callable[..., tf.Tensor], maps: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Return alpha [B, N]: the gradient of each image's logit by its conv map, averaged over positions (Eq. 1).

    The logit is f(a) . w without its bias, which no gradient sees, and never a softmax. Differentiable by `columns`.

    Args:
        tail: conv map [B, H, W, N] -> features [B, D].
        maps: conv maps [B, H, W, N].
        columns: [B, D], the head column of the class that each image is asked about.
    """
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.reduce_sum(tail(maps, training=False) * columns, axis=1)
    return tf.reduce_mean(tape.gradient(logits, maps), axis=[1, 2])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors [M, N] divided by their L2 norms; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


@dataclass(frozen=True)
class ClassImportance:
    """What Stage 2 needs of Stage 1.

    Attributes:
        means: float32 [C, N], each class's mean of unit-normalised importances of its own images.
        counts: int64 [C], images behind each mean.
        rank_correlation_within: mean Spearman correlation over pairs of images of one class.
        rank_correlation_across: the same over pairs of images of two classes.
        vectors: float32 [M, N] unit importances in the order of the images, only if asked for.
    """

    means: np.ndarray
    counts: np.ndarray
    rank_correlation_within: float
    rank_correlation_across: float
    vectors: np.ndarray | None = None


class _Accumulator:
    """Sums of one network's unit importances."""

    def __init__(self, network: Network, keep_vectors: bool) -> None:
        self._columns = tf.constant(np.ascontiguousarray(network.columns.T))
        self._sums = np.zeros((len(network.class_names), network.num_neurons))
        self._counts = np.zeros(len(network.class_names), np.int64)
        self._correlation = PairwiseRankCorrelation(*self._sums.shape)
        self._kept: list[np.ndarray] | None = [] if keep_vectors else None

        # Every batch size and number of skipped images goes through one trace.
        map_type = tf.TensorSpec([None, *network.tail.input_shape[1:]], tf.float32)

        @tf.function(input_signature=[map_type, tf.TensorSpec([None], tf.int32)])
        def importance(maps: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return importance_of_maps(network.tail, maps, tf.gather(self._columns, labels))

        self._importance = importance

    def add(self, maps: tf.Tensor, labels: np.ndarray) -> None:
        taken = np.flatnonzero(labels >= 0)
        if not len(taken):
            return
        owners = labels[taken]
        vectors = unit(self._importance(tf.gather(maps, taken), tf.constant(owners, tf.int32)).numpy())
        np.add.at(self._sums, owners, vectors)
        self._counts += np.bincount(owners, minlength=len(self._counts))
        self._correlation.add(vectors, owners)
        if self._kept is not None:
            self._kept.append(vectors)

    def result(self) -> ClassImportance:
        means = self._sums / np.maximum(self._counts, 1)[:, None]
        vectors = np.concatenate(self._kept) if self._kept else None
        within, across = self._correlation.within, self._correlation.across
        return ClassImportance(means.astype(np.float32), self._counts, within, across, vectors)


def class_importance(
    network: Network, images: Images, *, batch_size: int = 32, keep_vectors: bool = False, progress: bool = False
) -> ClassImportance:
    """Stream images through Eq. 1, each asked about its own class.

    Memory does not grow with the number of images unless `keep_vectors` is set.

    Args:
        network: its head holds the classes that the labels index.
        images: labelled images.
        batch_size: images at a time.
        keep_vectors: also return every image's unit importance.
        progress: show a bar on stderr.
    """
    return shared_importance(
        [network], images, [images.labels], batch_size=batch_size, keep_vectors=keep_vectors, progress=progress
    )[0]


def shared_importance(
    networks: Sequence[Network],
    images: Images,
    labels: Sequence[np.ndarray],
    *,
    batch_size: int = 32,
    keep_vectors: bool = False,
    progress: bool = False,
) -> list[ClassImportance]:
    """Stream images once through the trunk that several networks share, and through Eq. 1 for each network's head.

    Args:
        networks: they differ in their heads alone.
        images: what to stream.
        labels: for each network [M] class indices, -1 where it skips the image.
        batch_size: images at a time.
        keep_vectors: also return every image's unit importance.
        progress: show a bar on stderr.
    """
    first = networks[0]
    size = first.input_size

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)])
    def trunk(batch: tf.Tensor) -> tf.Tensor:
        return first.trunk(batch, training=False)

    accumulators = [_Accumulator(network, keep_vectors) for network in networks]
    done = 0
    with tqdm(total=len(images), desc="importance", unit="image", disable=not progress) as bar:
        for batch, _ in image_batches(images, size, batch_size):
            maps = trunk(batch)
            count = len(maps)
            for accumulator, owners in zip(accumulators, labels, strict=True):
                accumulator.add(maps, owners[done : done + count])
            done += count
            bar.update(count)
    return [accumulator.result() for accumulator in accumulators]
