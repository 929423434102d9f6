"""A loaded module of TensorFlow Hub: which inner maps it offers, how to compute one, and which variables that takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from niwt_tf.errors import InputError, suggestion

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
    """How a module makes one map.

    Attributes:
        compute: float32 images [B, S, S, 3] in [0, 1] and whether to train -> map [B, H, W, N].
        shape: (H, W, N).
        trains: whether the module behaves otherwise in training.
        trainable: variables that training changes.
        fixed: the other variables.
        losses: functions of nothing, the module's regularisation.
    """

    compute: Callable[[tf.Tensor, bool], tf.Tensor]
    shape: tuple[int, ...]
    trains: bool
    trainable: tuple[tf.Variable, ...]
    fixed: tuple[tf.Variable, ...]
    losses: tuple[Callable[[], tf.Tensor], ...]


class HubModule:
    """A SavedModel with a function of images, either `__call__` (a reusable SavedModel) or signatures.

    Args:
        folder: of the SavedModel.

    Raises:
        InputError: TensorFlow cannot load it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._loaded: Any = tf.saved_model.load(str(folder))
        except Exception as error:  # TensorFlow raises whatever its reader of protos and tensors meets
            lines = str(error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            raise InputError(f"A hub module must be a readable SavedModel. Received: {folder}: {reason}") from error

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

        def variables(training: bool) -> tuple[tf.Variable, ...]:
            traced = tf.function(lambda batch: compute(batch, training)).get_concrete_function(images)
            return tuple(traced.variables)

        found = {id(variable): variable for variable in variables(False)}
        try:
            found |= {id(variable): variable for variable in variables(True)}
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
        return MapFunction(
            compute,
            shape,
            trains,
            tuple(variable for key, variable in found.items() if key in reached),
            tuple(variable for key, variable in found.items() if key not in reached),
            tuple(getattr(self._loaded, "regularization_losses", None) or ()),
        )

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
