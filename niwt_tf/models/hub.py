"""A TensorFlow Hub module as the trunk of a network: a Keras layer around it, and a tail of Keras layers.

What a module does after an inner map cannot be run from the map, so the tail is new: the mean over positions, brought to mean 0
and deviation 1, then a ReLU of each of N directions and of its opposite. A linear head on those 2N features can do all that one
on the mean itself can, as relu(x) - relu(-x) = x, and the ReLU makes importance differ from image to image.

`keras.layers.TFSMLayer` will not do: it names weights as TensorFlow does, "kernel:0", which Adam's slots may not be called; it
has one function for training and inference; and it is refused when a saved network is read safely.
"""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.data.hub_location import graph_fingerprint, locate
from niwt_tf.errors import InputError
from niwt_tf.models.hub_module import HubModule

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
            raise ModuleError(f"The hub module must be the one that the network was saved with. Received: another in {folder}.")
        self._map = HubModule(folder).map_function(endpoint, self.size)
        for trainable, variables in ((True, self._map.trainable), (False, self._map.fixed)):
            for variable in variables:
                self._adopt(variable, trainable)
        self.built = True

    def _adopt(self, variable: tf.Variable, trainable: bool) -> None:
        name = re.sub(r"[^A-Za-z0-9_.\-]", "_", variable.name.removesuffix(":0")).lstrip("_.-") or "variable"
        adopted = keras.Variable(variable, trainable=trainable, dtype=variable.dtype.name, name=name, autocast=False)
        self._track_variable(adopted)

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
    """Return what the layer of an endpoint is called: Keras allows no slash."""
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

    Args:
        tail: of the network.
        pooled: map's means over positions, [M, N], of training images.
    """
    layer = tail.get_layer(_STANDARDISED)
    layer.moving_mean.assign(pooled.mean(axis=0))
    layer.moving_variance.assign(pooled.var(axis=0))


def hub_layers(model: keras.Model) -> list[HubMap]:
    """Return the layers of the model that are hub modules."""
    return [layer for layer in model.layers if isinstance(layer, HubMap)]
