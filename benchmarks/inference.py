"""Networks that learnt unseen classes, or were written from texts, against the seen one; evaluation against `Model.predict`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.birds_run import BirdsRun
from benchmarks.forward import BATCH, ForwardCase, against_predict, cases, predict
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from niwt_tf.methods.parameters import NetworkParameters
from niwt_tf.models.network import Network
from niwt_tf.protocol.scoring import score_network

LIMIT = Goal(1.05)
MORE_CLASSES = 10
REPETITIONS = 7


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds an image of both pairs of sides."""
    rows: list[Comparison] = []
    for case in cases(birds):
        rows += [_expanded(case), _written(case)]
        rows += against_predict(
            case, "evaluation", lambda test, network=case.network: score_network(network, test), LIMIT
        )
    notes = [
        f"Expanded: {MORE_CLASSES} classes more on the same trunk, `predict` on decoded images.",
        "Written: every kernel before the head and the head with other numbers, as N3 with --n3_adapt=all writes them.",
        "Evaluation: `score_network` (logits, accuracies, curve); predict: `keras.Model.predict` of the same images.",
    ]
    return Measurement("Inference of the expanded network, and evaluation", rows, notes)


def _expanded(case: ForwardCase) -> Comparison:
    network = case.network
    generator = np.random.default_rng(0)
    columns = generator.normal(0, 0.05, (network.num_features, MORE_CLASSES)).astype(np.float32)
    expanded = network.expand(columns, np.zeros(MORE_CLASSES, np.float32), [f"further_{c}" for c in range(MORE_CLASSES)])
    return _beside(case, expanded, f"{len(network.class_names)}+{MORE_CLASSES} classes")


def _written(case: ForwardCase) -> Comparison:
    network = case.network
    kernels = [weight for layer in network.model.layers[:-1] for weight in layer.weights if weight.path.endswith("kernel")]
    weights = {weight.path: 1.01 * weight.numpy() for weight in kernels}
    head = network.columns, network.biases
    parameters = NetworkParameters((), weights, *head, len(network.class_names))
    return _beside(case, parameters.apply(network), "written")


def _beside(case: ForwardCase, other: Network, label: str) -> Comparison:
    """Return seconds an image of another network beside those of the case's own."""
    network, count, size = case.network, len(case.test.images), case.network.input_size
    pixels = np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((pixels, np.zeros(count, np.int32))).batch(BATCH).prefetch(2)
    sides = {"other": predict(other, batches), "plain": predict(network, batches)}
    seconds = interleaved(sides, REPETITIONS, what=f"inference, {case.name}")
    first, second = (
        Series(name, [each / count for each in seconds[side]])
        for side, name in (("other", label), ("plain", f"{len(network.class_names)} classes"))
    )
    return Comparison(f"{case.name}, {label}: an image", first, second, LIMIT)
