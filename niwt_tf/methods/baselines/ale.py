"""ALE: "Label-Embedding for Image Classification" (Akata et al., CVPR 2013, TPAMI 2016), by its weighted approximate ranking.

A class scores x' W k, with x and k of length 1. For an image of class c other classes are drawn, with replacement, until one
violates the margin: x' W k_y + 1 > x' W k_c. Where the t-th draw does (of at most S - 1), W goes along
beta(floor((S - 1) / t)) x (k_c - k_y)', beta(r) = 1 + 1/2 + ... + 1/r. W starts at 0.

One thing differs from the paper: the images of a small batch are asked about the same W, and their steps are added.

Dimensions: M images, B images of a batch, D features, S seen classes, C classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values

_BATCH = 8


@dataclass(frozen=True)
class ALE(Fitted):
    """The bilinear compatibility x' W k.

    Attributes:
        compatibility: float32 [D, K].
    """

    compatibility: np.ndarray

    def layers(self) -> tuple[Layer, ...]:
        """Return W k."""
        return (Layer(self.compatibility.T, np.zeros(len(self.compatibility), np.float32)),)


def ranking_weights(num_classes: int) -> np.ndarray:
    """Return the weight [S] of a violation at the t-th draw, beta(floor((S - 1) / t)); that of t = 0 is 0."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, num_classes))])
    return np.concatenate([[0.0], harmonic[(num_classes - 1) // np.arange(1, num_classes)]])


def ranking_step(scores: np.ndarray, labels: np.ndarray, draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients [B, S] of the classes' descriptions in each image's step.

    Args:
        scores: [B, S].
        labels: [B].
        draws: [B, S - 1], classes in the order in which they are drawn, none of them the image's own.
        weights: of `ranking_weights`.
    """
    rows = np.arange(len(labels))
    violates = scores[rows[:, None], draws] + 1 > scores[rows, labels][:, None]
    first = violates.argmax(axis=1)
    weight = np.where(violates[rows, first], weights[first + 1], 0.0)
    coefficients = np.zeros_like(scores)
    coefficients[rows, labels] += weight
    coefficients[rows, draws[rows, first]] -= weight
    return coefficients


def trained(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, ALE]]:
    """Train once for each rate; the numbers of epochs are stops on the way."""
    features, labels = sample.features.astype(np.float32), sample.labels
    described = descriptions.astype(np.float32)
    count, num_classes = len(labels), len(described)
    weights = ranking_weights(num_classes).astype(np.float32)
    for rate in grid["learning_rate"]:
        generator = np.random.default_rng([sample.seed, 13])
        compatibility, done = np.zeros((features.shape[1], described.shape[1]), np.float32), 0
        for epochs in sorted(grid["epochs"]):
            for _ in range(int(epochs) - done):
                order = generator.permutation(count)
                draws = drawn_classes(generator, labels[order], num_classes)
                for start in range(0, count, _BATCH):
                    batch = order[start : start + _BATCH]
                    rows = features[batch]
                    scores = (rows @ compatibility) @ described.T
                    steps = ranking_step(scores, labels[batch], draws[start : start + _BATCH], weights)
                    compatibility += rate * (rows.T @ (steps @ described))
            done = int(epochs)
            yield {"learning_rate": rate, "epochs": epochs}, ALE(compatibility.copy())


def drawn_classes(generator: np.random.Generator, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return S - 1 draws, with replacement, of a class other than the image's own for each label: [M, S - 1]."""
    draws = generator.integers(0, num_classes - 1, (len(labels), num_classes - 1))
    return draws + (draws >= labels[:, None])


METHOD = LinearMethod(
    "ale", {"learning_rate": (0.01, 0.03, 0.1, 0.3), "epochs": (1.0, 3.0, 10.0, 30.0)}, trained, features=("unit",)
)
