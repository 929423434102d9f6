"""What every method is to the protocol: a grid of candidates, and for each what scores features, linear in them but for chance.

Dimensions: M images, D features, S seen classes, C classes, K description entries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

Columns = tuple[np.ndarray, np.ndarray]
Candidate = dict[str, float]
Grid = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Sample:
    """Features of training images of seen classes. What several candidates need of them is computed once.

    Attributes:
        features: float32 [M, D], "unit" (L2-normalised) or "raw".
        labels: int [M] in 0..S-1.
        seed: of whatever a method draws.
    """

    features: np.ndarray
    labels: np.ndarray
    seed: int = 0
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    def cached(self, key: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        """Return what `compute` gives, computed once for a key: for what does not depend on descriptions."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues [D] and eigenvectors [D, D] of X'X, float64."""
        rows = self.features.astype(np.float64)
        values, vectors = np.linalg.eigh(rows.T @ rows)
        return values, vectors

    @cached_property
    def class_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the features of each class, float64 [S, D], and how many images they are of, [S]."""
        counts = np.bincount(self.labels)
        sums = np.zeros((len(counts), self.features.shape[1]))
        np.add.at(sums, self.labels, self.features.astype(np.float64))
        return sums, counts

    @property
    def class_means(self) -> np.ndarray:
        """Means of the features of each class, float64 [S, D]."""
        sums, counts = self.class_sums
        return sums / np.maximum(counts, 1)[:, None]


class Scorer(ABC):
    """A fitted method: scores of features, as they are or L2-normalised."""

    @abstractmethod
    def scores(self, features: np.ndarray, seen: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return scores [M, C] of features [M, D], for normalised descriptions of seen classes [S, K] and new ones [U, K]."""


class LinearScorer(Scorer):
    """A fitted method that is linear in the features s(x), and so can be a network's head: score = s(x) . w_c + b_c."""

    @abstractmethod
    def columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns [D, C] and biases [C] of classes that are known by normalised descriptions [C, K] alone."""

    def seen_columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns [D, S] and biases [S] of the seen classes, whose descriptions [S, K] are; as any others by default."""
        return self.columns(descriptions)

    def head(self, seen: np.ndarray, new: np.ndarray) -> Columns:
        """Return float32 columns [D, C] and biases [C] of the seen classes and after them of new ones."""
        parts = self.seen_columns(seen), self.columns(new)
        columns = np.concatenate([part[0] for part in parts], axis=1)
        return columns.astype(np.float32), np.concatenate([part[1] for part in parts]).astype(np.float32)

    def scores(self, features: np.ndarray, seen: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return scores [M, C] of features [M, D]."""
        columns, biases = self.head(seen, new)
        return features @ columns + biases


@dataclass(frozen=True)
class Method:
    """A method under the protocol.

    Attributes:
        name: as in `niwt_tf.config.names`.
        grid: values of each of its parameters.
        path: fits every combination of a grid to a sample and normalised descriptions [S, K], sharing what they can.
        features: kinds of features that it is tried on, "unit" or "raw".
        descriptions: normalisations of the descriptions that it is tried with.
    """

    name: str
    grid: Grid
    path: Callable[[Sample, np.ndarray, Grid], Iterator[tuple[Candidate, Scorer]]]
    features: tuple[str, ...] = ("unit", "raw")
    descriptions: tuple[str, ...] = ("l2", "centred")

    def fit(self, sample: Sample, descriptions: np.ndarray, candidate: Mapping[str, float]) -> Scorer:
        """Fit one candidate to a sample and the normalised descriptions [S, K] of its classes."""
        single = {name: (candidate[name],) for name in self.grid}
        return next(fitted for _, fitted in self.path(sample, descriptions, single))
