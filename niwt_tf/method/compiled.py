"""Functions of batches, compiled once whatever the size of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf


def compiled(
    function: Callable[..., tf.Tensor], signature: Sequence[tf.TensorSpec], jit: bool, batch_size: int
) -> Callable[..., tf.Tensor]:
    """Return the function with one trace, and with `jit` one XLA program.

    XLA compiles anew for every shape, so smaller batches are filled up with zeros, whose rows are dropped from the result.

    Args:
        function: tensors [B, ...] -> tensor [B, ...], each row for itself.
        signature: of its arguments, with None for B.
        jit: whether to use XLA.
        batch_size: the largest B.
    """
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    traced = tf.function(partial(function), input_signature=signature, jit_compile=jit)
    if not jit:
        return traced

    def filled(*arguments: Any) -> tf.Tensor:
        count = len(arguments[0])
        if count >= batch_size:
            return traced(*arguments)
        whole = [tf.concat([each, tf.zeros([batch_size - count, *each.shape[1:]], each.dtype)], axis=0) for each in arguments]
        return traced(*whole)[:count]

    return filled
