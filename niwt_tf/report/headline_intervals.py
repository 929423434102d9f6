"""95 % intervals of the headline figures, over classes.

A class is what varies: its images resemble each other, and another choice of classes would give other figures. Means over
classes have Student's t interval. For H, AUSUC and the calibration error classes are drawn with replacement, seen and unseen
ones apart; those that compete for an image stay as they are. Efron, "Better Bootstrap Confidence Intervals" (1987), as in
`scipy.stats.bootstrap`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from niwt_tf.metrics.gzsl import per_class_accuracy
from niwt_tf.metrics.intervals import FEW, plain_mean
from niwt_tf.metrics.probabilities import ECE_BINS
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.contents import Estimate
from niwt_tf.report.tables import sureness_of

RESAMPLES = 2000
NOTE = (
    "Intervals are 95 % intervals over classes. For accuracies they are Student's t intervals of the mean over classes. For H "
    f"and AUSUC they are bootstrap intervals (BCa, {RESAMPLES:,} resamples, fixed seed): seen and unseen classes are drawn "
    "separately, and all classes still compete for an image. For ECE the interval is the value ± 1.96 bootstrap standard "
    "errors, because resampling biases it upwards. Intervals say how a figure would vary with other classes of the same kind, "
    "not with another training run. A dash means that there are too few classes for an interval, or fewer than ten classes "
    "that all have the same value."
)
_LEAST_CLASSES = 3
_SAME = 1e-12  # figures that differ by less are the same
_LARGEST_BATCH = 2_000_000  # entries of a temporary array
Statistic = Callable[..., np.ndarray]


def headline_estimates(scored: Scored, num_seen: int, temperature: float, seed: int = 0) -> dict[str, Estimate]:
    """Return acc_seen, acc_unseen, harmonic_mean, acc_zsl, ausuc and ece on the test images with their intervals."""
    accuracy = scored.evaluation.per_class
    present = np.flatnonzero(~np.isnan(accuracy))
    seen, unseen = present[present < num_seen], present[present >= num_seen]
    zsl, gaps = _zsl_accuracy(scored, num_seen), _gaps(scored, num_seen, temperature)
    area = _AreaOfClasses(scored, num_seen)

    def harmonic(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        a, b = accuracy[first].mean(axis), accuracy[second].mean(axis)
        return np.divide(2 * a * b, a + b, out=np.zeros(np.shape(a + b)), where=a + b > 0)

    def error(*sides: np.ndarray, axis: int = -1) -> np.ndarray:
        count = sum(side.shape[-1] for side in sides)
        return np.abs(sum(gaps[side].sum(-2) for side in sides) / count).sum(-1)

    sides = [side for side in (seen, unseen) if len(side)]
    return {
        "acc_seen": _mean(accuracy[seen]),
        "acc_unseen": _mean(accuracy[unseen]),
        "harmonic_mean": _estimate([seen, unseen], harmonic, seed),
        "acc_zsl": _mean(zsl[unseen]),
        "ausuc": _estimate([seen, unseen], area, seed, max(1, _LARGEST_BATCH // max(area.size, 1))),
        "ece": _estimate(sides, error, seed, max(1, _LARGEST_BATCH // (max(len(present), 1) * ECE_BINS)), symmetric=True),
    }


def _mean(accuracies: np.ndarray) -> Estimate:
    found = plain_mean(accuracies)
    return Estimate(None) if found is None else Estimate(found["value"], found.get("low"), found.get("high"))


def _estimate(
    sides: Sequence[np.ndarray], statistic: Statistic, seed: int, batch: int = RESAMPLES, symmetric: bool = False
) -> Estimate:
    from scipy.stats import bootstrap

    if not sides or any(len(side) == 0 for side in sides):
        return Estimate(None)
    value = float(statistic(*sides))
    if any(len(side) < _LEAST_CLASSES for side in sides):
        return Estimate(value)

    def of_samples(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        # SciPy hands indices back as floats.
        return statistic(*(sample.astype(np.int64) for sample in samples), axis=axis)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of data that do not vary, which are met below
        found = bootstrap(
            tuple(sides), of_samples, n_resamples=RESAMPLES, batch=batch, vectorized=True, rng=np.random.default_rng(seed)
        )
    least = min(len(side) for side in sides)
    if least < FEW and np.ptp(found.bootstrap_distribution) <= _SAME:
        return Estimate(value)
    if symmetric:
        margin = 1.96 * float(found.standard_error)
        return Estimate(value, max(value - margin, 0.0), value + margin)
    low, high = (float(edge) for edge in found.confidence_interval)
    if np.isnan(low) or np.isnan(high):
        low, high = (float(edge) for edge in np.quantile(found.bootstrap_distribution, (0.025, 0.975)))
    return Estimate(value, low, high)


def _zsl_accuracy(scored: Scored, num_seen: int) -> np.ndarray:
    """Return the accuracies [C] of unseen classes when they alone compete; NaN elsewhere."""
    accuracies = np.full(scored.logits.shape[1], np.nan)
    unseen = scored.labels >= num_seen
    if not unseen.any():
        return accuracies
    predictions = scored.logits[unseen, num_seen:].argmax(axis=1)
    accuracies[num_seen:] = per_class_accuracy(scored.labels[unseen] - num_seen, predictions, len(accuracies) - num_seen)
    return accuracies


def _gaps(scored: Scored, num_seen: int, temperature: float) -> np.ndarray:
    """Return [C, bins]: each class's mean of right minus probability over the images of a bin, zero elsewhere."""
    highest, right, place = sureness_of(scored, num_seen, temperature)
    gaps = np.zeros((scored.logits.shape[1], ECE_BINS))
    np.add.at(gaps, (scored.labels, place), right - highest)
    return gaps / np.maximum(np.bincount(scored.labels, minlength=len(gaps)), 1)[:, None]


class _AreaOfClasses:
    """AUSUC when some classes count more than once: `calibration_curve` with weights of classes."""

    def __init__(self, scored: Scored, num_seen: int) -> None:
        best_seen = scored.logits[:, :num_seen].argmax(axis=1)
        has_unseen = scored.logits.shape[1] > num_seen
        best_unseen = num_seen + scored.logits[:, num_seen:].argmax(axis=1) if has_unseen else best_seen
        rows = np.arange(len(scored.labels))
        margin = scored.logits[rows, best_seen].astype(np.float64) - scored.logits[rows, best_unseen]
        # An image that is right on neither side of any calibration changes nothing.
        kept = np.flatnonzero((scored.labels == best_seen) | (scored.labels == best_unseen))
        order = kept[np.argsort(margin[kept], kind="stable")]
        self.labels, ordered = scored.labels[order], margin[order]
        self.is_seen = self.labels < num_seen
        self.last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(order) else np.empty(0, np.int64)
        self.totals = np.maximum(np.bincount(scored.labels, minlength=scored.logits.shape[1]), 1)
        self.size = len(order)

    def __call__(self, seen: np.ndarray, unseen: np.ndarray, axis: int = -1) -> np.ndarray:
        shape = np.broadcast_shapes(seen.shape[:-1], unseen.shape[:-1])
        flat = [np.broadcast_to(side, (*shape, side.shape[-1])).reshape(-1, side.shape[-1]) for side in (seen, unseen)]
        weights = np.zeros((len(flat[0]), len(self.totals)))
        for side in flat:
            np.add.at(weights, (np.arange(len(side))[:, None], side), 1 / side.shape[1])
        hits = (weights / self.totals)[:, self.labels]
        lost, won = (np.cumsum(np.where(which, hits, 0.0), axis=1)[:, self.last] for which in (self.is_seen, ~self.is_seen))
        start = np.zeros((len(hits), 1))
        acc_unseen = np.concatenate([start, won], axis=1)
        acc_seen = np.where(self.is_seen, hits, 0.0).sum(axis=1, keepdims=True) - np.concatenate([start, lost], axis=1)
        return np.trapezoid(acc_seen, acc_unseen, axis=1).reshape(shape)
