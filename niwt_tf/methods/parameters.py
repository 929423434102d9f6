"""What a method generates from descriptions: the parameters of a network, of its head alone or of all its layers.

Dimensions: M images, D features, S seen classes, U new classes, C = S + U classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError, require
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.task import Task
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network


class Parameters(ABC):
    """Of a network that knows the seen classes of a task and U new ones.

    Attributes:
        figures: what a method says of them, by name.
    """

    figures: Mapping[str, float]

    @abstractmethod
    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return float32 [M, S + U] before calibration, seen classes first, by a task whose network they are for."""

    @abstractmethod
    def apply(self, network: Network) -> Network:
        """Return a network with these parameters, whose head holds the seen classes and after them the new ones.

        Raises:
            InputError: they do not fit the network.
        """


@dataclass(frozen=True)
class HeadParameters(Parameters):
    """Columns and biases: the network up to its features stays as it is.

    Attributes:
        names: U.
        seen: columns float32 [D, S] and biases float32 [S] of the seen classes.
        new: columns float32 [D, U] and biases float32 [U].
        unit_features: whether features are divided by their length before the head.
        figures: by name.
        losses: float32 [steps] of a descent; [0] for what is solved at once.
    """

    names: tuple[str, ...]
    seen: Columns
    new: Columns
    unit_features: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)
    losses: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def head(self) -> Columns:
        """Columns [D, S + U] and biases [S + U], seen classes first."""
        return np.concatenate([self.seen[0], self.new[0]], axis=1), np.concatenate([self.seen[1], self.new[1]])

    def scores_of(self, features: np.ndarray) -> np.ndarray:
        """Return scores [M, S + U] of features [M, D] as they are."""
        rows = unit(features) if self.unit_features else features
        return np.concatenate([rows @ columns + biases for columns, biases in (self.seen, self.new)], axis=1)

    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return scores [M, S + U] of images by their features."""
        return self.scores_of(task.features(images))

    def apply(self, network: Network) -> Network:
        """Return the network with this head, weights shared; `network` has S classes or more, the seen ones first."""
        base = network.with_unit_features() if self.unit_features else network
        num_seen = len(self.seen[1])
        return base.with_head(*self.head, (*network.class_names[:num_seen], *self.names), num_seen)


@dataclass(frozen=True)
class NetworkParameters(Parameters):
    """Weights of any layers, and a head: the network that they make is for exactly these classes.

    Attributes:
        names: U.
        weights: new values by the path of a weight of the Keras model, as `Variable.path` gives it.
        columns: float32 [D, S + U].
        biases: float32 [S + U].
        num_seen: S.
        figures: by name.
    """

    names: tuple[str, ...]
    weights: Mapping[str, np.ndarray]
    columns: np.ndarray
    biases: np.ndarray
    num_seen: int
    figures: Mapping[str, float] = field(default_factory=dict)

    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return the logits [M, S + U] of images by a network of these parameters."""
        network = self.apply(task.network)
        network.calibration = 0.0
        return Reader(network, task.reader.execution).logits(images)

    def apply(self, network: Network) -> Network:
        """Return a network of its own layers with these weights and this head; `network` stays as it is."""
        made = network.copy()
        by_path = {weight.path: weight for weight in made.model.weights}
        for path, value in self.weights.items():
            if path not in by_path or tuple(by_path[path].shape) != np.shape(value):
                expected = f"of shape {tuple(by_path[path].shape)}" if path in by_path else "a weight of the network"
                raise InputError(f"weights[{path!r}] must be {expected}. Received: shape {np.shape(value)}.")
            require(np.isfinite(value).all(), f"weights[{path!r}] must be finite. Received: NaN or infinity.")
            by_path[path].assign(value)
        names = (*network.class_names[: self.num_seen], *self.names)
        return made.with_head(self.columns, self.biases, names, self.num_seen)
