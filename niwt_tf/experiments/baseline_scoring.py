"""A fitted baseline on the test images, once, with the metrics that NIWT's are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from niwt_tf.data.schema import TestData
from niwt_tf.experiments.baseline import Bank, Classifier
from niwt_tf.experiments.scoring import Scored, finite
from niwt_tf.method.evaluation import calibration_curve, evaluate_scores

_BLOCK = 4096


def score_baseline(classifier: Classifier, bank: Bank, test: TestData) -> Scored:
    """Evaluate a classifier on the test images, whose features `bank` gives."""
    features, labels = bank(test.images), test.images.labels
    num_classes = len(classifier.seen) + len(classifier.new)
    logits = np.zeros((len(features), num_classes), np.float32)
    for start in range(0, len(features), _BLOCK):
        logits[start : start + _BLOCK] = classifier.scores(features[start : start + _BLOCK])
    return scored_logits(logits, labels, len(classifier.seen), classifier.calibration)


def scored_logits(logits: np.ndarray, labels: np.ndarray, num_seen: int, calibration: float) -> Scored:
    """Return logits [M, C] of test images with what follows from them."""
    evaluation = evaluate_scores(logits, labels, num_seen, calibration)
    return Scored(logits, labels, evaluation, calibration_curve(logits, labels, num_seen))


def baseline_metrics(scored: Scored, num_seen: int, others: Mapping[str, float | None]) -> dict[str, float | int | None]:
    """Return the flat metrics by the names that metrics.json of a run has; what no image can tell is None.

    Args:
        scored: the evaluation.
        num_seen: S.
        others: further figures (of the validation classes, seed).
    """
    num_unseen = scored.logits.shape[1] - num_seen
    figures: dict[str, float | int | None] = {
        **scored.evaluation.scalars(),
        "chance_zsl": 1 / num_unseen,
        "num_seen": num_seen,
        "num_unseen": num_unseen,
        "num_test_images": len(scored.labels),
        "harmonic_mean_uncalibrated": evaluate_scores(scored.logits, scored.labels, num_seen, 0.0).harmonic_mean,
        **others,
    }
    return {name: finite(value) for name, value in figures.items()}
