"""Stage 1: the importance of each neuron for a class (NIWT Eq. 1), streamed over images.

Dimensions: B images, H x W positions, N neurons, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.compute.distributed import Team
from niwt_tf.compute.execution import Execution, compiled
from niwt_tf.compute.features import Reader
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.metrics.ranks import standardised_ranks, unit
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

    def __init__(self, network: Network, execution: Execution, kept_rows: int | None) -> None:
        self._names = network.class_names
        self._columns = tf.constant(np.ascontiguousarray(network.columns.T))
        self._sums = np.zeros((len(network.class_names), network.num_neurons))
        self._counts = np.zeros(len(network.class_names), np.int64)
        self._correlation = PairwiseRankCorrelation(*self._sums.shape)
        self._kept = None if kept_rows is None else np.zeros((kept_rows, network.num_neurons), np.float32)

        def importance(maps: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return importance_of_maps(network.tail, maps, tf.gather(self._columns, labels))

        signature = [tf.TensorSpec([None, *network.tail.input_shape[1:]], tf.float32), tf.TensorSpec([None], tf.int32)]
        self._importance = compiled(importance, signature, execution.jit, execution.batch_size)

    def add(self, maps: tf.Tensor, images: Images, labels: np.ndarray, rows: np.ndarray) -> None:
        """Take in the maps [B, H, W, N] of images with labels [B], -1 to skip one; `rows` [B] are their places in the whole."""
        taken = np.flatnonzero(labels >= 0)
        if not len(taken):
            return
        owners = labels[taken]
        asked = maps if len(taken) == len(labels) else tf.gather(maps, taken)
        raw = self._importance(asked, tf.constant(owners, tf.int32)).numpy()
        broken = np.flatnonzero(~np.isfinite(np.square(raw, dtype=np.float32).sum(axis=1)))
        if len(broken):
            path, name = images.paths[taken[broken[0]]], self._names[owners[broken[0]]]
            raise InputError(
                "Importance must be finite; training with a lower --learning_rate or in --precision=float32 may help. "
                f"Received: NaN or infinity for the image {path!r} and the class {name!r}."
            )
        vectors = unit(raw)
        np.add.at(self._sums, owners, vectors)
        self._counts += np.bincount(owners, minlength=len(self._counts))
        self._correlation.add(vectors, owners)
        if self._kept is not None:
            self._kept[rows[taken]] = vectors

    def result(self, team: Team, taken: np.ndarray) -> ClassImportance:
        """Return the means over all processes of the team; `taken` are the rows of `vectors` that are not skipped."""
        sums, counts = team.sum(self._sums, self._counts)
        self._correlation.reduce(team)
        vectors = None if self._kept is None else team.sum(self._kept)[0][taken]
        means = sums / np.maximum(counts, 1)[:, None]
        return ClassImportance(means.astype(np.float32), counts, self._correlation.within, self._correlation.across, vectors)


def class_importance(
    network: Network, images: Images, *, reader: Reader | None = None, keep_vectors: bool = False
) -> ClassImportance:
    """Stream images through Eq. 1, each asked about its own class.

    Memory does not grow with the number of images unless `keep_vectors` is set.

    Args:
        network: its head holds the classes that the labels index.
        images: labelled images.
        reader: makes the maps, by default in float32 and without a cache.
        keep_vectors: also return every image's unit importance.

    Raises:
        InputError: an importance is not finite; the sentence names the image and the class.
    """
    return shared_importance([network], images, [images.labels], reader=reader, keep_vectors=keep_vectors)[0]


def shared_importance(
    networks: Sequence[Network], images: Images, labels: Sequence[np.ndarray], *, reader: Reader | None = None,
    keep_vectors: bool = False
) -> list[ClassImportance]:
    """Stream images once through the trunk that several networks share, and through Eq. 1 for each network's head.

    The processes of the reader's team share the images; sums are reduced in float64, so all get the same answers.

    Args:
        networks: they differ in their heads alone.
        images: what to stream.
        labels: for each network [M] class indices, -1 where it skips the image.
        reader: makes the maps of the shared trunk, by default in float32 and without a cache.
        keep_vectors: also return every image's unit importance.

    Raises:
        InputError: an importance is not finite; the sentence names the image and the class.
    """
    reader = reader or Reader(networks[0])
    execution = reader.execution
    accumulators = [_Accumulator(network, execution, len(images) if keep_vectors else None) for network in networks]
    mine = execution.team.share(len(images))
    share = images.take(mine)
    done = 0
    with tqdm(total=len(share), desc="importance", unit="image", disable=not execution.progress) as bar:
        for maps in reader.map_batches(share):
            rows = np.arange(done, done + len(maps))
            for accumulator, owners in zip(accumulators, labels, strict=True):
                accumulator.add(maps, share.take(rows), owners[mine[rows]], mine[rows])
            done += len(maps)
            bar.update(len(maps))
    return [
        accumulator.result(execution.team, np.flatnonzero(owners >= 0))
        for accumulator, owners in zip(accumulators, labels, strict=True)
    ]


class PairwiseRankCorrelation:
    """The mean Spearman correlation over every pair of vectors within a class, and over every pair across classes.

    A sum of dot products over all pairs is a difference of squared norms of sums, so only one [N] sum a class is kept:
    the figures of NIWT Section 3.2 over all images, exactly, in memory that does not grow with the number of images.
    """

    def __init__(self, num_classes: int, num_neurons: int) -> None:
        self._sums = np.zeros((num_classes, num_neurons))
        self._counts = np.zeros(num_classes, np.int64)

    def add(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        """Take in importance vectors [B, N] of classes `labels` [B]; constant vectors are left out."""
        ranks = standardised_ranks(vectors)
        ordered = np.abs(ranks).max(axis=1) > 0
        np.add.at(self._sums, labels[ordered], ranks[ordered])
        self._counts += np.bincount(labels[ordered], minlength=len(self._counts))

    def reduce(self, team: Team) -> None:
        """Put the sums over all processes of the team in place of this one's."""
        self._sums, self._counts = team.sum(self._sums, self._counts)

    @property
    def within(self) -> float:
        """Mean over classes of the mean over pairs of one class; NaN when no class has two vectors."""
        paired = self._counts > 1
        if not paired.any():
            return float("nan")
        counts = self._counts[paired].astype(np.float64)
        squared = (self._sums[paired] ** 2).sum(axis=1)
        return float(((squared - counts) / (counts * (counts - 1))).mean())

    @property
    def across(self) -> float:
        """Mean over pairs from two different classes, every class weighing the same; NaN for a single class."""
        present = self._counts > 0
        classes = int(present.sum())
        if classes < 2:
            return float("nan")
        means = self._sums[present] / self._counts[present][:, None]
        total = (means.sum(axis=0) ** 2).sum() - (means**2).sum()
        return float(total / (classes * (classes - 1)))
