"""How a network is trained: what every phase shares, and the phase of all layers on augmented images."""

from __future__ import annotations

import abc
import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.compute.execution import LARGEST_IN_MEMORY, Execution
from niwt_tf.compute.features import Reader
from niwt_tf.data.images.pipeline import KeptPixels, image_batches
from niwt_tf.data.schema import Images
from niwt_tf.models.hub import hub_layers
from niwt_tf.models.network import Network
from niwt_tf.training.attribute_loss import AttributeLoss
from niwt_tf.training.replicas import Replicas

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
        self, network: Network, images: Images, validation: Images | None, learning_rate: float, *, batch_size: int,
        weight_decay: float, seed: int, execution: Execution, attribute_loss: AttributeLoss | None = None
    ) -> None:
        """Keep what is given; nothing is computed before `prepared`. With an `attribute_loss` the network is a widened one."""
        self.network = network
        self.attribute_loss = attribute_loss
        self.num_classes = len(network.class_names) - (attribute_loss.targets.shape[1] if attribute_loss else 0)
        self.images = images
        self.validation = validation if validation is not None and len(validation) else None
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.seed = seed
        self.execution = execution
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
        self, optimizer: keras.optimizers.Optimizer, inputs: tf.Tensor, labels: tf.Tensor,
        logits_of: Callable[[tf.Tensor], Any], variables: list[Any], count: int | None = None, replicas: int = 1,
        penalties: Callable[[], list[Any]] = list
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Do one step and return the summed loss and the number of right answers of these rows.

        Args:
            optimizer: adds up the gradients of the replicas that call it together.
            inputs: [B, ...].
            labels: int32 [B].
            logits_of: inputs to logits [B, C].
            variables: what is trained.
            count: rows of the whole batch, by which the sum of losses is divided; None means these are all.
            replicas: how many call this together; each brings its part of the weight decay and of the penalties.
            penalties: what the layers add to the loss, known after `logits_of`.
        """
        with tf.GradientTape() as tape:
            logits = tf.cast(logits_of(inputs), tf.float32)
            classes = logits[:, : self.num_classes]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, classes)
            if self.attribute_loss is not None:
                losses += self.attribute_loss(logits[:, self.num_classes :], labels)
            loss = tf.reduce_mean(losses) if count is None else tf.reduce_sum(losses) / count
            for penalty in penalties():
                loss += penalty / replicas
            # Half precision has no room for small gradients: its optimiser scales them up and takes the scale off again.
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        decay = optimizer.scale_loss(tf.constant(self.weight_decay / replicas))
        decayed = [
            gradient + decay * variable.value if _is_kernel(variable) else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        optimizer.apply(decayed, variables)
        right = tf.equal(tf.argmax(classes, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32))
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))


class ImagePhase(Phase):
    """Train every layer on augmented images.

    Args:
        network: what is trained.
        images: training images.
        validation: or None.
        learning_rate: at the first step.
        cosine_epochs: fall to 0 along a cosine in so many epochs; None keeps the rate.
        train_batch_norm: else batch norm stays in inference mode and its weights stay as they are.
        **options: see `Phase`.
    """

    name = "all"

    def __init__(
        self, network: Network, images: Images, validation: Images | None, learning_rate: float, cosine_epochs: int | None, *,
        train_batch_norm: bool, **options: Any
    ) -> None:
        """Keep what is given; nothing is computed before `prepared`."""
        super().__init__(network, images, validation, learning_rate, **options)
        self.train_batch_norm = train_batch_norm
        if cosine_epochs is not None:
            steps = cosine_epochs * -(-len(images) // self.batch_size)
            self.optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
        if any(layer.compute_dtype == "float16" for layer in network.model.layers):
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Freeze what stays, and build one compiled step, or the replicas of the team."""
        layers = [layer for layer in self.network.model._flatten_layers() if isinstance(layer, _BATCH_NORM)]
        modules = hub_layers(self.network.model)
        before = [layer.trainable for layer in layers]
        try:
            for layer in layers:
                layer.trainable = self.train_batch_norm
            for module in modules:  # it has batch norm inside, while its other weights are trained
                module.inference = not self.train_batch_norm
            self._replicas = None
            if self.execution.team.strategy is not None:
                self._replicas = Replicas(self.network, self.execution.team.strategy, self.optimizer, self.batch_size)
                self._replicas.prepare(self.descend)
                self.optimizer = self._replicas.optimizer
            else:
                self._step = self._compiled_step()
            team, jit = self.execution.team, self.execution.jit
            # Every epoch reads the same files.
            self._kept = KeptPixels()
            self._reader = Reader(self.network, Execution(team=team, batch_size=self.batch_size, jit=jit), kept=self._kept)
            yield
        finally:
            for layer, trainable in zip(layers, before, strict=True):
                layer.trainable = trainable
            for module in modules:
                module.inference = False

    def train_epoch(self, epoch: int, advance: Callable[[int], Any]) -> tuple[float, float]:
        """Go over the images once; order and augmentation are given by seed and epoch."""
        total, right, done = 0.0, 0.0, 0
        for loss, hits, count in self._batches(epoch):
            total, right, done = total + loss, right + hits, done + count
            advance(count)
        return float(total) / done, float(right) / done

    def validation_predictions(self, validation: Images) -> np.ndarray:
        """Return the network's answers on the validation images; each process of the team looks at its share of them."""
        return self._reader.logits(validation)[:, : self.num_classes].argmax(axis=1)

    def _batches(self, epoch: int) -> Iterator[tuple[Any, Any, int]]:
        if self._replicas is not None:
            yield from self._replicas.epoch(self.images, self.seed, epoch, self._kept)
            return
        options: dict[str, Any] = {"augment": True, "shuffle": True, "seed": self.seed, "epoch": epoch, "kept": self._kept}
        for batch, labels in image_batches(self.images, self.network.input_form, self.batch_size, **options):
            yield *self._step(batch, labels), int(labels.shape[0])

    def _compiled_step(self) -> Any:
        model, size, variables = self.network.model, self.network.input_size, self.network.model.trainable_variables
        self.optimizer.build(variables)
        images, labels = tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int32)

        def logits_of(batch: tf.Tensor) -> tf.Tensor:
            return model(batch, training=True)

        @tf.function(input_signature=[images, labels], jit_compile=self.execution.jit, autograph=False)
        def step(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            penalties = functools.partial(getattr, model, "losses")
            return self.descend(self.optimizer, batch, labels, logits_of, variables, penalties=penalties)

        return step


def _is_kernel(variable: Any) -> bool:
    """Return whether weight decay is for this variable: biases and batch norm are vectors, kernels are not."""
    return len(variable.shape) > 1


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
        step = tf.function(self._step, input_signature=[row, tf.TensorSpec([None], tf.int32), number, number], autograph=False)
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
