"""Which engines of Stage 3 a run uses: those that it names, or the one that is estimated to cost least."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from niwt_tf.experiments.heads import num_heads
from niwt_tf.experiments.settings import Settings
from niwt_tf.method.cost import Workload, estimated_costs
from niwt_tf.method.operator import fits_in_memory
from niwt_tf.method.tail_factors import factor_tail
from niwt_tf.method.team import ALONE, Team

_LOG = logging.getLogger("niwt_tf")
_UNITS = ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (0.0, "FLOP"))


def engines_of(
    settings: Settings, tail: Any, num_classes: int, num_folds: int, team: Team = ALONE
) -> tuple[str, ...]:
    """Return the engines to choose between on validation classes; "auto" becomes the cheapest by estimate, which is logged.

    Args:
        settings: the engines, the support and the grids.
        tail: conv map [B, H, W, N] -> features [B, D].
        num_classes: classes that are solved for together.
        num_folds: groups of validation classes.
        team: its chief's free memory counts for all.
    """
    if "auto" not in settings.engine:
        return settings.engine
    if settings.extra_layers:
        return ("closed_form",)
    workload = Workload(
        num_images=settings.num_support,
        num_classes=num_classes,
        steps=settings.transfer_steps,
        batch_size=settings.transfer_batch_size,
        num_networks=num_folds + 1,
        # Head and middle lambda are one trial; the chosen candidate is solved for once more, for its probabilities.
        num_solutions=(num_heads(settings) + len(settings.transfer_lambda) * len(settings.transfer_anchor)) * num_folds + 1,
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
    named = tuple(name for name in settings.engine if name not in ("auto", cheapest))
    return (cheapest, *named)


def _readable(cost: float) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if cost >= size)
    return f"{cost / max(size, 1.0):,.1f} {unit}"
