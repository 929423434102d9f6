"""The two ways a network is trained: its head on features computed once, or its layers on augmented images."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.method.execution import Execution
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network

_BATCH_NORM = keras.layers.BatchNormalization


class Phase(abc.ABC):
    """One optimiser over some of a network's weights.

    Attributes:
        name: shown in the bar and the records.
        network: what is trained, in place.
        optimizer: built by `prepared`.
    """

    name = ""

    def __init__(
        self,
        network: Network,
        images: Images,
        validation: Images | None,
        learning_rate: float,
        *,
        batch_size: int,
        weight_decay: float,
        seed: int,
    ) -> None:
        """Keep what is given; nothing is computed before `prepared`."""
        self.network = network
        self.images = images
        self.validation = validation if validation is not None and len(validation) else None
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.seed = seed
        self.learning_rate: Any = learning_rate
        self.optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(learning_rate)

    @abc.abstractmethod
    def prepared(self) -> contextlib.AbstractContextManager[None]:
        """Set up the phase for the time of the block."""

    @abc.abstractmethod
    def train_epoch(self, epoch: int, advance: Callable[[int], Any]) -> tuple[float, float]:
        """Do one epoch (counted from 0), telling `advance` of images done, and return their mean loss and accuracy."""

    @abc.abstractmethod
    def validation_predictions(self, validation: Images) -> np.ndarray:
        """Return the class index predicted for each validation image."""

    def predict_validation(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return labels and predictions of the validation images, or None where there are none."""
        if self.validation is None:
            return None
        return self.validation.labels, self.validation_predictions(self.validation)

    def present_rate(self) -> float:
        """Return the learning rate of the next step."""
        return float(self.optimizer.learning_rate.numpy())

    def descend(
        self, inputs: tf.Tensor, labels: tf.Tensor, logits_of: Callable[[tf.Tensor], Any], variables: list[Any]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do one step and return the batch's summed loss and its number of right answers."""
        with tf.GradientTape() as tape:
            logits = logits_of(inputs)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
            # Half precision has no room for small gradients: its optimiser scales them up and takes the scale off again.
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        decay = self.optimizer.scale_loss(tf.constant(self.weight_decay))
        decayed = [
            gradient + decay * variable.value if _is_kernel(variable) else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        self.optimizer.apply(decayed, variables)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32))
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))


class FeaturePhase(Phase):
    """Train the head on the features of the frozen trunk and tail, which are held in memory, [M, D]."""

    name = "head"

    def __init__(self, *arguments: Any, features_of: Callable[[Images], np.ndarray] | None = None, **options: Any) -> None:
        """Keep what is given; `features_of` gives the features [M, D] of images if they are known already."""
        super().__init__(*arguments, **options)
        self.features_of = features_of or Reader(self.network).features

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
                step_loss, step_right = self.descend(batch, tf.gather(labels, chosen), head, variables)
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


class ImagePhase(Phase):
    """Train every layer on augmented images.

    Args:
        network: what is trained.
        images: training images.
        validation: or None.
        learning_rate: at the first step.
        cosine_epochs: fall to 0 along a cosine in so many epochs; None keeps the rate.
        train_batch_norm: else batch norm stays in inference mode and its weights stay as they are.
        jit: compile the step with XLA.
        **options: see `Phase`.
    """

    name = "all"

    def __init__(
        self,
        network: Network,
        images: Images,
        validation: Images | None,
        learning_rate: float,
        cosine_epochs: int | None,
        *,
        train_batch_norm: bool,
        jit: bool = False,
        **options: Any,
    ) -> None:
        """Keep what is given; nothing is computed before `prepared`."""
        super().__init__(network, images, validation, learning_rate, **options)
        self.train_batch_norm, self.jit = train_batch_norm, jit
        if cosine_epochs is not None:
            steps = cosine_epochs * -(-len(images) // self.batch_size)
            self.optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
        if any(layer.compute_dtype == "float16" for layer in network.model.layers):
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Freeze what stays, and build one compiled step."""
        model, size = self.network.model, self.network.input_size
        layers = [layer for layer in model.layers if isinstance(layer, _BATCH_NORM)]
        before = [layer.trainable for layer in layers]
        try:
            for layer in layers:
                layer.trainable = self.train_batch_norm
            variables = model.trainable_variables
            self.optimizer.build(variables)

            def logits_of(batch: tf.Tensor) -> tf.Tensor:
                return model(batch, training=True)

            images, labels = tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int32)

            @tf.function(input_signature=[images, labels], jit_compile=self.jit)
            def step(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return self.descend(batch, labels, logits_of, variables)

            self._step = step
            self._reader = Reader(self.network, Execution(batch_size=self.batch_size, jit=self.jit))
            yield
        finally:
            for layer, trainable in zip(layers, before, strict=True):
                layer.trainable = trainable

    def train_epoch(self, epoch: int, advance: Callable[[int], Any]) -> tuple[float, float]:
        """Go over the images once; order and augmentation are given by seed and epoch."""
        size, total, right, done = self.network.input_size, tf.constant(0.0), tf.constant(0.0), 0
        batches = image_batches(self.images, size, self.batch_size, augment=True, shuffle=True, seed=self.seed, epoch=epoch)
        for batch, labels in batches:
            loss, hits = self._step(batch, labels)
            total, right, done = total + loss, right + hits, done + int(labels.shape[0])
            advance(int(labels.shape[0]))
        return float(total) / done, float(right) / done

    def validation_predictions(self, validation: Images) -> np.ndarray:
        """Return the network's answers on the validation images."""
        return self._reader.logits(validation).argmax(axis=1)


def _is_kernel(variable: Any) -> bool:
    """Return whether weight decay is for this variable: biases and batch norm are vectors, kernels are not."""
    return len(variable.shape) > 1
