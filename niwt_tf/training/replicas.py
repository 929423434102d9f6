"""One network trained by several replicas on parts of the same batch, with the same outcome as on one device.

A copy of the network lives under a `tf.distribute` strategy. Each replica takes some rows of every batch; sums of losses and
gradients over the replicas, divided by the whole batch's size, are those of the whole batch. Batch norm in training takes its
statistics over the whole batch too, and dropout draws the whole batch's mask and keeps its own rows. What is left is rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.images.pipeline import KeptPixels, image_batches
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.models.network import Network

_BATCH_NORM = keras.layers.BatchNormalization
Descend = Callable[..., Any]


class PartDropout(keras.layers.Layer):
    """Dropout of a replica's rows as `keras.layers.Dropout` would do it to the whole batch.

    Attributes:
        count: rows of the whole batch, set before a step is traced.
        firsts: the first row of each replica, likewise.
    """

    def __init__(self, rate: float, noise_shape: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        self.noise_shape = noise_shape
        self.count, self.firsts = 1, np.zeros(1, np.int32)
        self.state = self.add_weight(name="seed", shape=(2,), dtype="int64", initializer="zeros", trainable=False)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return [B, ...] inputs with the whole batch's mask applied to these rows."""
        if not training or not self.rate:
            return inputs
        shape = [self.count, *inputs.shape[1:]]
        noise = [given or size for given, size in zip(self.noise_shape or [None] * len(shape), shape, strict=True)]
        # As Keras makes a seed of its state, so that one device and many draw the same mask.
        seed = tf.cast(tf.math.floormod(tf.convert_to_tensor(self.state), tf.int32.max - 1), tf.int32)
        mask = tf.nn.experimental.stateless_dropout(tf.ones(noise, inputs.dtype), self.rate, seed=seed)
        if noise[0] > 1:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            first = tf.gather(self.firsts, replica)
            mask = mask[first : first + tf.shape(inputs)[0]]
        return inputs * mask


class Replicas:
    """A network's copies under a strategy, and their common optimiser.

    Attributes:
        optimizer: of the copies; its variables are in the order that one device would have.
    """

    def __init__(self, network: Network, strategy: Any, optimizer: keras.optimizers.Optimizer, batch_size: int) -> None:
        """Copy the network as it is, with its layers' `trainable`, and build an optimiser like the given one.

        Raises:
            InputError: a batch has fewer images than there are replicas.
        """
        self._model, self._strategy, self._form = network.model, strategy, network.input_form
        self._count, self._batch_size = strategy.num_replicas_in_sync, batch_size
        if batch_size < self._count:
            raise InputError(f"--batch_size must be at least the number of devices, {self._count}. Received: {batch_size}.")
        with strategy.scope():
            self._copy = keras.models.clone_model(network.model, clone_function=_clone)
            self.optimizer = type(optimizer).from_config(optimizer.get_config())
            for layer in network.model.layers:
                self._copy.get_layer(layer.name).trainable = layer.trainable
            self.optimizer.build(self._copy.trainable_variables)
        self._steps: dict[int, Any] = {}

    def prepare(self, descend: Descend) -> None:
        """Say what a step is, see `Phase.descend`: traced once for whole batches and once for the last, smaller one."""
        self._descend = descend

    def epoch(
        self, images: Images, seed: int, epoch: int, kept: KeptPixels | None = None
    ) -> Iterator[tuple[float, float, int]]:
        """Train on every image once, in the order and with the augmentation of one device.

        The network's weights are taken at the start and given back at the end.

        Yields:
            For each batch its summed loss, its right answers and its number of images, over all replicas.
        """
        self._push()
        whole, rest = divmod(len(images), self._batch_size)
        parts: dict[tuple[int, int], Iterator[Any]] = {}

        def part_of(context: Any) -> Any:
            replica = context.replica_id_in_sync_group
            if (replica, number) not in parts:
                rows, size = self._rows(replica, number, len(images))
                options: dict[str, Any] = {"augment": True, "shuffle": True, "seed": seed, "epoch": epoch}
                parts[replica, number] = iter(image_batches(images, self._form, size, rows=rows, kept=kept, **options))
            return next(parts[replica, number])

        for number in [self._batch_size] * whole + [rest] * bool(rest):
            for own, original in self._dropouts():
                own.state.assign(original.seed_generator.state)
            batch = self._strategy.experimental_distribute_values_from_function(part_of)
            loss, right = self._step(number)(*batch).numpy() / self._turns(number)
            for _, original in self._dropouts():
                state = original.seed_generator.state
                state.assign(state + np.array([0, 1]))
            yield float(loss), float(right), number
        self._pull()

    def _turns(self, number: int) -> int:
        """Return how many replicas do each row: all of them where there are fewer rows than replicas, as none may be idle."""
        return self._count if number < self._count else 1

    def _places(self, number: int) -> list[np.ndarray]:
        """Return which of a batch's rows each replica does: consecutive ones."""
        rows = np.arange(number)
        return [rows] * self._count if number < self._count else np.array_split(rows, self._count)

    def _rows(self, replica: int, number: int, count: int) -> tuple[np.ndarray, int]:
        """Return the places in the epoch's order that a replica reads for its batches of `number`, and how many at a time."""
        places = self._places(number)[replica]
        whole = count - count % self._batch_size
        starts = np.arange(0, whole, number) if number == self._batch_size else np.array([whole])
        return (starts[:, None] + places).ravel(), len(places)

    def _step(self, number: int) -> Any:
        if number in self._steps:
            return self._steps[number]
        strategy, copy, variables = self._strategy, self._copy, self._copy.trainable_variables

        def of_replica(batch: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            def logits_of(rows: tf.Tensor) -> Any:
                return copy(rows, training=True)

            count = number * self._turns(number)
            penalties = functools.partial(getattr, copy, "losses")
            return tf.stack(self._descend(self.optimizer, batch, labels, logits_of, variables, count, self._count, penalties))

        @tf.function
        def step(batch: Any, labels: Any) -> tf.Tensor:
            # Every replica of every process traces the same steps in the same order: their exchanges are matched by it.
            for own, _ in self._dropouts():
                own.count, own.firsts = number, np.array([rows[0] for rows in self._places(number)], np.int32)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(of_replica, (batch, labels)), axis=None)

        self._steps[number] = step
        return step

    def _dropouts(self) -> list[tuple[PartDropout, keras.layers.Dropout]]:
        pairs = ((self._copy.get_layer(layer.name), layer) for layer in self._model.layers)
        return [pair for pair in pairs if isinstance(pair[0], PartDropout) and pair[0].rate]

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        for layer in self._model.layers:
            own = self._copy.get_layer(layer.name)
            if not isinstance(own, PartDropout):
                yield from zip(own.variables, layer.variables, strict=True)

    def _push(self) -> None:
        for own, original in self._pairs():
            own.assign(original.numpy())

    def _pull(self) -> None:
        for own, original in self._pairs():
            original.assign(own.numpy())


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if isinstance(layer, keras.layers.Dropout):
        options = {"name": layer.name, "dtype": config["dtype"]}
        return PartDropout(layer.rate, layer.noise_shape, **options)
    if isinstance(layer, _BATCH_NORM):
        config["synchronized"] = True
    return type(layer).from_config(config)
