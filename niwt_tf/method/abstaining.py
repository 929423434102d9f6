"""When to answer "unknown": a threshold on the highest probability, chosen where some classes are kept from the head."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.errors import InputError

UNKNOWN = "unknown"


@dataclass(frozen=True)
class OpenSet:
    """Highest probabilities of images whose class a head has, and of images whose class it has not.

    Attributes:
        known: [M] in [0, 1].
        unknown: [Q] in [0, 1].
        known_weights: [M], of sum 1.
        unknown_weights: [Q], of sum 1.
        is_new: bool [M], whether a known image's class has its column from a description alone.
    """

    known: np.ndarray
    unknown: np.ndarray
    known_weights: np.ndarray
    unknown_weights: np.ndarray
    is_new: np.ndarray

    def known_accepted(self, threshold: float) -> float:
        """Return the weighted share of known images that are at least `threshold`."""
        return float(self.known_weights @ (self.known >= threshold))

    def new_accepted(self, threshold: float) -> float:
        """Return the same share of the known images of new classes; NaN without any."""
        weights = self.known_weights[self.is_new]
        return float(weights @ (self.known[self.is_new] >= threshold) / weights.sum()) if len(weights) else float("nan")

    def unknown_rejected(self, threshold: float) -> float:
        """Return the weighted share of unknown images that are below `threshold`."""
        return float(self.unknown_weights @ (self.unknown < threshold))

    def auroc(self) -> float:
        """Return the chance that a known image has more than an unknown one, a tie being a half: 1 is perfect, 0.5 nothing."""
        values, position = np.unique(np.concatenate([self.known, self.unknown]), return_inverse=True)
        known = np.bincount(position[: len(self.known)], self.known_weights, len(values))
        unknown = np.bincount(position[len(self.known) :], self.unknown_weights, len(values))
        return float(known @ (np.cumsum(unknown) - unknown / 2))


def choose_threshold(sets: Sequence[OpenSet]) -> float:
    """Return the threshold of the highest mean balanced accuracy: half known accepted, half unknown rejected.

    It is the middle between two neighbouring values, of equals the lowest; 0, which rejects nothing, where none does better.
    """
    if not sets:
        return 0.0
    scores = np.concatenate([part for each in sets for part in (each.known, each.unknown)]).astype(np.float64)
    gains = np.concatenate([part for each in sets for part in (-each.known_weights, each.unknown_weights)])
    values, position = np.unique(scores, return_inverse=True)
    # What is won by a threshold just above each value; rounded, so that equals are equal.
    won = np.concatenate([[0.0], np.cumsum(np.bincount(position, gains, len(values)))]).round(12)
    best = int(won.argmax())
    if best == 0:
        return 0.0
    # Above every value all is rejected, which is no better than nothing: another value follows.
    return float((values[best - 1] + values[best]) / 2)


def abstaining_figures(sets: Sequence[OpenSet], thresholds: Sequence[float]) -> dict[str, float]:
    """Return means over sets, each at its threshold: known accepted, unknown rejected, balanced accuracy and AUROC.

    Where every set has known images of new classes, the share of those that is accepted is there too.
    """
    accepted = float(np.mean([each.known_accepted(t) for each, t in zip(sets, thresholds, strict=True)]))
    rejected = float(np.mean([each.unknown_rejected(t) for each, t in zip(sets, thresholds, strict=True)]))
    new = float(np.mean([each.new_accepted(t) for each, t in zip(sets, thresholds, strict=True)]))
    return {
        **({} if math.isnan(new) else {"new_accepted": new}),
        "known_accepted": accepted,
        "unknown_rejected": rejected,
        "balanced_accuracy": (accepted + rejected) / 2,
        "auroc": float(np.mean([each.auroc() for each in sets])),
    }


def check_none_is_unknown(names: Iterable[str]) -> None:
    """Check that no class has the name that an abstaining answer has.

    Raises:
        InputError: one has, in whatever case.
    """
    taken = next((name for name in names if name.strip().casefold() == UNKNOWN), None)
    if taken is not None:
        raise InputError(
            f"--abstain must not be given with a class of the name {UNKNOWN!r}, which is its own answer. Received: {taken!r}."
        )
