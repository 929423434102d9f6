"""Class probabilities from logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Probabilities:
    """How logits become probabilities.

    Attributes:
        temperature: what logits are divided by before the softmax.
        abstain_below: the best probability below which no class is claimed.
        figures: on validation classes, by name.
    """

    temperature: float = 1.0
    abstain_below: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
