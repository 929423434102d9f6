"""A Network from a Keras model that this package knows nothing of: a file, a preset of KerasHub, one of keras.applications."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from niwt_tf.config.backbones import APPLICATIONS, KERAS_HUB, default_layer_of, is_given_model
from niwt_tf.config.extras import imported
from niwt_tf.data.arrays import check_hdf5, check_keras
from niwt_tf.errors import InputError, first_line, require
from niwt_tf.models.cut import check_not_degenerate, default_layer
from niwt_tf.models.layers import ClassHead, Preprocess
from niwt_tf.models.network import Network
from niwt_tf.models.opening import check_form, opened_features, side_of, starts_with_scaling
from niwt_tf.models.weights import load_named, load_published

_AUTO = "auto"
_DEFAULT_SIDE = 224
GIVEN = "given.keras"  # what stands for a model that was no file


def network_of_model(
    backbone: str, class_names: Sequence[str], layer: str | None, weights: str, input_size: int | None, dropout: float,
    resize: str, preprocessing: str
) -> Network:
    """Return a new network on a `.keras` file, on `keras_hub:PRESET_OR_FOLDER` or on one of keras.applications.

    Without a layer it is cut as a row of the table with the same backbone is, or else at `niwt_tf.models.cut.default_layer`.

    Raises:
        InputError: a model that is not there, is not safe to read, takes no images or cannot be cut; weights or a
            preprocessing that it cannot have.
    """
    if is_given_model(backbone):
        if weights != "none" and not weights.endswith(".keras"):
            rule = "weights must be none or a .keras file if the backbone is a Keras model, which has its own weights"
            raise InputError(f"{rule}. Received: {weights!r}.")
        model, converter = _of_keras_hub(backbone) if backbone.startswith(KERAS_HUB) else (_of_file(backbone), None)
        check_form(model, "backbone")
        size = _size(model, input_size, converter)
        scaling = _scaling(model, converter, preprocessing)
    else:
        check_own_preprocessing(backbone, preprocessing)
        size = APPLICATIONS[backbone] if input_size is None else input_size
        model = _of_applications(backbone, size, weights)
        scaling = Preprocess(preprocessing_of(backbone), name="preprocess")
        layer = layer or default_layer_of(backbone)
    images = keras.Input((size, size, 3), name="images")
    features = opened_features(model, images, scaling(images), dropout)
    head = ClassHead(class_names, len(class_names), layer or "", resize, name="head")
    whole = keras.Model(images, head(features), name="given")
    if weights.endswith(".keras"):
        load_named(whole, weights)
    head.layer = layer or default_layer(whole)
    network = Network(whole, head.layer)
    check_not_degenerate(whole, network.layer)
    return network


def written_model(model: keras.Model, folder: Path) -> str:
    """Write a model of somebody's into a folder and return the file, which is a backbone.

    Raises:
        InputError: it is no model of images, or Keras cannot write it.
    """
    check_form(model, "backbone")
    path = folder / "backbone.keras"
    try:
        model.save(path)
    except Exception as error:  # whatever a layer without a configuration raises
        raise InputError(f"backbone must be a model that Keras can save. Received: {first_line(error)}") from error
    return str(path)


def check_own_preprocessing(backbone: str, preprocessing: str) -> None:
    """Check that nothing else is asked for where a backbone has a preprocessing of its own.

    Raises:
        InputError: it is.
    """
    rule = f"preprocessing must be auto for {backbone}, which has its own preprocessing"
    require(preprocessing == _AUTO, f"{rule}. Received: {preprocessing}.")


def preprocessing_of(application: str) -> str:
    """Return the mode of `Preprocess` that does what the constructor's own `preprocess_input` does.

    Raises:
        InputError: none does.
    """
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3)).astype(np.float32)
    module = sys.modules[getattr(keras.applications, application).__module__]
    wanted = np.asarray(module.preprocess_input(pixels.copy()))
    for mode in ("none", "tf", "torch", "caffe", "unit"):
        if np.allclose(Preprocess(mode)(pixels), wanted, rtol=1e-4, atol=1e-4):
            return mode
    raise InputError(f"backbone must have a known preprocessing. Received: {application} of {keras.__version__}.")


def _of_applications(name: str, size: int, weights: str) -> keras.Model:
    make = getattr(keras.applications, name)
    options = {"include_top": False, "input_shape": (size, size, 3)}
    if weights == "imagenet":
        try:
            return make(weights="imagenet", **options)
        except Exception as error:  # urllib, socket, OS and hash errors alike mean: not here
            rule = f"weights=imagenet of {name} must be downloaded once by Keras, into ~/.keras/models, or be a file's path"
            raise InputError(f"{rule}. Received: {first_line(error)}") from error
    try:
        model = make(weights=None, **options)
    except ValueError as error:
        raise InputError(f"input_size must suit {name}. Received: {size}: {first_line(error)}") from error
    return load_published({False: model}, weights, None)


def _of_file(path: str) -> keras.Model:
    rule = "backbone must be a model that Keras reads safely"
    require(Path(path).is_file(), f"{rule}. Received: {path!r}, not a file.")
    check_keras(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its zip, JSON and HDF5 readers meet
        rule += ", without layers that are not registered"
        raise InputError(f"{rule}. Received: {path}: {first_line(error)}") from error


def _of_keras_hub(backbone: str) -> tuple[keras.Model, Any]:
    """Return the encoder of images of a preset, and what brings pixels to its range; None if the preset does not say."""
    preset = backbone.removeprefix(KERAS_HUB)
    keras_hub = imported("keras_hub", f"backbone={backbone}")
    if "/" in preset and "://" not in preset:
        rule = "backbone must name a preset of KerasHub or its folder"
        require(Path(preset).is_dir(), f"{rule}. Received: {preset!r}, not a folder.")
        for weights in sorted(Path(preset).rglob("*.h5")):
            check_hdf5(weights)
    try:
        model = keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:  # downloads, JSON and HDF5 fail in types of their own
        rule = "backbone must name a preset of KerasHub that is stored here or can be downloaded"
        raise InputError(f"{rule}. Received: {preset!r}: {first_line(error)}") from error
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception:  # a preset of a backbone alone has none
        converter = None
    for name in ("vision_encoder", "image_encoder"):
        model = getattr(model, name, None) or model
    return model, converter


def _size(model: keras.Model, wanted: int | None, converter: Any) -> int:
    own = side_of(model)
    if own is None:
        said = getattr(converter, "image_size", None)
        return wanted or (int(said[0]) if said else _DEFAULT_SIDE)
    require(wanted in (None, own), f"input_size must be what the backbone takes, {own}. Received: {wanted}.")
    return int(own)


def _scaling(model: keras.Model, converter: Any, preprocessing: str) -> Any:
    if preprocessing != _AUTO:
        return Preprocess(preprocessing, name="preprocess")
    if converter is not None:
        scale = 1.0 if converter.scale is None else converter.scale
        offset = 0.0 if converter.offset is None else converter.offset
        return keras.layers.Rescaling(scale, offset, name="preprocess")
    if not starts_with_scaling(model):
        rule = "preprocessing must be given for a model without a Rescaling or Normalization layer before its first weights"
        raise InputError(f"{rule}: none, unit, tf, torch or caffe. Received: auto.")
    return Preprocess("none", name="preprocess")
