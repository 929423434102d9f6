"""Evaluation of an expanded network on test images, and the metrics that are reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.features import Reader
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.schema import Descriptions, TestData
from niwt_tf.errors import InputError
from niwt_tf.methods.task import Task
from niwt_tf.metrics.gzsl import (
    CalibrationCurve,
    Evaluation,
    calibration_curve,
    class_normalised_accuracy,
    class_weights,
    evaluate_scores,
    mean_average_precision,
)
from niwt_tf.metrics.intervals import or_none
from niwt_tf.metrics.probabilities import Probabilities, expected_calibration_error
from niwt_tf.models.network import Network
from niwt_tf.protocol.selection import Chosen


@dataclass(frozen=True)
class Scored:
    """A network's answers on the test images.

    Attributes:
        logits: float32 [M, C] before calibration.
        labels: int [M], indices of the network's classes.
        evaluation: at the network's calibration.
        curve: over every calibration.
    """

    logits: np.ndarray
    labels: np.ndarray
    evaluation: Evaluation
    curve: CalibrationCurve


def score_network(network: Network, test: TestData, execution: Execution | None = None) -> Scored:
    """Evaluate a network whose classes include those of the test images.

    Raises:
        InputError: the test data have a class that the network does not know.
    """
    unknown = [name for name in test.images.class_names if name not in network.class_names]
    if unknown:
        raise InputError(f"The network must know every class of the data. Received: {unknown[0]!r}, which it does not know.")
    index = np.array([network.class_names.index(name) for name in test.images.class_names])
    labels = index[test.images.labels] if len(test.images) else np.empty(0, np.int64)
    logits = Reader(network, execution).logits(test.images)
    # The curve needs the scores before calibration; the head has taken it off the seen ones.
    logits[:, : network.num_seen] += network.calibration
    return scored_logits(logits, labels, network.num_seen, network.calibration)


def scored_alone(network: Network, test: TestData, execution: Execution | None = None) -> dict[str, float]:
    """Return figures of a network of the unseen classes alone, on their test images.

    `acc_alone` is its class-normalised accuracy, `ap_alone` its mean average precision.
    """
    unseen = np.arange(test.num_seen, len(test.images.class_names))
    images = test.images.of_classes(unseen)
    labels = np.array([network.class_names.index(name) for name in images.class_names])[images.labels]
    logits = Reader(network, execution).logits(images)
    accuracy = class_normalised_accuracy(labels, logits.argmax(axis=1), len(network.class_names))
    return {"acc_alone": accuracy, "ap_alone": mean_average_precision(logits, labels)}


def score_task(task: Task, chosen: Chosen, unseen: Descriptions, test: TestData) -> Scored:
    """Evaluate a method on the test images by what the main task reads of them, without a network of its own.

    The labels of the test images count seen classes first.
    """
    parameters = chosen.generator.generate(unseen)
    return scored_logits(parameters.scores(task, test.images), test.images.labels, task.num_seen, chosen.calibration)


def scored_logits(logits: np.ndarray, labels: np.ndarray, num_seen: int, calibration: float) -> Scored:
    """Return logits [M, C] of test images with what follows from them."""
    evaluation = evaluate_scores(logits, labels, num_seen, calibration)
    return Scored(logits, labels, evaluation, calibration_curve(logits, labels, num_seen))


def save_scores(path: str | os.PathLike[str], scored: Scored) -> None:
    """Write scores.npz, the logits and labels that everything else of the evaluation follows from."""
    np.savez(path, logits=scored.logits, labels=scored.labels)


def load_scores(path: str | os.PathLike[str], num_seen: int, calibration: float) -> Scored:
    """Read what `save_scores` wrote of a network with S seen classes and this calibration."""
    arrays = read_arrays(path)
    return scored_logits(arrays["logits"], arrays["labels"], num_seen, calibration)


def metrics_of(scored: Scored, num_seen: int, others: Mapping[str, float], temperature: float) -> dict[str, float | int | None]:
    """Return the flat metrics by name; what no image or fold can tell is None.

    `ece` is the expected calibration error of the probabilities, every class that has images counting the same;
    `ece_uncalibrated` is that of a plain softmax of the same logits. `ap_zsl` is the mean average precision where
    unseen classes alone compete.

    Args:
        scored: the evaluation.
        num_seen: S.
        others: further figures (correlations, seed).
        temperature: what the logits are divided by for probabilities.
    """
    num_unseen = scored.logits.shape[1] - num_seen
    unseen = scored.labels >= num_seen
    uncalibrated = evaluate_scores(scored.logits, scored.labels, num_seen, 0.0)
    metrics: dict[str, float | int | None] = {
        **scored.evaluation.scalars(),
        "ap_zsl": mean_average_precision(scored.logits[unseen, num_seen:], scored.labels[unseen] - num_seen),
        "chance_zsl": 1 / num_unseen if num_unseen else float("nan"),
        "num_seen": num_seen,
        "num_unseen": num_unseen,
        "num_test_images": len(scored.labels),
        "harmonic_mean_uncalibrated": uncalibrated.harmonic_mean,
        "ece": _calibration_error(scored, num_seen, temperature),
        "ece_uncalibrated": _calibration_error(scored, num_seen, 1.0),
        **others,
    }
    return {name: or_none(value) for name, value in metrics.items()}


def _calibration_error(scored: Scored, num_seen: int, temperature: float) -> float:
    logits = scored.logits.copy()
    logits[:, :num_seen] -= scored.evaluation.calibration
    return expected_calibration_error(Probabilities(temperature).of(logits), scored.labels, class_weights(scored.labels))
