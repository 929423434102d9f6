"""The phase that trains the head on features computed once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import Images
from niwt_tf.method.execution import LARGEST_IN_MEMORY
from niwt_tf.method.reader import Reader
from niwt_tf.method.training_phases import Phase

_AT_ONCE = 4096
Step = tuple[tf.Tensor, tf.Tensor]


class FeaturePhase(Phase):
    """Train the head on the features [M, D] of the frozen trunk and tail.

    Up to `LARGEST_IN_MEMORY` bytes of features are held as one tensor and an epoch is one compiled loop. More are left where
    they are, in a memory-mapped file for instance, and read batch by batch; the outcome is the same. A team's processes each
    train the head by themselves: there is nothing to share but the order, which is given by seed and epoch.
    """

    name = "head"

    def __init__(self, *arguments: Any, features_of: Callable[[Images], np.ndarray] | None = None, **options: Any) -> None:
        """Keep what is given; `features_of` gives the features [M, D] of images if they are known already."""
        super().__init__(*arguments, **options)
        self.features_of = features_of or Reader(self.network, self.execution).features

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Compute the features and build one compiled epoch, or one compiled step where they are too many for memory."""
        features = self.features_of(self.images)
        if self.validation is not None:
            self.validation_features = self.features_of(self.validation)
        self.optimizer.build(self.network.head.trainable_variables)
        fits = features.size * 4 <= LARGEST_IN_MEMORY
        self._epoch = self._loop_in_memory(features) if fits else self._loop_over_batches(features)
        yield

    def train_epoch(self, epoch: int, advance: Callable[[int], Any]) -> tuple[float, float]:
        """Go over the features once in an order given by seed and epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images)).astype(np.int32)
        loss, right = self._epoch(order, epoch)
        advance(len(self.images))
        return float(loss) / len(self.images), float(right) / len(self.images)

    def validation_predictions(self, validation: Images) -> np.ndarray:
        """Return the head's answers on the validation features."""
        del validation
        starts = range(0, len(self.validation_features), _AT_ONCE)
        parts = (np.asarray(self.validation_features[start : start + _AT_ONCE], np.float32) for start in starts)
        return np.concatenate([np.asarray(self.network.head(part))[:, : self.num_classes].argmax(axis=1) for part in parts])

    def _step(self, batch: tf.Tensor, labels: tf.Tensor, epoch: tf.Tensor, start: tf.Tensor) -> Step:
        """Train on features [B, D], the epoch's from `start` on."""
        head, last = self.network.head, self.network.tail.layers[-1]
        if isinstance(last, keras.layers.Dropout) and last.rate:
            batch = tf.nn.experimental.stateless_dropout(batch, last.rate, seed=tf.stack([epoch, start]) + self.seed)
        return self.descend(self.optimizer, batch, labels, head, head.trainable_variables)

    def _loop_in_memory(self, features: np.ndarray) -> Callable[[np.ndarray, int], Step]:
        held, labels = tf.constant(features, tf.float32), tf.constant(self.images.labels)
        count, batch_size = len(self.images), self.batch_size

        @tf.function
        def epoch_of(order: tf.Tensor, epoch: tf.Tensor) -> Step:
            loss, right = tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                step_loss, step_right = self._step(tf.gather(held, chosen), tf.gather(labels, chosen), epoch, start)
                loss, right = loss + step_loss, right + step_right
            return loss, right

        return lambda order, epoch: epoch_of(tf.constant(order), tf.constant(epoch, tf.int32))

    def _loop_over_batches(self, features: np.ndarray) -> Callable[[np.ndarray, int], Step]:
        number, row = tf.TensorSpec([], tf.int32), tf.TensorSpec([None, features.shape[1]], tf.float32)
        step = tf.function(self._step, input_signature=[row, tf.TensorSpec([None], tf.int32), number, number])
        labels = np.asarray(self.images.labels, np.int32)

        def epoch_of(order: np.ndarray, epoch: int) -> Step:
            loss, right = tf.constant(0.0), tf.constant(0.0)
            starts = range(0, len(order), self.batch_size)
            parts = [order[start : start + self.batch_size] for start in starts]

            def read(chosen: np.ndarray) -> np.ndarray:
                return np.asarray(features[chosen], np.float32)

            with ThreadPoolExecutor(1) as reader:
                ahead = reader.submit(read, parts[0])
                for index, (start, chosen) in enumerate(zip(starts, parts, strict=True)):
                    batch = ahead.result()
                    if index + 1 < len(parts):
                        ahead = reader.submit(read, parts[index + 1])
                    step_loss, step_right = step(batch, labels[chosen], np.int32(epoch), np.int32(start))
                    loss, right = loss + step_loss, right + step_right
            return loss, right

        return epoch_of
