"""Scale, bias and calibration of new columns: what importance does not determine.

A gradient sees neither the bias of a column nor, once it is compared by its direction, the column's length. Both are set so
that a new class's logits look on the seen training images like a seen class's logits on images of other classes. What is then
left between seen and unseen classes is one constant (calibrated stacking, Chao et al. 2016), chosen on validation classes.

Dimensions: M images, D features, S seen and U unseen classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.metrics.gzsl import CalibrationCurve


@dataclass(frozen=True)
class LogitStatistics:
    """How the logit of a seen class is distributed over images of other classes.

    Attributes:
        mean: over images and classes, of the logit with its bias.
        deviation: mean over classes of the standard deviation over images.
    """

    mean: float
    deviation: float


def logit_statistics(features: np.ndarray, labels: np.ndarray, columns: np.ndarray, biases: np.ndarray) -> LogitStatistics:
    """Measure seen columns [D, S] and biases [S] on features [M, D] of seen training images with labels [M]."""
    logits = features @ columns + biases
    of_others = labels[:, None] != np.arange(columns.shape[1])
    mean = float(logits[of_others].mean(dtype=np.float64))
    deviations = [logits[of_others[:, c], c].std(dtype=np.float64) for c in range(columns.shape[1])]
    return LogitStatistics(mean, float(np.mean(deviations)))


def seen_margin(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return by how much the true class's score exceeds the best other seen one, on average over held-out images.

    It is the unit of calibration constants: what a constant must overcome. Measured in it, the best constant is nearly the same
    whatever the number of seen classes, so that what folds of fewer classes choose holds for all of them.

    Args:
        scores: [M, S] of seen classes; 1 is returned without any.
        labels: [M].
    """
    if not len(labels):
        return 1.0
    true = np.arange(scores.shape[1]) == np.asarray(labels)[:, None]
    margins = scores[true] - np.where(true, -np.inf, scores).max(axis=1)
    margin = float(margins.mean(dtype=np.float64))
    # Where most images are misclassified the margin means nothing; the spread of the scores at least has their scale.
    return margin if margin > 0 else float(scores.std()) or 1.0


def match_logits(columns: np.ndarray, features: np.ndarray, statistics: LogitStatistics) -> tuple[np.ndarray, np.ndarray]:
    """Scale columns [D, U] and set biases [U] so that each new logit has the seen classes' mean and deviation on `features`."""
    logits = features @ columns
    deviations = logits.std(axis=0, dtype=np.float64)
    scales = np.divide(statistics.deviation, deviations, out=np.ones_like(deviations), where=deviations > 0)
    biases = statistics.mean - logits.mean(axis=0, dtype=np.float64) * scales
    return (columns * scales).astype(np.float32), biases.astype(np.float32)


def choose_calibration(curves: Sequence[CalibrationCurve], units: Sequence[float]) -> tuple[float, float]:
    """Return the constant, in units of each fold's seen margin, amid those with the highest mean harmonic mean, and its mean.

    Args:
        curves: one a fold of validation classes.
        units: each fold's `seen_margin`.
    """
    units = [unit if unit > 0 else 1.0 for unit in units]  # 0 where every seen logit is constant
    edges = np.concatenate([curve.calibrations[1:] / unit for curve, unit in zip(curves, units, strict=True)])
    candidates = np.unique(np.quantile(edges, np.linspace(0, 1, 401)))
    means = np.mean([harmonic_means(c, candidates * u) for c, u in zip(curves, units, strict=True)], axis=0)
    # The middle of the run of near-best candidates around the best is a steadier choice than the best itself.
    near = means >= means.max() - 0.005
    start, stop = _run_around(near, int(means.argmax()))
    middle = (candidates[start] + candidates[stop]) / 2
    mean = float(np.mean([harmonic_means(c, np.array([middle * u]))[0] for c, u in zip(curves, units, strict=True)]))
    return float(middle), mean


def harmonic_means(curve: CalibrationCurve, calibrations: np.ndarray) -> np.ndarray:
    """Return the harmonic mean [T] of seen and unseen accuracy at calibrations [T]."""
    points = np.searchsorted(curve.calibrations, calibrations, side="left") - 1
    seen, unseen = curve.acc_seen[points], curve.acc_unseen[points]
    total = seen + unseen
    return np.divide(2 * seen * unseen, total, out=np.zeros_like(total), where=total > 0)


def _run_around(near: np.ndarray, best: int) -> tuple[int, int]:
    start = stop = best
    while start > 0 and near[start - 1]:
        start -= 1
    while stop < len(near) - 1 and near[stop + 1]:
        stop += 1
    return start, stop
