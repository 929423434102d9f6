"""How many floating-point operations a Keras model takes for one image."""

from __future__ import annotations

import math
from typing import Any

from niwt_tf.models.cut import output_of


def flops_of(tail: Any) -> float:
    """Return the floating-point operations of the convolutions and fully connected layers of a Keras tail for one image."""
    total = 0.0
    for operation in tail.operations:
        kernel = getattr(operation, "kernel", None)
        if kernel is not None:
            positions = math.prod(output_of(tail, operation.name).shape[1:-1])
            total += 2.0 * positions * math.prod(kernel.shape)
    return total
