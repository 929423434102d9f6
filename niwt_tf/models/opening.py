"""A Keras model of anybody's as one flat graph from images to features, with a map wherever it may be cut.

Models inside models, and layers that hold a stack of blocks, are opened: what they do is done layer by layer in the graph, so
that there is something to cut at. The layers and their weights are the given model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError, first_line, require
from niwt_tf.models.cut import is_cut, layer_names, output_of
from niwt_tf.models.tokens import GRID, PatchGrid, PatchTokens, grid_of

_LAYERS = keras.layers
# Names that a Network's own layers have.
_TAKEN = ("images", "preprocess", "avg_pool", "class_token", "class_features", "dropout", "unit_features", "head")
_PASSING = (_LAYERS.Dropout, _LAYERS.Activation, _LAYERS.Reshape, _LAYERS.Flatten, _LAYERS.Identity, PatchTokens)


def check_form(model: Any, what: str) -> None:
    """Check that a model has a graph from one image to one output.

    Raises:
        InputError: it is no functional or sequential model, takes other things than images, or gives several outputs.
    """
    rule = f"{what} must be a functional or sequential Keras model of images with one output"
    if not _has_graph(model):
        raise InputError(f"{rule}. Received: {type(model).__name__}.")
    if isinstance(model, keras.Sequential) and not model.built:
        raise InputError(f"{rule}. Received: a Sequential that was not built: give it an Input.")
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (3, None) or shapes[0][1] != shapes[0][2]:
        raise InputError(f"{rule}. Received: inputs of shape {', '.join(map(str, shapes))}.")
    require(len(model.outputs) == 1, f"{rule}. Received: {len(model.outputs)} outputs.")


def _has_graph(model: Any) -> bool:
    return isinstance(model, keras.Sequential) or (isinstance(model, keras.Model) and hasattr(model, "_run_through_graph"))


def side_of(model: keras.Model) -> int | None:
    """Return the height and width of the model's images in pixels, None where it takes any."""
    return model.inputs[0].shape[1]


def starts_with_scaling(model: keras.Model) -> bool:
    """Return whether a model brings pixels to its range by itself: by a layer before all others with weights."""
    opened = keras.Model(*_flattened(model))
    for layer in opened.layers:
        if isinstance(layer, _LAYERS.Rescaling | _LAYERS.Normalization):
            return True
        if layer.weights:
            return False
    return False


def opened_features(model: keras.Model, images: Any, prepared: Any, dropout: float) -> Any:
    """Return features [B, D] of prepared images as a model computes them.

    A last Dense layer with a softmax or a sigmoid tells old classes apart and is left out. Of a map [B, H, W, D] features are
    the mean over positions; of tokens the class token where there is one, else their mean. `dropout` is applied to them.

    Args:
        model: see `check_form`.
        images: symbolic images [B, S, S, 3].
        prepared: the same in the range that the model takes.
        dropout: rate.

    Raises:
        InputError: an output that is no map, no tokens and no vector, or a layer that cannot be called like this.
    """
    given = model.inputs[0]
    shape = (int(images.shape[1]), int(images.shape[1]), 3)
    start = given if tuple(given.shape[1:]) == shape else keras.Input(shape, name="given")
    try:
        output = _run(model, start, _renamed(start))
    except Exception as error:  # whatever a layer raises that cannot take this shape
        raise InputError(f"backbone must take images of {shape[0]} pixels. Received: {first_line(error)}") from error
    flat = keras.Model(start, output)
    _check_same(model, flat, shape)
    flat = keras.Model(start, _without_classifier(output))
    grids = _grids(flat)
    inside = keras.Model(start, _run(flat, start, lambda layer: _through_grid(layer, grids)))
    features = _pooled(_run(inside, prepared, lambda layer: layer), grids)
    return _LAYERS.Dropout(dropout, name="dropout")(features)


def replaced(model: keras.Model, images: Any, by: Callable[[Any], Callable[..., Any]]) -> Any:
    """Return what a model makes of symbolic images if `by` gives what is called in place of each of its layers."""
    return _run(model, images, by)


def _run(model: keras.Model, images: Any, wrap: Callable[[Any], Callable[..., Any]]) -> Any:
    graph = model._functional if isinstance(model, keras.Sequential) else model
    result = graph._run_through_graph([images], operation_fn=wrap)
    return keras.tree.flatten(result)[0]


def _flattened(model: keras.Model) -> tuple[Any, Any]:
    start = model.inputs[0]
    return start, _run(model, start, _renamed(start))


def _renamed(start: Any) -> Callable[[Any], Callable[..., Any]]:
    """Return what opens layers and gives those inside a name of their own."""
    names: dict[str, Any] = {name: None for name in _TAKEN}
    names[start._keras_history.operation.name] = start._keras_history.operation

    def named(operation: Any, prefix: str) -> Any:
        if names.get(operation.name, operation) is not operation or operation.name in _TAKEN:
            wanted = operation.name
            operation.name = next(
                name for name in (f"{prefix}{wanted}", *(f"{prefix}{wanted}_{number}" for number in range(1, 10_000)))
                if names.get(name, operation) is operation and name not in _TAKEN
            )
        names[operation.name] = operation
        return operation

    def opened(operation: Any, prefix: str = "") -> Callable[..., Any]:
        inner = f"{operation.name}_"
        if _has_graph(operation):
            return lambda images, **_: _structured(operation, images, lambda each: opened(each, inner))
        if _is_stack(operation):
            return lambda *given, **options: _unstacked(operation, given, options, lambda each: named(each, inner))
        return named(operation, prefix)

    return opened


def _structured(model: keras.Model, images: Any, wrap: Callable[[Any], Callable[..., Any]]) -> Any:
    graph = model._functional if isinstance(model, keras.Sequential) else model
    result = graph._run_through_graph(keras.tree.flatten(images), operation_fn=wrap)
    return result[0] if isinstance(result, list | tuple) and len(result) == 1 else result


def _is_stack(operation: Any) -> bool:
    """Return whether a layer holds a list of blocks, two or more layers of one class."""
    if not isinstance(operation, _LAYERS.Layer) or isinstance(operation, keras.Model):
        return False
    lists = [value for value in vars(operation).values() if isinstance(value, list) and len(value) > 1]
    return any(
        isinstance(each[0], _LAYERS.Layer) and all(type(layer) is type(each[0]) for layer in each) and each[0].weights
        for each in lists
    ) and not type(operation).__module__.startswith("keras.src.")


def _unstacked(operation: Any, given: Any, options: Any, named: Callable[[Any], Any]) -> Any:
    """Call what is inside of a stack of blocks, or the stack itself where that loses one of its weights or does not work."""
    try:
        result = operation.call(*given, **options)
    except Exception:  # a call that needs the values
        return named(operation)(*given, **options)
    outputs = {id(tensor): tensor for tensor in keras.tree.flatten(result)}  # Keras wants each once
    found = keras.Model(keras.tree.flatten(given), list(outputs.values()))
    if {id(weight) for weight in found.weights} != {id(weight) for weight in operation.weights}:
        return named(operation)(*given, **options)
    for layer in found.operations:
        if not isinstance(layer, _LAYERS.InputLayer):
            named(layer)
    return result


def _check_same(model: keras.Model, flat: keras.Model, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (1, *shape)).astype(np.float32)
    before, after = (np.asarray(keras.tree.flatten(each(images, training=False))[0]) for each in (_plain(model), flat))
    same = np.allclose(before, after, rtol=1e-4, atol=1e-4 * max(1e-30, float(np.abs(before).max())), equal_nan=True)
    require(
        same,
        "backbone must give the same result when its inner models are replaced by their layers. Received: a model that does "
        "not."
    )


def _plain(model: keras.Model) -> Callable[..., Any]:
    """Return a model that takes an array, also one whose input is a dict of one."""
    struct = model._inputs_struct if hasattr(model, "_inputs_struct") else None
    if isinstance(struct, dict):
        name = next(iter(struct))
        return lambda images, training: model({name: images}, training=training)
    return model


def _without_classifier(output: Any) -> Any:
    """Return what a last Dense layer of old classes is applied to, or the output of a model that has none."""

    def taken_by(tensor: Any) -> tuple[Any, Any]:
        operation, node, _ = tensor._keras_history
        return operation, operation._inbound_nodes[node].input_tensors

    operation, inputs = taken_by(output)
    is_probability = isinstance(operation, _LAYERS.Softmax) or _activation(operation) in ("softmax", "sigmoid")
    if is_probability and not isinstance(operation, _LAYERS.Dense) and len(inputs) == 1:
        output = inputs[0]
        operation, inputs = taken_by(output)
    if is_probability and isinstance(operation, _LAYERS.Dense) and len(output.shape) == 2:
        output = inputs[0]
        operation, inputs = taken_by(output)
    while isinstance(operation, _LAYERS.Dropout):  # there is one of ours
        output = inputs[0]
        operation, inputs = taken_by(output)
    return output


def _activation(operation: Any) -> str:
    activation = getattr(operation, "activation", None)
    return str(keras.activations.serialize(activation)) if callable(activation) else ""


def _grids(flat: keras.Model) -> dict[str, tuple[int, int, int]]:
    """Return (P, H, W) of each layer whose output is a sequence of tokens that can be cut at, and of the output as "" likewise.

    Layers on whose patches the features do not depend are left out: all that is behind the last attention of a class token.
    Shapes are those of real tokens, since KerasHub's layers may tell others beforehand (`SigLIPVisionEmbedding`, 0.32).
    """
    known, size = list(_patch_maps(flat)), int(flat.inputs[0].shape[1])
    names = [
        name for name in layer_names(flat)
        if not isinstance(flat.get_layer(name), _PASSING) and len(output_of(flat, name).shape) == 3 and is_cut(flat, name)
    ]
    outputs = {id(tensor): tensor for tensor in (*(output_of(flat, name) for name in names), flat.outputs[0])}
    images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)), tf.float32)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        made = keras.tree.flatten(keras.Model(flat.inputs[0], list(outputs.values()))(images, training=False))
        values = dict(zip(outputs, made, strict=True))
        features = last = values[id(flat.outputs[0])]
        found = {name: grid_of(int(values[id(output_of(flat, name))].shape[1]), size, known) for name in names}
        if len(last.shape) == 3:
            found[""] = grid_of(int(last.shape[1]), size, known)
            features = last[:, 0] if found[""][0] else tf.reduce_mean(last, axis=1)
        direction = np.random.default_rng(1).standard_normal(features.shape[1:]).astype(np.float32)
        total = tf.reduce_sum(features * direction)
    gradients = tape.gradient(total, [values[id(output_of(flat, name))] for name in names])
    apart = {
        name for name, gradient in zip(names, gradients, strict=True)
        if gradient is None or not np.abs(gradient[:, found[name][0] :]).max() > 0
    }
    return {name: grid for name, grid in found.items() if name not in apart}


def _patch_maps(flat: keras.Model) -> Iterator[tuple[int, int]]:
    """Yield the sizes of the grids that a network cuts an image into, as far as its layers tell."""
    size = int(flat.inputs[0].shape[1])
    for layer in flat._flatten_layers(include_self=False):
        if isinstance(layer, _LAYERS.Conv2D) and tuple(layer.kernel_size) == tuple(layer.strides) != (1, 1):
            yield size // layer.strides[0], size // layer.strides[1]
    for name in layer_names(flat):
        shape = output_of(flat, name).shape
        if len(shape) == 4 and None not in tuple(shape[1:]):
            yield int(shape[1]), int(shape[2])


def _through_grid(layer: Any, grids: dict[str, tuple[int, int, int]]) -> Callable[..., Any]:
    if not layer.name or layer.name not in grids:
        return layer
    others, height, width = grids[layer.name]

    def call(*given: Any, **options: Any) -> Any:
        tokens = layer(*given, **options)
        grid = PatchGrid(others, height, width, name=f"{layer.name}{GRID}")(tokens)
        return PatchTokens(others, int(tokens.shape[-1]), name=f"{layer.name}_tokens")(grid)

    return call


def _pooled(output: Any, grids: dict[str, tuple[int, int, int]]) -> Any:
    rank = len(output.shape)
    if rank == 4:
        return _LAYERS.GlobalAveragePooling2D(name="avg_pool")(output)
    if rank == 3:
        others, height, width = grids[""]
        if not others:
            return _LAYERS.GlobalAveragePooling1D(name="avg_pool")(output)
        first = _LAYERS.Cropping1D((0, others + height * width - 1), name="class_token")(output)
        return _LAYERS.Flatten(name="class_features")(first)
    if rank != 2:
        rule = "backbone must give a map [H, W, D], tokens [T, D] or a vector [D] for an image"
        raise InputError(f"{rule}. Received: {list(output.shape[1:])}.")
    return output
