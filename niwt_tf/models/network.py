"""A classifier cut at a named layer: trunk (images -> map), tail (map -> features), head (features -> logits)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from niwt_tf.data.arrays import check_archive
from niwt_tf.data.class_names import alike
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError, first_line, require, suggestion
from niwt_tf.files import replacing
from niwt_tf.models.cut import check_not_degenerate, inputs_of, named_cut, split
from niwt_tf.models.hub import HubMap, ModuleError
from niwt_tf.models.layers import ClassHead, Preprocess, UnitFeatures
from niwt_tf.models.tokens import PatchGrid, PatchTokens

# Layers are registered for `load` by being imported.
__all__ = ["HubMap", "Network", "PatchGrid", "PatchTokens", "Preprocess", "UnitFeatures"]

# Pixels need more than 8 bits, and logits are compared: both ends stay in float32.
_KEPT = (keras.layers.InputLayer, Preprocess, UnitFeatures, ClassHead)
_OF_EVERY_LAYER = frozenset(inspect.signature(keras.layers.Layer.__init__).parameters) | {"name", "dtype", "trainable"}


class Network:
    """A Keras functional model, images [B, S, S, 3] as RGB in 0..255 to logits [B, C], cut at `layer`.

    Trunk and tail are functional models over the same layers, so they share every weight with `model`.

    Attributes:
        model: the whole network; its last layer is a `ClassHead`.
        layer: name of the layer whose output is the map; of a layer of tokens, the `PatchGrid` behind it.
        trunk: images [B, S, S, 3] -> map [B, H, W, N].
        tail: map [B, H, W, N] -> features [B, D].
        head: features [B, D] -> logits [B, C].

    Raises:
        InputError: the model does not end in a `ClassHead`, or it cannot be cut at `layer`.
    """

    def __init__(self, model: keras.Model, layer: str) -> None:
        if not isinstance(model, keras.Model) or not isinstance(model.layers[-1], ClassHead):
            raise InputError(f"model must be a functional Keras model that ends in a ClassHead. Received: {model!r}.")
        mend_configs(model)
        self.model = model
        self.layer = named_cut(model, layer)
        self.head: ClassHead = model.layers[-1]
        self.trunk, self.tail = self._split(model, self.layer)

    def _split(self, model: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
        return split(model, layer)

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names, seen classes first."""
        return self.head.class_names

    @property
    def num_seen(self) -> int:
        """S: classes below this index are seen."""
        return self.head.num_seen

    @property
    def num_neurons(self) -> int:
        """N, the channels of the map."""
        return int(self.trunk.output_shape[-1])

    @property
    def num_features(self) -> int:
        """D, the inputs of the head."""
        return int(self.tail.output_shape[-1])

    @property
    def input_size(self) -> int:
        """S, the height and width of an image in pixels."""
        return int(self.model.input_shape[1])

    @property
    def input_form(self) -> InputForm:
        """How it takes an image."""
        return InputForm(self.input_size, self.head.resize)

    @property
    def columns(self) -> np.ndarray:
        """The head's columns [D, C] (a copy)."""
        return np.array(self.head.kernel.numpy())

    @property
    def biases(self) -> np.ndarray:
        """The head's biases [C] (a copy)."""
        return np.array(self.head.bias.numpy())

    @property
    def calibration(self) -> float:
        """What is taken off the seen classes' logits."""
        return float(self.head.calibration.numpy())

    @calibration.setter
    def calibration(self, value: float) -> None:
        self.head.calibration.assign(value)

    def with_head(self, columns: np.ndarray, biases: np.ndarray, names: Sequence[str], num_seen: int) -> Network:
        """Return a network with another head over the same trunk and tail (shared weights) and the same calibration.

        The head has columns [D, C], biases [C], and C unique class names, the `num_seen` seen ones first.

        Raises:
            InputError: shapes that do not fit, values that are not finite, repeated names.
        """
        columns, biases = np.asarray(columns), np.asarray(biases)
        expected = (self.num_features, len(names))
        if columns.shape != expected or biases.shape != expected[1:]:
            shapes = f"{columns.shape} and {biases.shape}"
            raise InputError(f"columns and biases must be {list(expected)} and {[expected[1]]}. Received: {shapes}.")
        if not (np.isfinite(columns).all() and np.isfinite(biases).all()):
            raise InputError("columns and biases must be finite. Received: NaN or infinity.")
        head = ClassHead(names, num_seen, self.layer, self.head.resize, name="head", dtype=self.head.dtype_policy)
        features = self.head_input()
        model = keras.Model(self.model.inputs[0], head(features), name=self.model.name)
        head.kernel.assign(columns)
        head.bias.assign(biases)
        head.calibration.assign(self.head.calibration)
        return type(self)(model, self.layer)

    def with_unit_features(self) -> Network:
        """Return a network whose tail ends by dividing the features by their length, under the same head (shared weights)."""
        features = UnitFeatures(name="unit_features", dtype="float32")(self.head_input())
        return Network(keras.Model(self.model.inputs[0], self.head(features), name=self.model.name), self.layer)

    def head_input(self) -> keras.KerasTensor:
        """Return the symbolic features [B, D] that the head is applied to."""
        return inputs_of(self.model.outputs[0])[0]

    def expand(self, columns: np.ndarray, biases: np.ndarray, names: Sequence[str]) -> Network:
        """Return a network with M more classes, unseen ones of columns [D, M], after the present C. This one is unchanged.

        Raises:
            InputError: shapes that do not fit, values that are not finite, a name that exists.
        """
        columns, biases = np.asarray(columns), np.asarray(biases)
        if columns.shape != (self.num_features, len(names)) or biases.shape != (len(names),):
            expected = f"[{self.num_features}, {len(names)}] and [{len(names)}]"
            raise InputError(f"columns and biases must be {expected}. Received: {columns.shape} and {biases.shape}.")
        known = next((found for name in names if (found := alike(name, self.class_names)) is not None), None)
        require(known is None, f"A new class must have a new name. Received: {known!r}, which exists.")
        every = np.concatenate([self.columns, columns], axis=1), np.concatenate([self.biases, biases])
        return self.with_head(*every, (*self.class_names, *names), self.num_seen)

    def without(self, name: str) -> Network:
        """Return a network without the class `name`.

        Raises:
            InputError: there is no such class, or it is the only one, or the only one that the network was trained on.
        """
        index = self.index_of(name)
        if self.num_seen == 1 and not index:
            rule = "name must not be the last class that the network was trained on, by which others are explained"
            raise InputError(f"{rule}. Received: {name!r}.")
        kept = [c for c in range(len(self.class_names)) if c != index]
        names = [self.class_names[c] for c in kept]
        num_seen = self.num_seen - (index < self.num_seen)
        return self.with_head(self.columns[:, kept], self.biases[kept], names, num_seen)

    def index_of(self, name: str) -> int:
        """Return the index of the class `name`.

        Raises:
            InputError: there is no such class; the sentence suggests the nearest.
        """
        if name not in self.class_names:
            raise InputError(f"The network has no class of that name.{suggestion(name, self.class_names)} Received: {name!r}.")
        return self.class_names.index(name)

    def copy(self) -> Network:
        """Return a network with its own layers and weights, equal to this one's."""
        model = keras.models.clone_model(self.model)
        model.set_weights(self.model.get_weights())
        return type(self)(model, self.layer)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as one `.keras` file, whole or not at all.

        Raises:
            InputError: the name does not end in .keras.
        """
        require(Path(path).suffix == ".keras", f"path must end in .keras. Received: {str(path)!r}.")
        with replacing(path) as temporary:
            self.model.save(temporary)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read what `save` wrote; names, seen count, calibration and cut are inside the file.

        Raises:
            InputError: no such file, it holds no saved Network, or the hub module that it is made of is gone.
        """
        if not Path(path).is_file():
            raise InputError(f"path must be a .keras file written by Network.save. Received: {str(path)!r}, not a file.")
        check_archive(path, "be a .keras file written by Network.save")
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        except ModuleError as error:
            raise InputError(f"{path} was made from a hub module, which must still exist. {error}") from error
        except Exception as error:  # Keras raises whatever its zip, JSON and HDF5 readers meet
            raise InputError(f"{path} must be a .keras file written by Network.save. Received: {first_line(error)}") from error
        if not isinstance(getattr(model, "layers", [None])[-1], ClassHead):
            raise InputError(f"{path} must be a .keras file written by Network.save. Received: a model without a ClassHead.")
        return cls(model, model.layers[-1].layer)


# Stands for what the head is applied to: the last fully connected layer, or the pooled map.
FEATURES = "features"


def recut(network: Network, layers: Sequence[str]) -> list[Network]:
    """Return the network cut at each of the further layers but `FEATURES`, whose importance is the column; weights are shared.

    Raises:
        InputError: a layer is unknown, degenerate, repeated, or the network's own.
    """
    repeated = next((name for name in layers if named_cut(network.model, name) == network.layer), None)
    require(repeated is None, f"--extra_layers must differ from --layer. Received: {repeated!r}.")
    cuts = []
    for name in (name for name in layers if name != FEATURES):
        try:
            cuts.append(Network(network.model, name))
            check_not_degenerate(network.model, cuts[-1].layer)
        except InputError as error:
            raise InputError(f"--extra_layers must name layers that can be cut at. {error}") from None
    return cuts


def mend_configs(model: keras.Model) -> None:
    """Have each layer of the model leave out of its configuration what its constructor does not take.

    KerasHub's `ViTEncoderBlock`, for one, writes `key_dim` and refuses it (0.32): only its whole backbone is meant to be read
    again, while a Network is read layer by layer.
    """
    for layer in model.layers:
        if type(layer).__module__.startswith("keras_hub.") and "get_config" not in vars(layer):
            _mend(layer)


def _mend(layer: Any) -> None:
    taken = set(_OF_EVERY_LAYER)
    for each in type(layer).__mro__:
        if each is keras.layers.Layer:
            break
        taken |= set(inspect.signature(each.__init__).parameters)  # type: ignore[misc]
    written = layer.get_config
    object.__setattr__(layer, "get_config", lambda: {name: value for name, value in written().items() if name in taken})


def in_precision(network: Network, policy: str) -> Network:
    """Return a twin whose layers follow a Keras dtype policy, mixed_bfloat16, mixed_float16 or float32; it has its own weights.

    Weights stay float32, in the same order, so that they can be copied back. Pixels and logits are float32.
    """

    def layer_of(layer: Any) -> Any:
        if isinstance(layer, _KEPT):
            return layer.__class__.from_config(layer.get_config())
        return layer.__class__.from_config({**layer.get_config(), "dtype": policy})

    model = keras.models.clone_model(network.model, clone_function=layer_of)
    model.set_weights(network.model.get_weights())
    return Network(model, network.layer)
