"""Stage 1, importance of every neuron for every image (Eq. 1), against one forward pass by `keras.Model.predict`."""

from __future__ import annotations

from benchmarks.birds_run import BirdsRun
from benchmarks.forward import against_predict, cases
from benchmarks.harness import Comparison, Goal, Measurement, Series
from niwt_tf.methods.importance import class_importance

LIMIT = Goal(2.5)


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds an image of `class_importance` and of `predict`, and images a second."""
    rows: list[Comparison] = []
    for case in cases(birds):
        made = against_predict(
            case,
            "importance",
            lambda test, network=case.network: class_importance(network, test.images),
            LIMIT,
        )
        for row in made:
            rows.append(row)
            if row.goal is not None and row.second is not None:
                sides = (row.first, row.second)
                rates = (Series(side.label, [1 / value for value in side.values], "images/s") for side in sides)
                rows.append(Comparison(row.name.replace("a further image", "rate"), *rates))
    notes = [
        "Both sides run the same network in float32; importance adds the tail's backward pass and the rank correlations.",
        "files: both read and decode the same files by the same pipeline; memory: both get the same decoded batches.",
    ]
    return Measurement("Importance of all images against one forward pass", rows, notes)
