"""The phase that trains the head on features computed once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import Images
from niwt_tf.method.reader import Reader
from niwt_tf.method.training_phases import Phase


class FeaturePhase(Phase):
    """Train the head on the features of the frozen trunk and tail, which are held in memory, [M, D]."""

    name = "head"

    def __init__(self, *arguments: Any, features_of: Callable[[Images], np.ndarray] | None = None, **options: Any) -> None:
        """Keep what is given; `features_of` gives the features [M, D] of images if they are known already."""
        super().__init__(*arguments, **options)
        self.features_of = features_of or Reader(self.network, self.execution).features

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Compute the features and build one compiled epoch."""
        head = self.network.head
        features = tf.constant(self.features_of(self.images))
        labels = tf.constant(self.images.labels)
        if self.validation is not None:
            self.validation_features = self.features_of(self.validation)
        last = self.network.tail.layers[-1]
        rate = last.rate if isinstance(last, keras.layers.Dropout) else 0.0
        variables = head.trainable_variables
        self.optimizer.build(variables)
        batch_size, count = self.batch_size, len(self.images)

        @tf.function
        def epoch_of(order: tf.Tensor, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss, right = tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                batch = tf.gather(features, chosen)
                if rate:
                    seed = tf.stack([epoch, start]) + self.seed
                    batch = tf.nn.experimental.stateless_dropout(batch, rate, seed=seed)
                step_loss, step_right = self.descend(self.optimizer, batch, tf.gather(labels, chosen), head, variables)
                loss, right = loss + step_loss, right + step_right
            return loss / count, right / count

        self._epoch = epoch_of
        yield

    def train_epoch(self, epoch: int, advance: Callable[[int], Any]) -> tuple[float, float]:
        """Go over the features once in an order given by seed and epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images)).astype(np.int32)
        loss, accuracy = self._epoch(tf.constant(order), tf.constant(epoch, tf.int32))
        advance(len(self.images))
        return float(loss), float(accuracy)

    def validation_predictions(self, validation: Images) -> np.ndarray:
        """Return the head's answers on the validation features."""
        return np.asarray(self.network.head(self.validation_features)).argmax(axis=1)
