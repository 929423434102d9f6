"""How networks are run over images: what does not change what is computed, only where, how fast and how exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from niwt_tf.compute.distributed import ALONE, Team
from niwt_tf.compute.feature_cache import RowCache

if TYPE_CHECKING:
    import tensorflow as tf

# Features of more bytes stay on disk and are read batch by batch.
LARGEST_IN_MEMORY = 2**30


@dataclass(frozen=True)
class Execution:
    """Means of execution, handed down from a job or an estimator.

    Attributes:
        precision: Keras dtype policy of training and of passes over images: float32, mixed_bfloat16 or mixed_float16.
        jit: compile with XLA.
        team: the processes that share the work.
        batch_size: images at a time in passes over images.
        progress: show bars on stderr.
        cache: keeps what frozen networks made of images; None computes it each time.
    """

    precision: str = "float32"
    jit: bool = False
    team: Team = field(default=ALONE)
    batch_size: int = 32
    progress: bool = False
    cache: RowCache | None = None


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
    import tensorflow as tf  # not before a job's flags are known to be good: what they say of execution is read without it

    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    traced = tf.function(partial(function), input_signature=signature, jit_compile=jit, autograph=False)
    if not jit:
        return traced

    def filled(*arguments: Any) -> tf.Tensor:
        count = len(arguments[0])
        if count >= batch_size:
            return traced(*arguments)
        whole = [tf.concat([each, tf.zeros([batch_size - count, *each.shape[1:]], each.dtype)], axis=0) for each in arguments]
        return traced(*whole)[:count]

    return filled
