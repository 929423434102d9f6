"""What tells one model from another: how it is built and what its weights are, but not what its layers are called."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np

from niwt_tf.files import fingerprint

# These change how a model is trained, or where a module lies, not what is made of an image.
_IGNORED = frozenset(("trainable", "kernel_initializer", "bias_initializer", "build_config", "inference", "handle"))


def model_fingerprint(model: keras.Model) -> str:
    """Return 16 hex digits that change with the model's architecture, precision or weights.

    Names of layers make no difference: Keras numbers them by what else the process has built.
    """
    config = model.get_config()
    names = {layer["config"]["name"]: f"layer {index}" for index, layer in enumerate(config["layers"])}
    text = json.dumps(_renamed(config["layers"], names), sort_keys=True, default=str)
    return fingerprint(text, *(np.asarray(weight) for weight in model.get_weights()))


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items() if key not in _IGNORED}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
