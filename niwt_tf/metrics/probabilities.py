"""Class probabilities that mean what they say: softmax(logits / temperature), and by how much they are off.

Dividing by a temperature changes no ranking: only how sure the answers are (Guo et al., "On Calibration of Modern Neural
Networks", 2017). Logits are those after calibrated stacking. Dimensions: M images, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.metrics.gzsl import class_weights

ECE_BINS = 15
_LARGEST_LOG_TEMPERATURE = 8.0


@dataclass(frozen=True)
class Probabilities:
    """How logits become probabilities, and when the best of them is too low for an answer.

    Attributes:
        temperature: what logits are divided by before the softmax; greater than 0.
        abstain_below: an image whose highest probability is less has no known class; 0 answers always.
        figures: what was measured on validation classes, by name.
    """

    temperature: float = 1.0
    abstain_below: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)

    def of(self, logits: np.ndarray) -> np.ndarray:
        """Return softmax(logits / temperature), float64 [M, C], of calibrated logits [M, C]."""
        return np.exp(_log_softmax(logits, self.temperature))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {**asdict(self), "figures": dict(self.figures)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Probabilities:
        """Return what `as_dict` gave.

        Raises:
            ValueError: a field is absent or not a number of its range.
        """
        try:
            temperature, abstain_below = float(record["temperature"]), float(record["abstain_below"])
            figures = {str(name): float(value) for name, value in record["figures"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of probabilities: {error!r}") from None
        if not (0 < temperature < math.inf and 0 <= abstain_below <= 1):
            raise ValueError(f"temperature {temperature} or abstain_below {abstain_below} is out of range")
        return cls(temperature, abstain_below, figures)


def fit_temperature(logits: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the temperature that minimises the class-normalised cross-entropy of softmax(logits / temperature).

    Each set counts the same, and in a set each class. Targets are smoothed as Platt (1999) does, to (M + 1) / (M + 2) for the
    true class: a set without a mistake would otherwise ask for a temperature of 0. The cross-entropy is convex in the
    temperature's inverse, so the one minimum is found; its logarithm is sought within -8 and 8.

    Args:
        logits: sets of calibrated logits [M, C].
        labels: sets of class indices [M], of as many images.
    """
    from scipy.optimize import minimize_scalar

    sets = [
        (np.asarray(z, np.float64), _expected_logit(z, y), class_weights(y))
        for z, y in zip(logits, labels, strict=True)
        if len(y) and np.ptp(z, axis=1).any()  # else no temperature changes anything
    ]
    if not sets:
        return 1.0

    def cross_entropy(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return math.fsum(float(weights @ (_log_sum_exp(scale * z) - scale * of_target)) for z, of_target, weights in sets)

    bounds = -_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE
    found = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return math.exp(found.x)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean over classes of -log of the true class's probability; NaN without images."""
    if not len(labels):
        return float("nan")
    log_probabilities = _log_softmax(logits, temperature)
    return float(-class_weights(labels) @ log_probabilities[np.arange(len(labels)), labels])


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, bins: int = ECE_BINS
) -> float:
    """Return by how much the highest probability is off the share of right answers, on average; in [0, 1].

    Images fall by their highest probability into bins of equal width, (0, 1/bins] and so on. The error is the sum over bins of
    | sum of weights of the right answers - weighted sum of the highest probabilities |.

    Args:
        probabilities: [M, C].
        labels: [M].
        weights: [M], by default every image counts the same; `class_weights(labels)` makes every class count the same.
        bins: how many.

    Returns:
        The error; NaN without images.
    """
    if not len(labels):
        return float("nan")
    shares = np.full(len(labels), 1.0) if weights is None else np.asarray(weights, np.float64)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # The highest may exceed 1 by a rounding.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=shares * (right - confidence), minlength=bins)
    return float(np.abs(gaps).sum() / shares.sum())


def _expected_logit(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean logit [M] under the smoothed targets."""
    count, classes = logits.shape
    true = logits[np.arange(count), labels].astype(np.float64)
    others = (logits.sum(axis=1, dtype=np.float64) - true) / (classes - 1)
    return (true * (count + 1) + others) / (count + 2)


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    return scaled - _log_sum_exp(scaled)[:, None]


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    highest = logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]


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
