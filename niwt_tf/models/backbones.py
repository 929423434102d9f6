"""The table of backbones, and a new Network from a row of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from niwt_tf.data.hub_location import PREFIX, absolute_hub, is_hub, locate
from niwt_tf.errors import InputError, check_choice
from niwt_tf.models.cut import check_not_degenerate, output_of
from niwt_tf.models.hub import HubModule, hub_features, layer_name
from niwt_tf.models.layers import ClassHead, Preprocess
from niwt_tf.models.network import Network
from niwt_tf.models.weights import Published, load_named, load_published

_STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Backbone:
    """A row of the table.

    Attributes:
        layer: default cut.
        preprocessing: mode of `Preprocess`.
        input_size: default height and width in pixels.
        map_layer: last layer with a 4-D output; the features are made from it.
        dense: units of the fully connected layers on the flattened map; none means global average pooling.
        make: keras.applications constructor, or None for the network of this package.
        options: further arguments of `make`.
        published: the ImageNet weights that Keras publishes, or None.
    """

    layer: str
    preprocessing: str
    input_size: int
    map_layer: str
    dense: tuple[tuple[str, int], ...] = ()
    make: Callable[..., keras.Model] | None = None
    options: tuple[tuple[str, Any], ...] = ()
    published: Published | None = None


BACKBONES: dict[str, Backbone] = {
    "small_vgg": Backbone("block4_relu", "tf", 64, "block4_pool", dense=(("fc1", 256),)),
    "vgg16": Backbone(
        "block5_conv3",
        "caffe",
        224,
        "block5_pool",
        dense=(("fc1", 4096), ("fc2", 4096)),
        make=keras.applications.VGG16,
        published=Published(
            f"{_STORAGE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"
        ),
    ),
    "resnet50": Backbone(
        "conv5_block1_out",
        "caffe",
        224,
        "conv5_block3_out",
        make=keras.applications.ResNet50,
        published=Published(
            f"{_STORAGE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
        ),
    ),
    "resnet101": Backbone(
        "conv5_block1_out",
        "caffe",
        224,
        "conv5_block3_out",
        make=keras.applications.ResNet101,
        published=Published(
            f"{_STORAGE}/resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5", "88cf7a10940856eca736dc7b7e228a21"
        ),
    ),
    "mobilenet_v2": Backbone(
        "block_14_add",
        "tf",
        224,
        "out_relu",
        make=keras.applications.MobileNetV2,
        published=Published(f"{_STORAGE}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
    ),
    "efficientnet_v2_b0": Backbone(
        "block6g_add",
        "torch",
        224,
        "top_activation",
        make=keras.applications.EfficientNetV2B0,
        options=(("include_preprocessing", False),),
        published=Published(f"{_STORAGE}/efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    ),
}


def build_network(
    backbone: str,
    class_names: Sequence[str],
    layer: str | None = None,
    weights: str = "none",
    input_size: int | None = None,
    dropout: float = 0.5,
    seed: int = 0,
) -> Network:
    """Return a new network with a random head; every class is seen.

    Args:
        backbone: a key of `BACKBONES`, or "hub:" and a TensorFlow Hub module, see `niwt_tf.data.hub_location.locate`.
        class_names: C unique names.
        layer: where to cut; None takes the backbone's default. Of a hub module: the endpoint, None takes its only 4-D one.
        weights: "none" (random), "imagenet" (what Keras publishes, downloaded or already in its folder) or the path of a
            `.weights.h5`, legacy `.h5` or `.keras` file. A hub module has weights of its own, which "none" leaves as they are.
        input_size: height and width of an image in pixels; None takes the backbone's default.
        dropout: rate on the fully connected layers, or on the pooled features.
        seed: of every random weight and of dropout.

    Raises:
        InputError: an unknown backbone or layer, a degenerate layer, a size or rate out of range, weights that are absent
            or do not fit.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be in [0, 1). Received: {dropout}.")
    if is_hub(backbone):
        return _hub_network(absolute_hub(backbone).removeprefix(PREFIX), class_names, layer, weights, input_size, dropout, seed)
    row = BACKBONES[check_choice("backbone", backbone, BACKBONES)]
    size = row.input_size if input_size is None else input_size
    smallest = 32 if row.make else 16
    if size < smallest:
        raise InputError(f"input_size must be at least {smallest} for {backbone}. Received: {size}.")
    with _seeded(seed):
        images = keras.Input((size, size, 3), name="images")
        features = _features(row, images, weights, dropout)
        logits = ClassHead(class_names, len(class_names), layer or row.layer, name="head")(features)
        model = keras.Model(images, logits, name=backbone)
    if weights.endswith(".keras"):
        load_named(model, weights)
    network = Network(model, layer or row.layer)
    check_not_degenerate(model, network.layer)
    return network


def _hub_network(
    handle: str, class_names: Sequence[str], layer: str | None, weights: str, input_size: int | None, dropout: float, seed: int
) -> Network:
    if weights != "none" and not weights.endswith(".keras"):
        raise InputError(
            f"weights must be none or a .keras file where the backbone is a hub module: it has its own. Received: {weights!r}."
        )
    module = HubModule(locate(handle))
    size = module.input_size(input_size)
    endpoint = module.endpoint(layer, size)
    with _seeded(seed):
        images = keras.Input((size, size, 3), name="images")
        features = hub_features(Preprocess("unit", name="preprocess")(images), handle, endpoint, dropout, seed)
        logits = ClassHead(class_names, len(class_names), layer_name(endpoint), name="head")(features)
        model = keras.Model(images, logits, name="hub")
    if weights.endswith(".keras"):
        load_named(model, weights)
    # Not degenerate by its make; before `settle` few units may turn on and off, which says nothing about the layer.
    return Network(model, layer_name(endpoint))


def _features(row: Backbone, images: Any, weights: str, dropout: float) -> Any:
    """Build images -> features [B, D] in one flat graph and load the weights."""
    prepared = Preprocess(row.preprocessing, name="preprocess")(images)
    make = row.make
    if make is None:
        features = _after_map(row, small_vgg_map(prepared), dropout, {})
        load_published({False: keras.Model(images, features)}, weights, None)
        return features

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
