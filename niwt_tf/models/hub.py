"""A TensorFlow Hub module as the trunk of a network: a Keras layer around it, and a tail of Keras layers.

What a module does after an inner map cannot be run from the map, so the tail is new: the mean over positions, brought to mean 0
and deviation 1, then a ReLU of each of N directions and of its opposite. A linear head on those 2N features can do all that one
on the mean itself can, as relu(x) - relu(-x) = x, and the ReLU makes importance differ from image to image.

`keras.layers.TFSMLayer` will not do: it names weights as TensorFlow does, "kernel:0", which Adam's slots may not be called; it
has one function for training and inference; and it is refused when a saved network is read safely.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.hub_location import graph_fingerprint, locate
from niwt_tf.errors import InputError, first_line, suggestion
from niwt_tf.files import literal_folder

_STANDARDISED = "standardised"


class ModuleError(InputError):
    """A saved network's hub module is gone, or is another one than it was saved with."""


@keras.saving.register_keras_serializable(package="niwt_tf")
class HubMap(keras.layers.Layer):
    """Images [B, S, S, 3], RGB in [0, 1], to the map [B, H, W, N] of an endpoint of a module.

    The module's variables are this layer's weights. The configuration holds where the module is, not its graph.

    Args:
        handle: of the module, which must be there: see `locate`.
        endpoint: name of a 4-D output.
        size: S.
        graph: fingerprint of the module's graph, or None to accept any.
        inference: whether the module runs as in inference even when its weights are trained: its batch norm stays as it is.

    Raises:
        InputError: the module is not there, has another graph, or has no such endpoint.
    """

    def __init__(
        self, handle: str, endpoint: str, size: int, graph: str | None = None, inference: bool = False, **options: Any
    ) -> None:
        # Pixels need more than 8 bits: in a mixed precision they stay as they are and the map alone is rounded.
        super().__init__(**{**options, "autocast": False})
        self.handle, self.endpoint, self.size, self.inference = handle, endpoint, int(size), bool(inference)
        try:
            folder = locate(handle, download=False)
        except InputError as error:
            raise ModuleError(str(error)) from None
        self.graph = graph_fingerprint(folder)
        if graph not in (None, self.graph):
            raise ModuleError(
                f"The hub module must be the one that the network was saved with. Received: another module in {folder}."
            )
        self._map = HubModule(folder).map_function(endpoint, self.size)
        for trainable, variables in ((True, self._map.trainable), (False, self._map.fixed)):
            for variable in variables:
                name = layer_name(variable.name.removesuffix(":0")).lstrip("_.-") or "variable"
                kind = variable.dtype.name
                self._track_variable(keras.Variable(variable, trainable=trainable, dtype=kind, name=name, autocast=False))
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return the map [B, H, W, N]; in training the module's regularisation is added to the losses."""
        if training and self.trainable:
            for loss in self._map.losses:
                self.add_loss(loss())
        as_in_training = bool(training) and self.trainable and self._map.trains and not self.inference
        conv_map = self._map.compute(tf.cast(images, tf.float32), as_in_training)
        return tf.cast(conv_map, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return [B, H, W, N]."""
        return (input_shape[0], *self._map.shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HubMap:
        """Return the layer that `get_config` described; Keras would hide what is wrong with the module in a TypeError."""
        try:
            return super().from_config(config)
        except TypeError as error:
            if isinstance(error.__context__, ModuleError):
                raise error.__context__ from None
            raise

    def get_config(self) -> dict[str, Any]:
        """Return the options that rebuild the layer."""
        own = {"handle": self.handle, "endpoint": self.endpoint, "size": self.size, "graph": self.graph}
        return {**super().get_config(), **own, "inference": self.inference}


def layer_name(endpoint: str) -> str:
    """Return what the layer of an endpoint, or a variable, is called: Keras allows no slash."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", endpoint)


def hub_features(images: Any, handle: str, endpoint: str, dropout: float, seed: int) -> Any:
    """Return features [B, 2N] of prepared images [B, S, S, 3] in [0, 1]: the module's map and the new tail."""
    conv_map = HubMap(handle, endpoint, int(images.shape[1]), name=layer_name(endpoint))(images)
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(conv_map)
    standardised = keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-6, name=_STANDARDISED)(pooled)
    neurons = int(conv_map.shape[-1])
    dense = keras.layers.Dense(2 * neurons, activation="relu", name="directions")
    features = dense(standardised)
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((neurons, neurons)))
    dense.kernel.assign(np.concatenate([turned, -turned], axis=1))
    return keras.layers.Dropout(dropout, name="dropout")(features)


def settle(tail: keras.Model, pooled: np.ndarray) -> None:
    """Tell a new tail the mean and the variance of the pooled map, if it is one of `hub_features`; labels are not needed.

    `pooled` are the map's means over positions, [M, N], of training images.
    """
    layer = tail.get_layer(_STANDARDISED)
    layer.moving_mean.assign(pooled.mean(axis=0))
    layer.moving_variance.assign(pooled.var(axis=0))


def hub_layers(model: keras.Model) -> list[HubMap]:
    """Return the layers of the model that are hub modules."""
    return [layer for layer in model.layers if isinstance(layer, HubMap)]


# What a module is called with, the most telling first: the convention of image feature vectors names its endpoints.
_OPTIONS: tuple[dict[str, bool], ...] = (
    {"training": False, "return_endpoints": True},
    {"return_endpoints": True},
    {"training": False},
    {},
)
_DEFAULT_SIZE = 224
Compute = Callable[[tf.Tensor, bool], dict[str, tf.Tensor]]


@dataclass(frozen=True)
class MapFunction:
    """How a module makes one map."""

    compute: Callable[[tf.Tensor, bool], tf.Tensor]  # float32 images [B, S, S, 3] in [0, 1], to train? -> [B, H, W, N]
    shape: tuple[int, ...]  # (H, W, N)
    trains: bool  # whether the module behaves otherwise in training
    trainable: tuple[tf.Variable, ...]  # variables that training changes
    fixed: tuple[tf.Variable, ...]  # the other variables
    losses: tuple[Callable[[], tf.Tensor], ...]  # the module's regularisation


class HubModule:
    """A SavedModel with a function of images, either `__call__` (a reusable SavedModel) or signatures.

    Raises:
        InputError: TensorFlow cannot load it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._loaded: Any = tf.saved_model.load(str(literal_folder(folder)))
        except Exception as error:  # TensorFlow raises whatever its reader of protos and tensors meets
            raise InputError(f"A hub module must be a readable SavedModel. Received: {folder}: {first_line(error)}") from error

    def input_size(self, wanted: int | None) -> int:
        """Return the height and width of its images in pixels: its own, or `wanted`, or 224 where it takes any.

        Raises:
            InputError: the module takes another size than is wanted, or images that are not square.
        """
        sizes = {tuple(shape[1:3]) for shape in self._image_shapes()}
        sizes = {size for size in sizes if None not in size}
        if not sizes or (wanted, wanted) in sizes:
            return wanted or _DEFAULT_SIZE
        height, width = sizes.pop()
        if wanted is not None or height != width:
            rule = f"input_size must be what the hub module takes, {height} x {width} pixels, and square"
            raise InputError(f"{rule}. Received: {wanted} and {self.folder}.")
        return int(height or 0)

    def endpoint(self, name: str | None, size: int) -> str:
        """Return the endpoint that `name` means; None means the only one with a 4-D output.

        Raises:
            InputError: it is not a 4-D endpoint; the sentence lists what the module offers.
        """
        offered: dict[str, tuple[int, ...]] = {}
        for _, outputs in self._offers(size):
            offered = {key: tuple(value.shape) for key, value in outputs.items()} | offered
            if name is not None and len(offered.get(name, ())) == 4:
                return name
        maps = [key for key, shape in offered.items() if len(shape) == 4]
        if name is None and len(maps) == 1:
            return maps[0]
        listed = ", ".join(f"{key} {list(shape[1:])}" for key, shape in sorted(offered.items())) or "nothing"
        if not maps:
            rule = "A hub module must offer an inner convolution: a 4-D output in a dict, or with return_endpoints=True"
            has = f"which offers {listed} for float images [{size}, {size}, 3]"
            raise InputError(f"{rule}. Received: {self.folder}, {has}.")
        hint = suggestion(name, maps) if name else ""
        raise InputError(f"--layer must name a 4-D output of the hub module, which offers {listed}. Received: {name!r}.{hint}")

    def map_function(self, endpoint: str, size: int) -> MapFunction:
        """Return how to make the map of an endpoint from images of `size` pixels.

        Raises:
            InputError: there is no such 4-D endpoint.
        """
        self.endpoint(endpoint, size)
        call, outputs = next((call, outputs) for call, outputs in self._offers(size) if endpoint in outputs)
        shape = tuple(int(side) for side in outputs[endpoint].shape[1:])
        images = tf.TensorSpec([None, size, size, 3], tf.float32)

        def compute(batch: tf.Tensor, training: bool) -> tf.Tensor:
            # A function of any size does not tell the size of its output.
            return tf.ensure_shape(tf.cast(call(batch, training)[endpoint], tf.float32), [None, *shape])

        def variables(training: bool) -> dict[int, tf.Variable]:
            traced = tf.function(lambda batch: compute(batch, training)).get_concrete_function(images)
            return {id(variable): variable for variable in traced.variables}

        found = variables(False)
        try:
            found |= variables(True)
            trains = True
        except (TypeError, ValueError):  # saved without a branch for training
            trains = False
        named = getattr(self._loaded, "trainable_variables", None)
        learned = None if named is None else {id(variable) for variable in named}
        floats = [variable for variable in found.values() if variable.dtype.is_floating]

        def slopes() -> list[tf.Tensor | None]:
            with tf.GradientTape() as tape:
                tape.watch(floats)
                total = tf.reduce_sum(compute(tf.zeros([1, size, size, 3]), False))
            return tape.gradient(total, floats)

        reached = {
            id(variable)
            for variable, gradient in zip(floats, _of_one_replica(slopes), strict=True)
            if gradient is not None and (variable.trainable if learned is None else id(variable) in learned)
        }
        every, losses = found.items(), getattr(self._loaded, "regularization_losses", None) or ()
        trainable = tuple(variable for key, variable in every if key in reached)
        fixed = tuple(variable for key, variable in every if key not in reached)
        return MapFunction(compute, shape, trains, trainable, fixed, tuple(losses))

    def _offers(self, size: int) -> Iterator[tuple[Compute, dict[str, tf.Tensor]]]:
        """Yield each function that takes images of that size with what it makes of two of them."""
        images = tf.zeros([2, size, size, 3])
        calls = [_of_call(self._loaded, options) for options in _OPTIONS] if callable(self._loaded) else []
        for group in (calls, [_of_signature(signature) for signature in self._signatures()]):
            for call in group:
                try:
                    outputs = _of_one_replica(functools.partial(call, images, False))
                except (TypeError, ValueError, tf.errors.OpError):  # saved for other arguments
                    continue
                yield call, outputs
                if group is calls:
                    break

    def _signatures(self) -> list[Any]:
        return [signature for _, signature in sorted(dict(getattr(self._loaded, "signatures", {})).items())]

    def _image_shapes(self) -> Iterator[tuple[int | None, ...]]:
        own = self._loaded.__call__ if callable(self._loaded) else None
        for function in (*getattr(own, "concrete_functions", ()), *self._signatures()):
            for spec in tf.nest.flatten(function.structured_input_signature):
                if isinstance(spec, tf.TensorSpec) and spec.shape.rank == 4 and spec.shape[-1] in (3, None):
                    yield tuple(spec.shape)


def _of_one_replica(function: Callable[[], Any]) -> Any:
    """Return what the function returns; under a strategy a loaded graph may only be run by a replica."""
    strategy = tf.distribute.get_strategy()
    return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], strategy.run(function))


def _of_call(module: Any, options: dict[str, bool]) -> Compute:
    def call(images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        return _named(module(images, **({**options, "training": training} if "training" in options else options)))

    return call


def _of_signature(signature: Any) -> Compute:
    def call(images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        if training:
            raise ValueError("A signature has no branch for training.")
        inputs = signature.structured_input_signature[1]
        if len(inputs) != 1:
            raise ValueError("A signature of images has one input.")
        return _named(signature(**{name: images for name in inputs}))

    return call


def _named(outputs: Any) -> dict[str, tf.Tensor]:
    return {str(name): value for name, value in (outputs.items() if hasattr(outputs, "items") else [("default", outputs)])}
