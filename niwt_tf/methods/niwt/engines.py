"""Which engines of Stage 3 a run uses: those that it names, or the one that is estimated to cost least."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.compute.distributed import ALONE, Team
from niwt_tf.config.settings import Settings
from niwt_tf.methods.niwt.measuring import num_heads
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.transfer_by_operator import IMAGES_A_STEP
from niwt_tf.methods.operators import factor_tail, fits_in_memory, jacobian_passes
from niwt_tf.models.flops import flops_of

_LOG = logging.getLogger("niwt_tf")
_UNITS = ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (0.0, "FLOP"))


def engines_of(settings: Settings, tail: Any, num_classes: int, num_folds: int, team: Team = ALONE) -> tuple[str, ...]:
    """Return the engines to choose between on validation classes; "auto" becomes the cheapest by estimate, which is logged.

    Args:
        settings: the engines, the support and the grids.
        tail: conv map [B, H, W, N] -> features [B, D].
        num_classes: classes that are solved for together.
        num_folds: groups of validation classes.
        team: its chief's free memory counts for all.
    """
    own = NiwtOptions.of(settings)
    if "auto" not in own.engine:
        return own.engine
    if own.extra_layers or not flops_of(tail):  # the other engines' work on a tail without weights cannot be counted
        return ("closed_form",)
    workload = Workload(
        num_images=settings.num_support,
        num_classes=num_classes,
        steps=own.transfer_steps,
        batch_size=own.transfer_batch_size,
        num_networks=num_folds + 1,
        # Head and middle lambda are one trial; the chosen candidate is solved for once more, for its probabilities.
        num_solutions=(num_heads(settings) + len(own.transfer_lambda) * len(own.transfer_anchor)) * num_folds + 1,
        has_mean_operator=settings.support == "seen",
    )
    costs = estimated_costs(tail, workload)
    neurons, features = int(tail.input_shape[-1]), int(tail.output_shape[-1])
    # The folds' matrices are held side by side.
    fits = fits_in_memory(settings.num_support * max(num_folds, 1), neurons, features)
    (fits_chief,) = team.of_chief(np.array([fits], np.int64))
    dropped = factor_tail(tail) is None and not fits_chief[0]
    if dropped:
        del costs["operator"]
    cheapest = min(costs, key=lambda name: costs[name])
    others = ", ".join(f"{name} {_readable(cost)}" for name, cost in costs.items() if name != cheapest)
    others += ", operator would not fit in memory" if dropped else ""
    _LOG.info(
        "--engine=auto takes %s: estimated at %s for the whole of Stage 3; %s.", cheapest, _readable(costs[cheapest]), others
    )
    named = tuple(name for name in own.engine if name not in ("auto", cheapest))
    return (cheapest, *named)


def _readable(cost: float) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if cost >= size)
    return f"{cost / max(size, 1.0):,.1f} {unit}"


# A nested-tape step goes forward and back for the importance, and twice over both for the gradient of it.
_TAPE_PASSES = 5.0
_EIGENDECOMPOSITION = 10.0  # operations per cube of the side


# What each engine of Stage 3 costs, estimated in floating-point operations before anything is computed.


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


def estimated_costs(tail: Any, workload: Workload) -> dict[str, float]:
    """Return the operations of the whole of Stage 3 by engine: "closed_form", "operator" and "tape"."""
    neurons, features = int(tail.input_shape[-1]), int(tail.output_shape[-1])
    one_pass, factors = flops_of(tail), factor_tail(tail)
    jacobian = jacobian_passes(tail) * one_pass
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
