"""How many floating-point operations a Keras model takes for one image."""

from __future__ import annotations

import math
from typing import Any

import keras

from niwt_tf.models.cut import inputs_of, output_of


def flops_of(tail: Any) -> float:
    """Return the floating-point operations of the convolutions and fully connected layers of a Keras tail for one image.

    Layers inside of layers count; products of tokens with tokens, in attention, do not.
    """
    total = 0.0
    for operation in tail.operations:
        inner = operation._flatten_layers() if isinstance(operation, keras.layers.Layer) else []
        kernels = [kernel for layer in inner if (kernel := getattr(layer, "kernel", None)) is not None]
        if kernels:
            output = output_of(tail, operation.name)
            # Those within a block of a transformer are applied to each token that goes into it.
            counted = output if getattr(operation, "kernel", None) is not None else inputs_of(output)[0]
            positions = math.prod(counted.shape[1:-1])
            total += sum(2.0 * positions * math.prod(kernel.shape) for kernel in kernels)
    return total
