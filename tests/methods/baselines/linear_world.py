"""A linear world: features are descriptions through a mixing matrix, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.linear import FittedColumns, LinearMethod, Sample
from niwt_tf.metrics.ranks import unit

# One point of each grid, of networks and trainings that are small.
SMALL = {
    "ale": {"learning_rate": 0.1, "epochs": 2.0},
    "dem": {"hidden": 16.0, "learning_rate": 1e-2, "weight_decay": 1e-5, "steps": 50.0},
    "eszsl": {"gamma": 0.1, "lambda": 0.1},
    "sync": {"lambda": 2.0**-9, "sigma": 2.0},
    "cnzsl": {"hidden": 16.0, "learning_rate": 5e-3, "scale": 5.0, "epochs": 2.0},
    "sae": {"lambda": 1.0, "decoder": 1.0},
    "class_mean": {"penalty": 0.1},
    "class_mean_gp": {},
}


@dataclass(frozen=True)
class LinearWorld:
    """Training images of 9 seen classes, and images of 3 others."""

    sample: Sample
    seen: np.ndarray
    new: np.ndarray
    unseen_features: np.ndarray
    unseen_labels: np.ndarray

    def fit(self, method: LinearMethod, **candidate: float) -> FittedColumns:
        """Fit the first candidate of the grid, but for what is given."""
        first = {name: values[0] for name, values in method.grid.items()} | candidate
        return fit_one(method, self.sample, self.seen, first)

    def unseen_accuracy(self, fitted: FittedColumns) -> float:
        """Return the share of images of unseen classes that get their name, when only those compete."""
        scores = scores_of(fitted, self.unseen_features, self.seen, self.new)[:, len(self.seen) :]
        return float((scores.argmax(axis=1) == self.unseen_labels).mean())


def fit_one(method: LinearMethod, sample: Sample, descriptions: np.ndarray, values: Mapping[str, float]) -> FittedColumns:
    """Fit one point of a grid to a sample and the normalised descriptions [S, K] of its classes."""
    path = method.path(sample, descriptions, {name: (values[name],) for name in method.grid})
    return next(fitted for _, fitted in path)


def scores_of(fitted: FittedColumns, features: np.ndarray, seen: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the scores [M, S + U] of features, for normalised descriptions of seen and of new classes."""
    parts = fitted.seen_columns(seen), fitted.columns(new)
    return np.concatenate([features @ columns + biases for columns, biases in parts], axis=1)


def linear_world(kind: str = "raw", images: int = 20, seed: int = 1) -> LinearWorld:
    """Return the world with "raw" or "unit" features; descriptions have length 1."""
    generator = np.random.default_rng(seed)
    descriptions = unit(generator.normal(size=(12, 4))).astype(np.float32)
    labels = np.repeat(np.arange(12), images)
    features = descriptions[labels] @ generator.normal(size=(4, 10)) + 0.05 * generator.normal(size=(12 * images, 10))
    features = (unit(features) if kind == "unit" else features).astype(np.float32)
    seen = labels < 9
    sample = Sample(features[seen], labels[seen])
    return LinearWorld(sample, descriptions[:9], descriptions[9:], features[~seen], labels[~seen] - 9)
