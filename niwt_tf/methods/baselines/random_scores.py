"""Chance: uniform scores that know nothing of image or class. What is chosen for it is the calibration alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions, Images
from niwt_tf.methods.base import Generator, Method
from niwt_tf.methods.parameters import Parameters
from niwt_tf.methods.task import Task
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class RandomParameters(Parameters):
    """Draws for every image and class: no network gives such scores.

    Attributes:
        generator: what they come from, one call after the other.
        num_classes: C.
        figures: none.
    """

    generator: np.random.Generator
    num_classes: int
    figures: Mapping[str, float] = field(default_factory=dict)

    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return float32 [M, C] in [0, 1)."""
        del task
        return self.generator.random((len(images), self.num_classes), np.float32)

    def apply(self, network: Network) -> Network:
        """Refuse: a network's answer follows from its image."""
        raise TypeError("Random scores are a floor to compare with, not a network.")


@dataclass(frozen=True)
class RandomGenerator(Generator):
    """Gives scores for any classes.

    Attributes:
        generator: of the draws.
        num_seen: S.
    """

    generator: np.random.Generator
    num_seen: int

    def generate(self, classes: Descriptions) -> RandomParameters:
        """Return what draws scores for the seen classes and new ones."""
        return RandomParameters(self.generator, self.num_seen + len(classes))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return nothing: there is nothing to keep."""
        return {}


@dataclass(frozen=True)
class _Only:
    def as_dict(self) -> dict[str, Any]:
        return {"features": "raw", "descriptions": "raw"}


class RandomScores(Method):
    """The one candidate that there is."""

    name = "random"
    settings = ("seed",)

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[_Only]:
        """Return one candidate."""
        del settings, tasks
        return [_Only()]

    def fit(self, task: Task, candidate: Any) -> RandomGenerator:
        """Return draws of a seed of their own."""
        del candidate
        return RandomGenerator(np.random.default_rng([task.settings.seed, 19]), task.num_seen)

    def candidate_of(self, values: Mapping[str, Any]) -> _Only:
        """Return the one candidate."""
        del values
        return _Only()

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> RandomGenerator:
        """Return draws from the beginning."""
        del arrays
        return RandomGenerator(np.random.default_rng([settings.seed, 19]), network.num_seen)


METHOD = RandomScores()
