"""A new Network from a row of the table of backbones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from niwt_tf.config.backbones import APPLICATIONS, BACKBONES, Backbone, is_given_model
from niwt_tf.config.names import FEATURES
from niwt_tf.data.hub_location import PREFIX, absolute_hub, is_hub, locate
from niwt_tf.errors import InputError, check_choice, require
from niwt_tf.models.cut import check_not_degenerate, output_of
from niwt_tf.models.feature_network import feature_network
from niwt_tf.models.given import check_own_preprocessing, network_of_model
from niwt_tf.models.hub import HubModule, hub_features, layer_name
from niwt_tf.models.layers import ClassHead, Preprocess
from niwt_tf.models.network import Network
from niwt_tf.models.weights import load_named, load_published


def build_network(
    backbone: str,
    class_names: Sequence[str],
    layer: str | None = None,
    weights: str = "none",
    input_size: int | None = None,
    dropout: float = 0.5,
    seed: int = 0,
    resize: str = "squash",
    preprocessing: str = "auto",
    width: int | None = None,
) -> Network:
    """Return a new network with a random head; every class is seen.

    Args:
        backbone: a key of `BACKBONES`; one of `APPLICATIONS`; the path of a `.keras` file; "keras_hub:" and a preset; or "hub:"
            and a TensorFlow Hub module, see `niwt_tf.data.hub_location.locate`.
        class_names: C unique names.
        layer: where to cut; None takes the backbone's default. Of a hub module: the endpoint, None takes its only 4-D one.
        weights: "none" (random), "imagenet" (what Keras publishes, downloaded or already in its folder) or the path of a
            `.weights.h5`, legacy `.h5` or `.keras` file. A hub module has weights of its own, which "none" leaves as they are.
        input_size: height and width of an image in pixels; None takes the backbone's default.
        dropout: rate on the fully connected layers, or on the pooled features.
        seed: of every random weight and of dropout.
        resize: how images are brought to its square: "squash", "crop" or "pad".
        preprocessing: what a model of one's own takes for pixels, a mode of `Preprocess`; "auto" is what it says itself.
        width: of published features, with the backbone "features", which takes no other argument but `class_names` and `seed`.

    Raises:
        InputError: an unknown backbone or layer, a degenerate layer, a size or rate out of range, weights that are absent
            or do not fit.
    """
    if backbone == FEATURES:
        assert width is not None, "published features are as many as their file says"
        with _seeded(seed):
            return feature_network(class_names, width)
    require(0 <= dropout < 1, f"dropout must be in [0, 1). Received: {dropout}.")
    if is_hub(backbone):
        handle = absolute_hub(backbone).removeprefix(PREFIX)
        return _hub_network(handle, class_names, layer, weights, input_size, dropout, seed, resize)
    if is_given_model(backbone) or backbone in APPLICATIONS:
        with _seeded(seed):
            given = class_names, layer, weights, input_size, dropout, resize, preprocessing
            return network_of_model(backbone, *given)
    row = BACKBONES[check_choice("backbone", backbone, BACKBONES)]
    check_own_preprocessing(backbone, preprocessing)
    size = row.input_size if input_size is None else input_size
    smallest = 32 if row.make else 16
    require(size >= smallest, f"input_size must be at least {smallest} for {backbone}. Received: {size}.")
    with _seeded(seed):
        images = keras.Input((size, size, 3), name="images")
        features = _features(row, images, weights, dropout)
        logits = ClassHead(class_names, len(class_names), layer or row.layer, resize, name="head")(features)
        model = keras.Model(images, logits, name=backbone)
    if weights.endswith(".keras"):
        load_named(model, weights)
    network = Network(model, layer or row.layer)
    check_not_degenerate(model, network.layer)
    return network


def _hub_network(
    handle: str, class_names: Sequence[str], layer: str | None, weights: str, input_size: int | None, dropout: float, seed: int,
    resize: str,
) -> Network:
    if weights != "none" and not weights.endswith(".keras"):
        raise InputError(
            "weights must be none or a .keras file if the backbone is a hub module, which has its own weights. Received: "
            f"{weights!r}."
        )
    module = HubModule(locate(handle))
    size = module.input_size(input_size)
    endpoint = module.endpoint(layer, size)
    with _seeded(seed):
        images = keras.Input((size, size, 3), name="images")
        features = hub_features(Preprocess("unit", name="preprocess")(images), handle, endpoint, dropout, seed)
        logits = ClassHead(class_names, len(class_names), layer_name(endpoint), resize, name="head")(features)
        model = keras.Model(images, logits, name="hub")
    if weights.endswith(".keras"):
        load_named(model, weights)
    # Not degenerate by its make; before `settle` few units may turn on and off, which says nothing about the layer.
    return Network(model, layer_name(endpoint))


def _features(row: Backbone, images: Any, weights: str, dropout: float) -> Any:
    """Build images -> features [B, D] in one flat graph and load the weights."""
    prepared = Preprocess(row.preprocessing, name="preprocess")(images)
    if row.make is None:
        features = _after_map(row, small_vgg_map(prepared), dropout, {})
        load_published({False: keras.Model(images, features)}, weights, None)
        return features

    make = getattr(keras.applications, row.make)

    def base(include_top: bool) -> keras.Model:
        options = dict(row.options) | ({"classes": 1000} if include_top else {})
        shape = tuple(images.shape[1:])
        return make(include_top=include_top, weights=None, input_tensor=prepared, input_shape=shape, **options)

    # Fully connected layers belong to the top in keras.applications, so only a file with the top can give them.
    tops = (True,) if row.dense else (False, True)
    loaded = load_published({top: base for top in tops}, weights, row.published)
    reused = {name: loaded.get_layer(name) for name, _ in row.dense}
    return _after_map(row, output_of(loaded, row.map_layer), dropout, reused)


def _after_map(row: Backbone, conv_map: Any, dropout: float, reused: dict[str, keras.layers.Layer]) -> Any:
    if not row.dense:
        pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(conv_map)
        return keras.layers.Dropout(dropout, name="dropout")(pooled)
    features = keras.layers.Flatten(name="flatten")(conv_map)
    for name, units in row.dense:
        dense = reused.get(name) or keras.layers.Dense(units, activation="relu", name=name)
        features = keras.layers.Dropout(dropout, name=f"{name}_dropout")(dense(features))
    return features


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # Keras draws the seed of each initialiser and dropout layer from Python's generator; ours must not disturb the caller's.
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


CHANNELS = (16, 32, 64, 128)


def small_vgg_map(images: Any) -> Any:
    """Return the pooled map [B, 1, 1, 128] of images [B, S, S, 3]: four blocks of convolution, batch norm, ReLU, max-pool.

    The last pool takes the maximum over all positions, [B, S/8, S/8, 128], so that a neuron of the last convolution must itself
    tell a red crown from a red tail: importance, which averages over positions, could not.

    The batch norm's momentum is 0.9 because a run has only some hundred steps; Keras's 0.99 would lag behind the weights.
    """
    features = images
    for block, channels in enumerate(CHANNELS, start=1):
        convolution = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"block{block}_conv")
        normalise = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn")
        features = convolution(features)
        if block < len(CHANNELS):
            # Pooling first leaves batch norm and ReLU a quarter of the work; ReLU and a maximum commute.
            features = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
        features = keras.layers.ReLU(name=f"block{block}_relu")(normalise(features))
    return keras.layers.GlobalMaxPooling2D(keepdims=True, name=f"block{len(CHANNELS)}_pool")(features)
