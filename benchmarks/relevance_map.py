"""The relevance map: seconds to learn it, beside as many plain matrix products, and one more class by it at VGG16's sizes."""

from __future__ import annotations

import numpy as np

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved
from niwt_tf.methods.relevance import RelevanceMap, fit_relevance_map
from niwt_tf.methods.relevance_formula import RelevanceFormula

# Seen classes, attributes, and the seconds that learning may take.
SIZES = ((150, 312, 0.5), (1000, 1000, 5.0))
NEURONS, FEATURES = 512, 4096
PRODUCTS = 100
ONE_MORE = Goal(0.05)


def measure(birds: BirdsRun) -> Measurement:
    """Return seconds to fit the map, and from a description to a column."""
    del birds
    rows = []
    for classes, attributes, limit in SIZES:
        descriptions, importances = world(classes, attributes)
        square = np.random.default_rng(1).standard_normal((classes, classes))

        def products(square: np.ndarray = square) -> None:
            for _ in range(PRODUCTS):
                square @ square

        def fit(descriptions: np.ndarray = descriptions, importances: np.ndarray = importances) -> RelevanceMap:
            return fit_relevance_map(descriptions, importances)

        seconds = interleaved({"fit": fit, "products": products}, 3, what=f"{classes} classes")
        plain = Series(f"{PRODUCTS} products of {classes} x {classes}", seconds["products"])
        rows.append(Comparison(f"{classes} classes x {attributes} attributes", Series("fit", seconds["fit"]), goal=Goal(limit)))
        rows.append(Comparison(f"the same beside plain products, {classes} classes", Series("fit", seconds["fit"]), plain))
    fitted = fit_relevance_map(*world(*SIZES[0][:2]))
    classes = len(fitted.points)
    random = np.random.default_rng(2)
    basis = random.standard_normal((FEATURES, classes)).astype(np.float32)
    formula = RelevanceFormula(fitted, basis, random.standard_normal(classes), np.eye(classes))
    description = random.random((1, SIZES[0][1])).astype(np.float32)
    seconds = interleaved({"column": lambda: formula(description)}, 20, what="one more class")
    rows.append(Comparison("description to column and bias", Series("column formula", seconds["column"]), goal=ONE_MORE))
    notes = [
        f"N={NEURONS}, D={FEATURES}; importances follow 20 attributes. All learning is counted: the gate, and both relevances.",
        "The column is by all kernels of 150 seen classes.",
    ]
    return Measurement("The relevance map", rows, notes)


def world(classes: int, attributes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptions [S, K] and importances [S, N] that follow 20 of the attributes."""
    random = np.random.default_rng(0)
    descriptions = random.standard_normal((classes, attributes))
    followed = np.tanh(descriptions[:, :20]) @ random.standard_normal((20, NEURONS))
    return descriptions, followed + 0.1 * random.standard_normal(followed.shape)
