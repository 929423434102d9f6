"""What each engine of Stage 3 costs, estimated in floating-point operations before anything is computed.

Dimensions: P support images, N neurons, D features, U classes solved for together, U1 units of the first fully connected layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from niwt_tf.method.jacobian import FORWARD_PASSES, REVERSE_PASSES
from niwt_tf.method.operator_transfer import IMAGES_A_STEP
from niwt_tf.method.tail_factors import factor_tail
from niwt_tf.models.cut import output_of

# A nested-tape step goes forward and back for the importance, and twice over both for the gradient of it.
_TAPE_PASSES = 5.0
_EIGENDECOMPOSITION = 10.0  # operations per cube of the side


@dataclass(frozen=True)
class Workload:
    """How often Stage 3 is solved.

    Attributes:
        num_images: P.
        num_classes: U.
        steps: of a descent.
        batch_size: pairs in a step of the tape.
        num_networks: networks whose operators are needed: the main one and one a fold.
        num_solutions: times that columns are solved for, over trials, folds and the final one.
        has_mean_operator: whether the mean operators are at hand from Stage 1.
    """

    num_images: int
    num_classes: int
    steps: int
    batch_size: int
    num_networks: int
    num_solutions: int
    has_mean_operator: bool


def flops_of(tail: Any) -> float:
    """Return the floating-point operations of the convolutions and fully connected layers of a Keras tail for one image."""
    total = 0.0
    for operation in tail.operations:
        kernel = getattr(operation, "kernel", None)
        if kernel is not None:
            positions = math.prod(output_of(tail, operation.name).shape[1:-1])
            total += 2.0 * positions * math.prod(kernel.shape)
    return total


def estimated_costs(tail: Any, workload: Workload) -> dict[str, float]:
    """Return the operations of the whole of Stage 3 by engine: "closed_form", "operator" and "tape"."""
    neurons, features = int(tail.input_shape[-1]), int(tail.output_shape[-1])
    one_pass, factors = flops_of(tail), factor_tail(tail)
    jacobian = min(FORWARD_PASSES * neurons, REVERSE_PASSES * features) * one_pass
    if factors is None:
        build = mean = workload.num_images * jacobian
        pair = 2.0 * neurons * features
    else:
        sizes = [int(tf.size(factors.first)), *(int(tf.size(kernel)) for kernel in factors.kernels)]
        build = workload.num_images * one_pass
        mean = build + 2.0 * neurons * sum(sizes[1:]) if len(sizes) <= 2 else workload.num_images * jacobian
        pair = 2.0 * sum(sizes)
    shorter, longer = sorted((neurons, features))
    decomposition = 2.0 * shorter**2 * longer + _EIGENDECOMPOSITION * shorter**3
    solve = 4.0 * workload.num_classes * neurons * (features + shorter)
    images = min(IMAGES_A_STEP, workload.num_images)
    return {
        "closed_form": workload.num_networks * (decomposition + (0.0 if workload.has_mean_operator else mean))
        + workload.num_solutions * solve,
        "operator": workload.num_networks * build
        + workload.num_solutions * workload.steps * images * workload.num_classes * 2.0 * pair,
        "tape": workload.num_solutions * workload.steps * workload.batch_size * _TAPE_PASSES * one_pass,
    }
