"""Layers of other packages that write more into their configuration than they read."""

from __future__ import annotations

import inspect
from typing import Any

import keras

_OF_EVERY_LAYER = frozenset(inspect.signature(keras.layers.Layer.__init__).parameters) | {"name", "dtype", "trainable"}


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
