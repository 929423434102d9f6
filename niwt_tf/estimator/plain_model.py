"""A network as a plain Keras model of stock layers, which Keras reads where this package is not installed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError
from niwt_tf.models.feature_network import check_takes_images
from niwt_tf.models.hub import HubMap
from niwt_tf.models.layers import ClassHead, Preprocess, UnitFeatures
from niwt_tf.models.network import Network
from niwt_tf.models.opening import replaced
from niwt_tf.models.tokens import PatchGrid, PatchTokens

_LAYERS = keras.layers


def plain_model(network: Network) -> keras.Model:
    """Return a model of images [B, H, W, 3], RGB in 0..255 and of any size, to calibrated logits [B, C].

    It brings images to the network's square and its range itself; padded ones differ a little at the edge of the padding, since
    Keras pads before it resizes. Its weights are copies. Layers of a backbone of one's own or
    of KerasHub stay what they are.

    Raises:
        InputError: the backbone is a module of TensorFlow Hub, which is no Keras layer.
    """
    hub = next((layer.name for layer in network.model.layers if isinstance(layer, HubMap)), None)
    if hub is not None:
        raise InputError(f"A plain model must consist of Keras layers. Received: {hub!r}, a module of TensorFlow Hub.")
    check_takes_images(network, "A plain model")
    copied = network.copy()
    images = keras.Input((None, None, 3), name="images")
    logits = replaced(copied.model, _resizing(copied.input_form)(images), _stock)
    model = keras.Model(images, logits, name=copied.model.name)
    head, before = model.layers[-1], copied.head
    seen = np.arange(len(before.class_names)) < before.num_seen
    head.set_weights([copied.columns, copied.biases - copied.calibration * seen.astype(np.float32)])
    for layer in model.layers:
        if layer.name == "preprocess" and isinstance(layer, _LAYERS.Conv2D):
            layer.set_weights(_turned())
            layer.trainable = False
    return model


def _resizing(form: InputForm) -> Any:
    ways = {"crop_to_aspect_ratio": form.resize == "crop", "pad_to_aspect_ratio": form.resize == "pad"}
    return _LAYERS.Resizing(form.size, form.size, antialias=True, name="resizing", **ways)


def _stock(layer: Any) -> Any:
    """Return what does in stock layers what a layer does."""
    if isinstance(layer, PatchGrid | PatchTokens):
        return lambda given: given  # each undoes the other
    if isinstance(layer, UnitFeatures):
        return _LAYERS.UnitNormalization(name=layer.name)
    if isinstance(layer, ClassHead):
        return _LAYERS.Dense(len(layer.class_names), name=layer.name)
    if isinstance(layer, Preprocess):
        return _preprocessing(layer)
    return layer


def _preprocessing(layer: Preprocess) -> Any:
    reverse, mean, deviation = layer.range
    if reverse:
        return _LAYERS.Conv2D(3, 1, name=layer.name)  # a permutation of the channels
    pairs = list(zip(mean, deviation, strict=True))
    scale, offset = [1 / each for _, each in pairs], [-middle / each for middle, each in pairs]
    return _LAYERS.Rescaling(scale, offset, name=layer.name)


def _turned() -> list[np.ndarray]:
    """Return the weights of a convolution that reverses the channels and takes ImageNet's mean off."""
    _, mean, _ = Preprocess("caffe").range
    return [np.eye(3, dtype=np.float32)[None, None, ::-1], -np.array(mean, np.float32)]
