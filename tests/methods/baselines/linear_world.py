"""A linear world: features are descriptions through a mixing matrix, with noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.base import LinearScorer, Method, Sample
from niwt_tf.metrics.ranks import unit


@dataclass(frozen=True)
class LinearWorld:
    """Training images of 9 seen classes, and images of 3 others."""

    sample: Sample
    seen: np.ndarray
    new: np.ndarray
    unseen_features: np.ndarray
    unseen_labels: np.ndarray

    def fit(self, method: Method, **candidate: float) -> LinearScorer:
        """Fit the first candidate of the grid, but for what is given."""
        first = {name: values[0] for name, values in method.grid.items()}
        return method.fit(self.sample, self.seen, {**first, **candidate})

    def unseen_accuracy(self, fitted: LinearScorer) -> float:
        """Return the share of images of unseen classes that get their name, when only those compete."""
        scores = fitted.scores(self.unseen_features, self.seen, self.new)[:, len(self.seen) :]
        return float((scores.argmax(axis=1) == self.unseen_labels).mean())


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
