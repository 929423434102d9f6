"""A network of published features: nothing but a head, on a map of one position whose channels are the features."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from niwt_tf.errors import InputError
from niwt_tf.models.layers import ClassHead
from niwt_tf.models.network import Network

LAYER = "published_features"


def check_takes_images(network: Network, what: str) -> None:
    """Check that a network takes images, for something that is asked of it.

    Raises:
        InputError: it takes published features.
    """
    if network.layer == LAYER:
        raise InputError(f"{what} needs a network that takes images. Received: one that takes features of images.")


def check_takes_pixels(layer: str | None, what: str) -> None:
    """Check that a network that is cut at a layer takes images, for something that needs them.

    Raises:
        InputError: it takes published features.
    """
    if layer == LAYER:
        raise InputError(f"--run_dir must be a run on images for {what}. Received: a run on features without images.")


def feature_network(class_names: Sequence[str], width: int) -> Network:
    """Return a network of features float32 [B, 1, 1, D] of width D with a random head; every class is seen.

    Its layer is the features, so that a neuron is a feature and the importance of one for a class is the weight in its column.
    """
    rows = keras.Input((1, 1, width), name="images")
    neurons = keras.layers.Activation("linear", name=LAYER)(rows)
    features = keras.layers.GlobalAveragePooling2D(name="avg_pool")(neurons)
    logits = ClassHead(class_names, len(class_names), LAYER, "squash", name="head")(features)
    return Network(keras.Model(rows, logits, name="features"), LAYER)
