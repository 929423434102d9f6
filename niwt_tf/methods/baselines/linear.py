"""What the baselines have in common: a grid, features and descriptions on several scales, and columns made by a formula.

Dimensions: M images, D features, S seen classes, U new classes, C classes, K description entries.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.sampling import training_sample
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.base import Generator, Method
from niwt_tf.methods.baselines.column_network import ColumnNetwork, Layer
from niwt_tf.methods.formula import ColumnFormula, Columns
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.task import Task
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network

Grid = Mapping[str, tuple[float, ...]]
Values = dict[str, float]


@dataclass(frozen=True)
class GridCandidate:
    """A point of a baseline's grid.

    Attributes:
        features: "unit" (L2-normalised) or "raw".
        descriptions: a normalisation of `DescriptionNormaliser`.
        values: the method's own parameters, (name, value) each.
    """

    features: str
    descriptions: str
    values: tuple[tuple[str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat."""
        return {"features": self.features, "descriptions": self.descriptions, **dict(self.values)}


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


class FittedColumns(ABC):
    """A fitted baseline, linear in the features s(x): score = s(x) . w_c + b_c."""

    @abstractmethod
    def formula(self, normaliser: DescriptionNormaliser | None = None) -> ColumnFormula:
        """Return what makes columns of descriptions: of raw ones by a normaliser, of normalised ones without."""

    def columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns [D, C] and biases [C] of classes that are known by normalised descriptions [C, K] alone."""
        return self.formula()(descriptions)

    def seen_columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns [D, S] and biases [S] of the seen classes, whose descriptions [S, K] are; as any others by default."""
        return self.columns(descriptions)


class Fitted(FittedColumns):
    """A fitted baseline whose columns are made by a few layers."""

    # How the last layer's units p become a column and a bias: see `ColumnNetwork`.
    output: ClassVar[str] = "plain"

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """Return the layers from a normalised description [K] to the units [D] that a column is made of."""

    @property
    def output_scale(self) -> float:
        """A factor of the column, where `output` has one."""
        return 1.0

    def formula(self, normaliser: DescriptionNormaliser | None = None) -> ColumnNetwork:
        """Return what makes columns of descriptions: of raw ones by a normaliser, of normalised ones without."""
        return ColumnNetwork(normaliser, self.layers(), self.output, self.output_scale)


def nearest_mean(means: np.ndarray) -> Columns:
    """Return columns [D, S] and biases [S] whose logits are highest for the nearest of the means [S, D]."""
    return 2 * means.T, -(means**2).sum(axis=1)


@dataclass(frozen=True)
class LinearGenerator(Generator):
    """A fitted baseline with the seen classes' columns.

    Attributes:
        column_formula: from raw descriptions to columns.
        seen: columns float32 [D, S] and biases float32 [S] of the seen classes.
        unit_features: whether it takes features of length 1.
    """

    column_formula: ColumnFormula
    seen: Columns
    unit_features: bool

    def generate(self, classes: Descriptions) -> HeadParameters:
        """Return columns and biases of new classes beside those of the seen ones."""
        return HeadParameters(classes.names, self.seen, self.column_formula(classes.values), self.unit_features)

    @property
    def formula(self) -> ColumnFormula:
        """What makes columns."""
        return self.column_formula

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        seen = {"seen_columns": self.seen[0], "seen_biases": self.seen[1], "unit_features": np.array(self.unit_features)}
        return {**self.column_formula.arrays(), **seen}


@dataclass(frozen=True)
class GridMethod(Method):
    """A baseline whose candidates are the points of a grid.

    Attributes:
        name: as in `niwt_tf.config.names`.
        grid: values of each of its parameters; the first of each is taken where nothing can be chosen.
        features: kinds of features that it is tried on, "unit" or "raw".
        descriptions: normalisations of the descriptions that it is tried with.
    """

    name: str  # type: ignore[misc]
    grid: Grid
    features: tuple[str, ...] = field(default=("unit", "raw"), kw_only=True)
    descriptions: tuple[str, ...] = field(default=("l2", "centred"), kw_only=True)
    settings = ("seed",)

    @property
    def built_in(self) -> list[Any]:
        """The grid, and the kinds of features and descriptions."""
        return [{name: list(values) for name, values in self.grid.items()}, list(self.features), list(self.descriptions)]

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[GridCandidate]:
        """Return every combination of features, descriptions and the grid."""
        del settings, tasks
        points = [tuple(zip(self.grid, point, strict=True)) for point in itertools.product(*self.grid.values())]
        return [GridCandidate(*each) for each in itertools.product(self.features, self.descriptions, points)]

    def candidate_of(self, values: Mapping[str, Any]) -> GridCandidate:
        """Return the candidate whose `as_dict` is given."""
        kinds = str(values["features"]), str(values["descriptions"])
        return GridCandidate(*kinds, tuple((name, float(values[name])) for name in self.grid))


@dataclass(frozen=True)
class LinearMethod(GridMethod):
    """A baseline whose scores are linear in the features.

    Attributes:
        path: fits every combination of a grid to a sample and normalised descriptions [S, K], sharing what they can.
        formulas: the class of what makes its columns.
    """

    path: Callable[[Sample, np.ndarray, Grid], Iterator[tuple[Values, FittedColumns]]]
    formulas: type[ColumnFormula] = field(default=ColumnNetwork, kw_only=True)

    def fit(self, task: Task, candidate: GridCandidate) -> LinearGenerator:
        """Fit one candidate."""
        return next(generator for _, generator in self.fit_all(task, [candidate]))

    def fit_all(self, task: Task, candidates: Sequence[GridCandidate]) -> Iterator[tuple[GridCandidate, LinearGenerator]]:
        """Fit whole grids, in the order of `path`: candidates of the same features and descriptions share what they can."""
        for (kind, how), group in itertools.groupby(candidates, key=lambda each: (each.features, each.descriptions)):
            asked = list(group)
            grid = {name: tuple(dict.fromkeys(dict(each.values)[name] for each in asked)) for name in self.grid}
            sample = task.cached(("sample", kind), partial(sample_of, task, kind))
            normaliser = DescriptionNormaliser.fit(task.descriptions.values, how)
            seen = normaliser(task.descriptions.values)
            for values, fitted in self.path(sample, seen, grid):
                candidate = GridCandidate(kind, how, tuple((name, values[name]) for name in self.grid))
                if candidate not in asked:  # what is asked for need not be a whole grid
                    continue
                columns, biases = fitted.seen_columns(seen)
                seen_head = columns.astype(np.float32), biases.astype(np.float32)
                yield candidate, LinearGenerator(fitted.formula(normaliser), seen_head, kind == "unit")

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> LinearGenerator:
        """Return the generator whose `arrays` are given."""
        del settings, network
        seen = arrays["seen_columns"], arrays["seen_biases"]
        return LinearGenerator(self.formulas.from_arrays(arrays), seen, bool(arrays["unit_features"]))

    def formula_of(self, arrays: Mapping[str, np.ndarray]) -> ColumnFormula:
        """Return the column formula whose `arrays` are given."""
        return self.formulas.from_arrays(arrays)


def sample_of(task: Task, kind: str) -> Sample:
    """Return the features of a task's training images, "unit" or "raw"."""
    images = training_sample(task.settings, task.partition)
    features = task.features(images)
    return Sample(unit(features) if kind == "unit" else features, images.labels, task.settings.seed)
