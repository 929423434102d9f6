"""A network's twin that computes in another precision, with its own copy of the weights in float32."""

from __future__ import annotations

from typing import Any

import keras

from niwt_tf.models.layers import ClassHead, Preprocess, UnitFeatures
from niwt_tf.models.network import Network

# Pixels need more than 8 bits, and logits are compared: both ends stay in float32.
_KEPT = (keras.layers.InputLayer, Preprocess, UnitFeatures, ClassHead)


def in_precision(network: Network, policy: str) -> Network:
    """Return a copy whose layers follow a Keras dtype policy: mixed_bfloat16, mixed_float16 or float32.

    Weights stay float32, in the same order, so that they can be copied back. Pixels and logits are float32.
    """

    def layer_of(layer: Any) -> Any:
        if isinstance(layer, _KEPT):
            return layer.__class__.from_config(layer.get_config())
        return layer.__class__.from_config({**layer.get_config(), "dtype": policy})

    model = keras.models.clone_model(network.model, clone_function=layer_of)
    model.set_weights(network.model.get_weights())
    return Network(model, network.layer)
