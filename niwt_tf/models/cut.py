"""Where a network may be cut into trunk and tail: any 4-D layer that no path goes round and whose tail is not degenerate."""

from __future__ import annotations

import difflib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.models.tokens import GRID


def output_of(model: keras.Model, layer: str) -> Any:
    """Return the symbolic output of `layer` in this model's own graph.

    `keras.Layer.output` refuses a layer that several models share; this reads the one node that belongs to `model`.

    Raises:
        InputError: the model has no such layer; the sentence lists the near names.
    """
    for node in (node for depth in model._nodes_by_depth.values() for node in depth):
        if node.operation.name == layer:
            return node.output_tensors[0]
    names = [name for name in layer_names(model) if _is_map(output_of(model, name))]
    near = difflib.get_close_matches(layer, names, n=5, cutoff=0.4) or names[-5:]
    raise InputError(f"layer must name a layer of the network, for instance {', '.join(near)}. Received: {layer!r}.")


def named_cut(model: keras.Model, layer: str) -> str:
    """Return the layer that a name means: of a layer of tokens, the one behind it that makes a map of its patches."""
    grid = f"{layer}{GRID}"
    return grid if any(each.name == grid for each in model.layers) else layer


def features_of(model: keras.Model) -> Any:
    """Return the symbolic features [B, D] of a model, to which its last layer, the head, is applied."""
    return inputs_of(model.outputs[0])[0]


def last_map(model: keras.Model) -> str:
    """Return the name of the last of `map_layers`."""
    return map_layers(model)[-1]


def map_layers(model: keras.Model) -> list[str]:
    """Return the names of all layers with a 4-D output that no path goes round, in their order."""
    return [name for name in layer_names(model) if _is_map(output_of(model, name)) and is_cut(model, name)]


def split(model: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
    """Return trunk (images -> map [B, H, W, N]) and tail (map -> features [B, D]) that share the model's layers.

    The model's last layer, which turns features into logits, belongs to neither.

    Raises:
        InputError: no such layer, its output is not a 4-D map, or other paths go round it.
    """
    conv_map = output_of(model, layer)
    features = features_of(model)
    if not _is_map(conv_map):
        shape = tuple(conv_map.shape)
        raise InputError(f"layer must have a 4-D output [batch, height, width, neurons]. Received: {layer!r} of shape {shape}.")
    if not is_cut(model, layer):
        offer = _nearest_earlier(model, layer)
        raise InputError(f"layer must be one that every path goes through.{offer} Received: {layer!r}.")
    return keras.Model(model.inputs[0], conv_map, name="trunk"), keras.Model(conv_map, features, name="tail")


def check_not_degenerate(model: keras.Model, layer: str) -> None:
    """Refuse a layer whose tail has the same position-averaged Jacobian for every image.

    After such a layer come only linear layers and global or non-overlapping pooling; importance (Eq. 1) is then a fixed linear
    function of the head's column, and the method would only regress weights.

    Raises:
        InputError: the layer is degenerate; the sentence names the nearest earlier usable layer.
    """
    if is_degenerate(model, layer):
        offer = _nearest_earlier(model, layer)
        rule = (
            "layer must be followed by more than pooling and linear layers; otherwise importance is the same for every image."
        )
        raise InputError(f"{rule}{offer} Received: {layer!r}.")


def default_layer(model: keras.Model) -> str:
    """Return the last layer to cut at that layers with weights follow and that is not degenerate.

    Raises:
        InputError: there is none.
    """
    for name in reversed(map_layers(model)):
        _, tail = split(model, name)
        if isinstance(model.get_layer(name), keras.layers.Dropout | keras.layers.ZeroPadding2D):
            continue
        if any(len(weight.shape) > 1 for weight in tail.weights) and not is_degenerate(model, name):
            return name
    raise InputError(
        "backbone must have a layer to cut at, with more layers with weights after it. Received: a model without one."
    )


def is_degenerate(model: keras.Model, layer: str) -> bool:
    """Return whether the averaged Jacobian of the tail is the same for different maps (measured, not read from layer types).

    Maps come from the trunk, so their signs and range are real ones, then have their positions shuffled and scaled.
    """
    trunk, tail = split(model, layer)
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (2, *model.inputs[0].shape[1:]))
    images *= random.uniform(0, 1, (2, 1, 1, 3))  # one of them darker: noise alone would give two like maps
    maps = np.asarray(trunk(images.astype(model.inputs[0].dtype), training=False))
    shape = maps.shape
    positions = maps.reshape(2, shape[1] * shape[2], shape[3])
    shuffled = random.permuted(positions, axis=1) * random.uniform(0.1, 3.0, (2, positions.shape[1], 1))
    varied = tf.constant(np.concatenate([maps, shuffled.reshape(shape)]), dtype=maps.dtype)
    direction = tf.constant(random.standard_normal(tail.output_shape[-1]), dtype=maps.dtype)
    with tf.GradientTape() as tape:
        tape.watch(varied)
        projected = tf.reduce_sum(tail(varied, training=False) * direction)
    averaged = tf.reduce_mean(tape.gradient(projected, varied), axis=(1, 2)).numpy()  # [4, N]
    return bool(np.ptp(averaged, axis=0).max() <= 1e-4 * np.abs(averaged).max())


def layer_names(model: keras.Model) -> list[str]:
    """Return the names of all layers but the input, in their order."""
    return [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _is_map(tensor: Any) -> bool:
    return len(tensor.shape) == 4


def inputs_of(tensor: Any) -> list[Any]:
    """Return the symbolic tensors that a symbolic tensor's layer is applied to."""
    operation, node_index, _ = tensor._keras_history
    return list(operation._inbound_nodes[node_index].input_tensors)


def is_cut(model: keras.Model, layer: str) -> bool:
    """Return whether no path from the images goes round a layer."""
    # Walk back from the output without passing the layer: a cut keeps us from the images.
    target, images = output_of(model, layer), model.inputs[0]
    waiting, reached = [model.outputs[0]], set()
    while waiting:
        tensor = waiting.pop()
        if tensor is target or id(tensor) in reached:
            continue
        if tensor is images:
            return False
        reached.add(id(tensor))
        waiting.extend(inputs_of(tensor))
    return True


def _nearest_earlier(model: keras.Model, layer: str) -> str:
    names = layer_names(model)
    for name in reversed(names[: names.index(layer)]):
        if isinstance(model.get_layer(name), keras.layers.Dropout | keras.layers.ZeroPadding2D):
            continue
        if _is_map(output_of(model, name)) and is_cut(model, name) and not is_degenerate(model, name):
            return f" The nearest earlier layer that works is {name!r}."
    return " No earlier layer works."
