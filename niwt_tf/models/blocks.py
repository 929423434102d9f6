"""The layers of a network that stand for its depth: the last usable one of each block, and every fully connected layer."""

from __future__ import annotations

import re

import keras

from niwt_tf.errors import InputError
from niwt_tf.models.cut import is_degenerate, output_of, split
from niwt_tf.models.preprocess import Preprocess

# "block3_conv2", "conv4_block23_out", "block_12_add" and "block6g_add" begin with their block's name.
_BLOCK = re.compile(r"conv\d+(?=_)|block_?\d+")
_LAYERS = keras.layers
# They end no block: what they pass on is another layer's map.
_PASSING = (
    *(_LAYERS.MaxPooling2D, _LAYERS.AveragePooling2D, _LAYERS.GlobalMaxPooling2D, _LAYERS.GlobalAveragePooling2D),
    *(_LAYERS.Dropout, _LAYERS.SpatialDropout2D, _LAYERS.ZeroPadding2D, _LAYERS.Cropping2D, _LAYERS.InputLayer, Preprocess),
)
_MOST = 10


def depth_layers(model: keras.Model, own: str) -> list[str]:
    """Return the names of layers to cut at, in order: the last of each block that can be cut at, then fully connected ones.

    A network of more than ten blocks is thinned: of those with maps of one size the last is kept. `own`, where it is a
    convolution, is always there.

    Args:
        model: ends in its head.
        own: the layer that the network is cut at.
    """
    last: dict[str, tuple[str, int]] = {}
    for layer in model.layers[:-1]:
        output = output_of(model, layer.name)
        if len(output.shape) == 4 and not isinstance(layer, _PASSING) and _usable(model, layer.name):
            found = _BLOCK.match(layer.name)
            last[found[0] if found else layer.name.split("_")[0]] = (layer.name, int(output.shape[1] or 0))
    chosen = list(last.values())
    if len(chosen) > _MOST:
        chosen = [(name, size) for size, name in {size: name for name, size in chosen}.items()]
    names = {name for name, _ in chosen} | ({own} if len(output_of(model, own).shape) == 4 else set())
    units = {layer.name for layer in model.layers[:-1] if isinstance(layer, _LAYERS.Dense) and _is_flat(model, layer.name)}
    ordered = [layer.name for layer in model.layers if layer.name in names]
    return ordered + [layer.name for layer in model.layers if layer.name in units]


def _is_flat(model: keras.Model, name: str) -> bool:
    return len(output_of(model, name).shape) == 2


def _usable(model: keras.Model, name: str) -> bool:
    try:
        split(model, name)
    except InputError:
        return False
    return not is_degenerate(model, name)
