"""A network that learnt unseen classes against the seen one, and evaluation against plain `keras.Model.predict`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.birds_run import BirdsRun
from benchmarks.forward import BATCH, ForwardCase, against_predict, cases, predict
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from niwt_tf.protocol.scoring import score_network

LIMIT = Goal(1.05)
MORE_CLASSES = 10
REPETITIONS = 7


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds an image of both pairs of sides."""
    rows: list[Comparison] = []
    for case in cases(birds):
        rows.append(_expanded(case))
        rows += against_predict(
            case, "evaluation", lambda test, network=case.network: score_network(network, test), LIMIT
        )
    notes = [
        f"Expanded: {MORE_CLASSES} classes more on the same trunk, `predict` on decoded images.",
        "Evaluation: `score_network` (logits, accuracies, curve); predict: `keras.Model.predict` of the same images.",
    ]
    return Measurement("Inference of the expanded network, and evaluation", rows, notes)


def _expanded(case: ForwardCase) -> Comparison:
    network, count = case.network, len(case.test.images)
    generator = np.random.default_rng(0)
    columns = generator.normal(0, 0.05, (network.num_features, MORE_CLASSES)).astype(np.float32)
    expanded = network.expand(columns, np.zeros(MORE_CLASSES, np.float32), [f"further_{c}" for c in range(MORE_CLASSES)])
    size = network.input_size
    pixels = generator.uniform(0, 255, (count, size, size, 3)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((pixels, np.zeros(count, np.int32))).batch(BATCH).prefetch(2)
    sides = {"expanded": predict(expanded, batches), "plain": predict(network, batches)}
    seconds = interleaved(sides, REPETITIONS, what=f"inference, {case.name}")
    classes = len(network.class_names)
    first = Series(f"{classes}+{MORE_CLASSES} classes", [second / count for second in seconds["expanded"]])
    second = Series(f"{classes} classes", [second / count for second in seconds["plain"]])
    return Comparison(f"{case.name}: an image", first, second, LIMIT)
