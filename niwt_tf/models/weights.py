"""Loading a backbone's weights, and saying plainly why a file does not fit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from niwt_tf.config.backbones import WeightsFile
from niwt_tf.data.arrays import check_hdf5, check_keras
from niwt_tf.errors import InputError, first_line


def load_published(
    bases: Mapping[bool, Callable[[bool], keras.Model] | keras.Model], weights: str, published: WeightsFile | None
) -> keras.Model:
    """Return the first of `bases` that `weights` ("none", "imagenet" or a path) fits, with the weights loaded.

    Bases are include_top -> a model, or its constructor (called with include_top), in order of preference. A `.keras` file is
    left to `load_named`. `published` is where "imagenet" is found.

    Raises:
        InputError: no such file, no published weights, offline, or a file that fits none of the models.
    """
    if weights == "imagenet":
        if published is None:
            rule = 'weights must be "none" or a path: this backbone has no published ImageNet weights'
            raise InputError(f"{rule}. Received: imagenet.")
        path = _fetch(published)
    elif weights == "none" or weights.endswith(".keras"):
        base = next(iter(bases.values()))
        return base if isinstance(base, keras.Model) else base(next(iter(bases)))
    else:
        path = _existing(weights)
        try:
            check_hdf5(path)
        except InputError as error:
            raise InputError(f"weights must fit the backbone. Received: {error}") from None
    reason = ""
    for top, base in bases.items():
        model = base if isinstance(base, keras.Model) else base(top)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a file that does not fit warns once a layer; the error says it all
                model.load_weights(path)
        except Exception as error:  # Keras and h5py raise many types for a file that does not fit
            reason = reason or first_line(error)
            continue
        return model
    wanted = " (the variant with the top is needed, at its original input size)" if list(bases) == [True] else ""
    raise InputError(f"weights must fit the backbone{wanted}. Received: {path}, of which Keras says: {reason}")


def load_named(model: keras.Model, path: str) -> None:
    """Copy the weights of a saved `.keras` model into the layers of the same names; the head keeps its own.

    Raises:
        InputError: no such file, or a layer with weights that the file lacks or has in other shapes.
    """
    file = _existing(path)
    try:
        check_keras(file)
        saved = keras.models.load_model(file, compile=False, safe_mode=True)
        found = {layer.name: layer.get_weights() for layer in saved.layers}
    except Exception as error:  # Keras raises whatever its zip, JSON and HDF5 readers meet
        raise InputError(f"weights must be a readable .keras file. Received: {path}: {first_line(error)}") from error
    for layer in model.layers[:-1]:
        wanted = [np.shape(weight) for weight in layer.get_weights()]
        given = [weight.shape for weight in found.get(layer.name, [])]
        if wanted != given:
            has = f"shapes {given}" if layer.name in found else "no such layer"
            rule = f"weights must fit the backbone: layer {layer.name!r} needs shapes {wanted}."
            raise InputError(f"{rule} Received: {path} with {has}.")
        if wanted:
            layer.set_weights(found[layer.name])


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise InputError(f'weights must be "imagenet", "none" or the path of a weights file. Received: {path!r}, not a file.')
    if not path.endswith((".h5", ".hdf5", ".keras")):
        raise InputError(f"weights must be a .weights.h5, .h5 or .keras file. Received: {path!r}.")
    return Path(path)


def _fetch(published: WeightsFile) -> Path:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    target = home / "models" / published.name
    try:
        # Keras leaves the hash out of its own table for some files; get_file then trusts the one in the folder.
        found = keras.utils.get_file(
            published.name, published.url, cache_dir=str(home), cache_subdir="models", file_hash=published.md5
        )
    except Exception as error:  # urllib, socket, OS and hash errors alike mean: not here
        raise InputError(
            f"weights=imagenet must be downloaded once: fetch {published.url} and put it at {target}, or give its path."
            f" Received: {first_line(error)}"
        ) from error
    return Path(found)
