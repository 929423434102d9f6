"""Chance: uniform scores that know nothing of image or class. What is chosen for it is the calibration alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.base import Candidate, Grid, Method, Sample, Scorer


@dataclass(frozen=True)
class RandomScores(Scorer):
    """Draws for every image and class.

    Attributes:
        generator: what they come from, one call after the other.
    """

    generator: np.random.Generator

    def scores(self, features: np.ndarray, seen: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return float32 [M, C] in [0, 1)."""
        return self.generator.random((len(features), len(seen) + len(new)), np.float32)


def draws(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Candidate, RandomScores]]:
    """Yield the one candidate that there is."""
    del descriptions, grid
    yield {}, RandomScores(np.random.default_rng([sample.seed, 19]))


METHOD = Method("random", {}, draws, features=("raw",), descriptions=("raw",))
