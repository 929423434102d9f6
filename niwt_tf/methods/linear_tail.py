"""A tail of affine layers and ReLUs, at one image, as a linear network: forward differentiation without the values.

In inference such a tail is piecewise linear. One pass over an image's map shows where its ReLUs let values through; a tangent
then goes through the linear part of each layer alone, without biases, and is zero where a ReLU is. That is half the passes of
a forward accumulator, which takes the values along with every tangent, and none of its tape.

Dimensions: H x W positions of N neurons, D features, R directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

_LAYERS = keras.layers
# Linear as they are, in inference.
_PLAIN = (
    _LAYERS.AveragePooling2D, _LAYERS.GlobalAveragePooling2D, _LAYERS.ZeroPadding2D, _LAYERS.Flatten, _LAYERS.Dropout,
    _LAYERS.SpatialDropout2D, _LAYERS.Add,
)
_Step = tuple[Callable[..., tf.Tensor], int, tuple[int, ...]]


@dataclass(frozen=True)
class LinearTail:
    """The linear parts of a tail's layers in their order, and what shows the masks of an image.

    Attributes:
        steps: what each layer does with a tangent, the tensor that it makes and those that it takes.
        first: the tensor that is the conv map.
        last: the tensor that is the features.
        rectified: conv map -> what goes into each ReLU; None where there is none.
        ceilings: of each ReLU, None where it has none.
    """

    steps: tuple[_Step, ...]
    first: int
    last: int
    rectified: keras.Model | None
    ceilings: tuple[float | None, ...]

    def masks(self, conv_map: tf.Tensor) -> list[tf.Tensor]:
        """Return, for each ReLU, 1 where it passes a value of a conv map [1, H, W, N] on and 0 elsewhere."""
        if self.rectified is None:
            return []
        before = self.rectified(conv_map, training=False)
        before = list(before) if isinstance(before, list | tuple) else [before]
        return [
            tf.cast((each > 0) if ceiling is None else (each > 0) & (each < ceiling), each.dtype)
            for each, ceiling in zip(before, self.ceilings, strict=True)
        ]

    def tangents(self, directions: tf.Tensor, masks: list[tf.Tensor]) -> tf.Tensor:
        """Return the features' derivatives [R, D] along directions [R, H, W, N] at the image of the masks."""
        values, left = {self.first: directions}, iter(masks)
        for call, made, taken in self.steps:
            inputs = [values[each] for each in taken]
            values[made] = inputs[0] * next(left) if call is _masked else call(*inputs)
        return values[self.last]


def linear_tail(tail: Any) -> LinearTail | None:
    """Return the linear network of a tail, or None of one that has other layers than affine ones and ReLUs.

    Args:
        tail: Keras functional model, conv map [B, H, W, N] -> features [B, D].
    """
    if not isinstance(tail, keras.Model) or not hasattr(tail, "_nodes_by_depth") or len(tail.inputs) != 1:
        return None
    steps: list[_Step] = []
    rectified: list[Any] = []
    ceilings: list[float | None] = []
    known = {id(tail.inputs[0])}
    for operation, inputs, output in _ordered(tail.outputs[0], known):
        ceiling = _ceiling(operation)
        call = _masked if ceiling is not False else _linear_part(operation)
        if call is None:
            return None
        if ceiling is not False:
            rectified.append(inputs[0])
            ceilings.append(ceiling)
        steps.append((call, id(output), tuple(id(each) for each in inputs)))
    model = keras.Model(tail.inputs[0], rectified) if rectified else None
    return LinearTail(tuple(steps), id(tail.inputs[0]), id(tail.outputs[0]), model, tuple(ceilings))


def _ordered(tensor: Any, known: set[int]) -> list[tuple[Any, list[Any], Any]]:
    """Return (layer, inputs, output) of all that makes a tensor out of known ones, each after what it takes."""
    made: list[tuple[Any, list[Any], Any]] = []
    waiting = [tensor]
    while waiting:
        wanted = waiting[-1]
        operation, node, _ = wanted._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        missing = [each for each in inputs if id(each) not in known]
        if id(wanted) not in known and not missing:
            made.append((operation, list(inputs), wanted))
            known.add(id(wanted))
        if not missing:
            waiting.pop()
        waiting.extend(missing)
    return made


def _masked(tangent: tf.Tensor) -> tf.Tensor:
    raise AssertionError("a ReLU's mask is of an image")


def _ceiling(layer: Any) -> float | None | bool:
    """Return the most that a ReLU gives, None where there is no most, or False of another layer."""
    if isinstance(layer, _LAYERS.Activation):
        return {"relu": None, "relu6": 6.0}.get(keras.activations.serialize(layer.activation), False)
    if isinstance(layer, _LAYERS.ReLU) and not layer.negative_slope and not layer.threshold:
        return None if layer.max_value is None else float(layer.max_value)
    return False


def _linear_part(layer: Any) -> Callable[..., tf.Tensor] | None:
    """Return what a layer does with a tangent in inference, or None where it is not affine."""
    if isinstance(layer, _PLAIN):
        return lambda *inputs: layer(list(inputs) if len(inputs) > 1 else inputs[0])
    if keras.activations.serialize(getattr(layer, "activation", keras.activations.linear)) != "linear":
        return None
    if isinstance(layer, _LAYERS.BatchNormalization) and layer.axis in (-1, 3):
        scale = 1.0 / tf.sqrt(tf.convert_to_tensor(layer.moving_variance) + layer.epsilon)
        factor = scale * tf.convert_to_tensor(layer.gamma) if layer.scale else scale
        return lambda tangent: tangent * factor
    if type(layer) is _LAYERS.Dense:
        return lambda tangent: tf.matmul(tangent, layer.kernel)
    if type(layer) in (_LAYERS.Conv2D, _LAYERS.DepthwiseConv2D) and layer.data_format == "channels_last":
        convolve = keras.ops.conv if type(layer) is _LAYERS.Conv2D else keras.ops.depthwise_conv
        return lambda tangent: convolve(
            tangent, layer.kernel, strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate,
            data_format="channels_last",
        )
    return None
