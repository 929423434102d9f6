"""Generalised zero-shot evaluation: class-normalised accuracy, harmonic mean, calibrated stacking and its curve.

Class indices put the S seen classes first. Scores are logits [M, C] before calibration. Xian et al., "Zero-Shot Learning: A
Comprehensive Evaluation of the Good, the Bad and the Ugly" (2018); Chao et al., "An Empirical Study and Analysis of Generalized
Zero-Shot Learning" (2016) for calibrated stacking and AUSUC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def per_class_accuracy(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the share of each class's images that got its label: float64 [C], NaN for a class without images."""
    totals = np.bincount(labels, minlength=num_classes).astype(np.float64)
    hits = np.bincount(labels[labels == predictions], minlength=num_classes)
    return np.divide(hits, totals, out=np.full(num_classes, np.nan), where=totals > 0)


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Return weights [M] of sum 1 with which every class that has images counts the same, whatever their number."""
    classes, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1.0 / (counts[position] * max(len(classes), 1))


def class_normalised_accuracy(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> float:
    """Return the mean over classes (that have images) of the per-class accuracy; NaN without images."""
    accuracies = per_class_accuracy(labels, predictions, num_classes)
    present = ~np.isnan(accuracies)
    return float(accuracies[present].mean()) if present.any() else float("nan")


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes (that have images) of the average precision, NaN without images.

    A class ranks all images by its probability, the softmax of their logits [M, C]. Its average precision is the area under its
    curve of precision over recall, as scikit-learn sums it.
    """
    from scipy.special import softmax
    from sklearn.metrics import average_precision_score

    present = np.unique(labels)
    if not len(present):
        return float("nan")
    probabilities = softmax(np.asarray(scores, np.float64), axis=1)
    return float(np.mean([average_precision_score(labels == each, probabilities[:, each]) for each in present]))


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return 2 s u / (s + u), and 0 when both are 0."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0 * (seen + unseen)


def calibrated_predictions(scores: np.ndarray, num_seen: int, calibration: float) -> np.ndarray:
    """Return the winning class [M] once `calibration` is taken off the seen scores (a tie goes to the seen class)."""
    if scores.shape[1] == num_seen:  # no class is unseen
        return np.asarray(scores.argmax(axis=1))
    best_seen, best_unseen = _best(scores, num_seen)
    rows = np.arange(len(scores))
    stays_seen = scores[rows, best_seen] - scores[rows, best_unseen] >= calibration
    return np.where(stays_seen, best_seen, best_unseen)


@dataclass(frozen=True)
class CalibrationCurve:
    """Seen and unseen accuracy at every calibration that changes a prediction.

    Attributes:
        calibrations: float64 [T], ascending; the first is -inf. Point t holds for calibrations in
            (calibrations[t], calibrations[t + 1]], the last one for everything above.
        acc_seen: float64 [T], class-normalised accuracy on seen classes when every class competes; falls with T.
        acc_unseen: float64 [T], the same on unseen classes; rises with T.
    """

    calibrations: np.ndarray
    acc_seen: np.ndarray
    acc_unseen: np.ndarray

    @property
    def area(self) -> float:
        """AUSUC: the area under seen accuracy as a function of unseen accuracy, in [0, 1]."""
        return float(min(np.trapezoid(self.acc_seen, self.acc_unseen), 1.0))  # sums of weights may pass 1 in their last digit


def calibration_curve(scores: np.ndarray, labels: np.ndarray, num_seen: int) -> CalibrationCurve:
    """Return the exact curve of calibrated stacking by one sort of the M seen-minus-unseen margins.

    Args:
        scores: [M, C] logits.
        labels: [M] class indices, seen classes first.
        num_seen: S.
    """
    if scores.shape[1] == num_seen:
        right = _class_normalised_weights(labels, num_seen) @ (labels == scores.argmax(axis=1))
        return CalibrationCurve(np.array([-np.inf]), np.array([right]), np.zeros(1))
    best_seen, best_unseen = _best(scores, num_seen)
    rows = np.arange(len(scores))
    margin = scores[rows, best_seen].astype(np.float64) - scores[rows, best_unseen]
    weights = _class_normalised_weights(labels, num_seen)
    seen_hit = weights * (labels == best_seen)
    unseen_hit = weights * (labels == best_unseen)
    thresholds, position = np.unique(margin, return_inverse=True)
    lost = np.bincount(position, weights=seen_hit, minlength=len(thresholds))
    won = np.bincount(position, weights=unseen_hit, minlength=len(thresholds))
    acc_seen = np.concatenate([[lost.sum()], lost.sum() - np.cumsum(lost)])
    acc_unseen = np.concatenate([[0.0], np.cumsum(won)])
    return CalibrationCurve(np.concatenate([[-np.inf], thresholds]), np.maximum(acc_seen, 0.0), acc_unseen)


@dataclass(frozen=True)
class Evaluation:
    """One generalised zero-shot result; fractions in [0, 1], NaN where no test image can tell.

    Attributes:
        acc_seen: accuracy on seen classes, all classes competing.
        acc_unseen: accuracy on unseen classes, all classes competing.
        harmonic_mean: of the two above.
        acc_zsl: accuracy on unseen classes, only unseen classes competing.
        ausuc: area under the seen-unseen curve; it does not depend on the calibration.
        calibration: the constant that was taken off the seen scores.
        per_class: [C] accuracies behind acc_seen and acc_unseen.
        predictions: [M] predicted classes.
    """

    acc_seen: float
    acc_unseen: float
    harmonic_mean: float
    acc_zsl: float
    ausuc: float
    calibration: float
    per_class: np.ndarray
    predictions: np.ndarray

    def scalars(self) -> dict[str, float]:
        """Return the six numbers by name."""
        names = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "calibration")
        return {name: float(getattr(self, name)) for name in names}


def evaluate_scores(scores: np.ndarray, labels: np.ndarray, num_seen: int, calibration: float) -> Evaluation:
    """Evaluate logits [M, C] against labels [M] at one calibration."""
    num_classes = scores.shape[1]
    predictions = calibrated_predictions(scores, num_seen, calibration)
    per_class = per_class_accuracy(labels, predictions, num_classes)
    acc_seen, acc_unseen = _mean(per_class[:num_seen]), _mean(per_class[num_seen:])
    unseen = labels >= num_seen
    zsl = float("nan")
    if unseen.any():
        alone = scores[unseen, num_seen:].argmax(axis=1)
        zsl = class_normalised_accuracy(labels[unseen] - num_seen, alone, num_classes - num_seen)
    measurable = bool(unseen.any()) and not bool(unseen.all())
    ausuc = calibration_curve(scores, labels, num_seen).area if measurable else float("nan")
    harmonic = harmonic_mean(acc_seen, acc_unseen)
    return Evaluation(acc_seen, acc_unseen, harmonic, zsl, ausuc, calibration, per_class, predictions)


def _best(scores: np.ndarray, num_seen: int) -> tuple[np.ndarray, np.ndarray]:
    return scores[:, :num_seen].argmax(axis=1), num_seen + scores[:, num_seen:].argmax(axis=1)


def _class_normalised_weights(labels: np.ndarray, num_seen: int) -> np.ndarray:
    """Weights [M] with which a sum over hits is the class-normalised accuracy of the image's own side."""
    weights = np.zeros(len(labels))
    for side in (labels < num_seen, labels >= num_seen):
        weights[side] = class_weights(labels[side])
    return weights


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")
