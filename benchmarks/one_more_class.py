"""One more class after a run, at VGG16's sizes: from 312 attributes to a column, and on to a network that has it."""

from __future__ import annotations

import numpy as np

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved, say
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import ClosedForm
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.models.backbones import build_network

NEURONS, FEATURES, ATTRIBUTES, SEEN, IMAGES = 512, 4096, 312, 150, 2048
LIMIT = Goal(0.05)
REPETITIONS = 20


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds from a description to a column, and to the expanded network."""
    del birds
    formula = made_formula(NEURONS, FEATURES, ATTRIBUTES, SEEN, IMAGES)
    description = np.random.default_rng(1).uniform(0, 100, (1, ATTRIBUTES)).astype(np.float32)
    say("a VGG16 of real size with random weights")
    network = build_network("vgg16", [f"class_{c}" for c in range(SEEN)], weights="none")

    def expand() -> None:
        columns, biases = formula(description)
        network.expand(columns, biases, ["new"])

    seconds = interleaved({"column": lambda: formula(description), "expand": expand}, REPETITIONS, what="one more class")
    rows = [
        Comparison("description to column and bias", Series("column formula", seconds["column"]), goal=LIMIT),
        Comparison("description to a VGG16 with the class", Series("column formula, expand", seconds["expand"]), goal=LIMIT),
    ]
    notes = [
        f"N={NEURONS}, D={FEATURES}, K={ATTRIBUTES}, {SEEN} seen classes; seconds, no image and no network is run.",
        "The first is what a run stores for later classes; the second makes a Keras model whose head has a column more.",
    ]
    return Measurement("One more class after the run", rows, notes)


def made_formula(neurons: int, features: int, attributes: int, seen: int, images: int) -> NiwtFormula:
    """Return a column formula of such sizes, of random numbers."""
    generator = np.random.default_rng(0)
    centre = np.full(attributes, 50, np.float32)
    weights = generator.standard_normal((neurons, attributes), np.float32)
    bias = generator.standard_normal(neurons, np.float32)
    importance_map = ImportanceMap(weights, bias, DescriptionNormaliser("centred", centre))
    solution = ClosedForm(generator.standard_normal((neurons, features), np.float32))
    columns = generator.normal(0, 0.02, (features, seen)).astype(np.float32)
    activations = np.maximum(generator.standard_normal((images, features), np.float32), 0)
    return NiwtFormula.of(importance_map, solution, columns, 0.1, "mean", activations, LogitStatistics(0.0, 1.0), 0.0)
