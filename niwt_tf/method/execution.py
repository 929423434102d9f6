"""How networks are run over images: what does not change what is computed, only where, how fast and how exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

from niwt_tf.method.row_cache import RowCache
from niwt_tf.method.team import ALONE, Team

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
