"""Stage 2 by a Gaussian process over the seen classes, whose attribute relevances are learnt from importances.

Most attributes of a table say nothing of what a network's neurons follow, and drown those that do. Here each attribute j has a
relevance r_j: classes c and c' are alike by K(c, c') = exp(-sum_j r_j (u_cj - u_c'j)^2), u being normalised descriptions. The
importance of a class u is the process's mean where that of the seen classes, with an unknown constant, is known (universal
kriging; Rasmussen and Williams 2006, chapters 2.7 and 5.4.1):

    alpha_u = sum_c h_uc alpha_c,   h_u = P k_u + A^-1 1 / (1' A^-1 1),   A = K + p I,   P = A^-1 - A^-1 1 1' A^-1 / (1' A^-1 1)

so that a description gives weights h over the seen classes, which sum to 1, and all that follows is linear in importances. What
is said of importances here holds for any other vectors of the seen classes.
Relevances maximise the marginal likelihood of the importances, with their scale left out; with few classes they fit noise, so
they are used only where they explain the importances far better than equal ones do.

Dimensions: S seen classes, U classes, K description entries, E kernels, N neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.metrics.ranks import mean_rank_correlation

# What the relevances must take off the negative log likelihood (with its penalty) to be used.
WARRANTED = 5.0
# Kernels of equal relevances, averaged where learnt ones are not warranted: widths, and their noise.
WIDTHS, NOISE = (0.5, 1.0, 2.0), 0.2
# How much relevances are held to their mean, and multiples of the fitted noise: averaged where they are warranted.
HOLDS, NOISE_MULTIPLES = (0.3, 1.0), (1.0, 4.0)
_FIRST_NOISE, _STOP = 0.1, {"maxiter": 40, "ftol": 1e-5}
# Classes up to which one thread is quicker than several.
_FEW = 256
# Below this share of the largest eigenvalue a direction of importances is rounding.
_SINGULAR = 1e-12


@dataclass(frozen=True)
class RelevanceMap:
    """Description -> weights over the seen classes, by E kernels of equal weight.

    Attributes:
        normaliser: applied to raw descriptions first.
        points: float64 [S, K], normalised descriptions of the seen classes.
        relevances: float64 [E, K], r: by how much a squared difference of an attribute sets two classes apart.
        duals: float64 [E, S, S], P.
        constants: float64 [E, S], A^-1 1 / (1' A^-1 1).
        warrant: by how much learnt relevances lower the negative log likelihood; they are used above `WARRANTED`.
        rank_correlation: mean Spearman correlation of predicted and observed importance of each seen class left out.
    """

    normaliser: DescriptionNormaliser
    points: np.ndarray
    relevances: np.ndarray
    duals: np.ndarray
    constants: np.ndarray
    warrant: float = 0.0
    rank_correlation: float = float("nan")

    @property
    def is_warranted(self) -> bool:
        """Whether the relevances are learnt ones."""
        return self.warrant > WARRANTED

    def weights(self, descriptions: np.ndarray) -> np.ndarray:
        """Return h, float64 [E, U, S], of raw descriptions [U, K]; each class's weights sum to 1."""
        normalised = self.normaliser(np.asarray(descriptions, np.float64))
        kernels = np.stack([kernel(normalised, self.points, each) for each in self.relevances])
        return kernels @ self.duals + self.constants[:, None, :]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name; `from_arrays` takes them back."""
        return {
            "normalisation": np.array(self.normaliser.how),
            "centre": self.normaliser.centre,
            "points": self.points,
            "relevances": self.relevances,
            "duals": self.duals,
            "constants": self.constants,
            "warrant": np.array(self.warrant),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> RelevanceMap:
        """Return what `arrays` gave, or variables of float32 of the same names; other names are passed over."""
        normaliser = DescriptionNormaliser(str(arrays["normalisation"]), arrays["centre"])
        points, relevances, duals, constants = (
            np.asarray(arrays[name], np.float64) for name in ("points", "relevances", "duals", "constants")
        )
        correlation = float(arrays.get("map_rank_correlation", float("nan")))
        return cls(normaliser, points, relevances, duals, constants, float(arrays["warrant"]), correlation)


def kernel(left: np.ndarray, right: np.ndarray, relevances: np.ndarray) -> np.ndarray:
    """Return exp(-sum_j r_j (l_j - r_j)^2), [L, R], of normalised descriptions [L, K] and [R, K]."""
    roots = np.sqrt(relevances)
    scaled = left * roots
    return np.exp(-_squared_distances(scaled, scaled if right is left else right * roots))


def fit_relevance_map(
    descriptions: np.ndarray, importances: np.ndarray, sizes: tuple[int, ...] | None = None, *, normalisation: str = "centred"
) -> RelevanceMap:
    """Fit Stage 2 by relevances where they are warranted, else by three kernels of equal relevances (`--map=relevance`).

    Args:
        descriptions: raw [S, K] of the seen classes.
        importances: [S, N], their lengths kept; of several layers one after the other.
        sizes: neurons of each layer, summing to N; each layer counts the same. None is one layer.
        normalisation: see `DescriptionNormaliser`.
    """
    normaliser = DescriptionNormaliser.fit(descriptions, normalisation)
    points = normaliser(np.asarray(descriptions, np.float64))
    # The threads of two linear algebra libraries, NumPy's and SciPy's, wait for each other longer than small matrices take.
    with threadpool_limits(1 if len(points) <= _FEW else None):
        return _fitted(normaliser, points, importances, sizes or (importances.shape[1],))


def _fitted(
    normaliser: DescriptionNormaliser, points: np.ndarray, importances: np.ndarray, sizes: tuple[int, ...]
) -> RelevanceMap:
    likelihood = Likelihood(points, gram_of(importances, sizes))
    kernels = [(np.full(points.shape[1], width) / likelihood.scale, NOISE) for width in WIDTHS]
    warrant = 0.0
    if likelihood.is_defined:
        equal, _ = likelihood.fit_equal()
        first, fitted = likelihood.fit(HOLDS[0])
        warrant = equal - first
        if warrant > WARRANTED:
            learnt = [fitted, *(likelihood.fit(hold, start=fitted)[1] for hold in HOLDS[1:])]
            kernels = [
                (np.exp(each[:-1]) / likelihood.scale, _FIRST_NOISE * np.exp(each[-1]) * multiple)
                for each in learnt
                for multiple in NOISE_MULTIPLES
            ]
    solved = [_dual(kernel(points, points, relevances), noise) for relevances, noise in kernels]
    duals, constants = (np.stack([each[part] for each in solved]) for part in (0, 1))
    relevances = np.stack([each for each, _ in kernels])
    # A class that is left out is predicted by alpha - P alpha / diag P.
    means = np.mean([each / np.maximum(np.diag(each), 1e-300)[:, None] for each in duals], axis=0)
    correlation = mean_rank_correlation(importances - means @ importances, importances) if len(points) > 2 else float("nan")
    return RelevanceMap(normaliser, points, relevances, duals, constants, warrant, correlation)


def gram_of(importances: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return the Gram matrix [S, S] of importances [S, N] less their mean, in which each layer has the same trace."""
    total = np.zeros((len(importances),) * 2)
    for part in np.split(np.asarray(importances, np.float64), np.cumsum(sizes)[:-1], axis=1):
        centred = part - part.mean(axis=0)
        gram = centred @ centred.T
        if np.trace(gram) > _SINGULAR * float((part**2).sum()):  # else what is left is rounding
            total += gram / np.trace(gram)
    return total


class Likelihood:
    """The negative log marginal likelihood of importances, as a function of log relevances theta [K] and of a log noise nu.

    F = D/2 (log|A| + log(1' A^-1 1) + (S - 1) log tr(P G)) + hold/2 sum_j (theta_j - mean theta)^2 + 0.05 (mean theta)^2
    + 0.05 nu^2, with K = exp(-sum_j e^theta_j delta_j / s), s the mean of sum_j delta_j over pairs of classes, p = 0.1 e^nu,
    and D = (tr G)^2 / tr G^2 the number of directions that importances effectively take: neurons are far from independent.

    Args:
        points: float64 [S, K], normalised descriptions.
        gram: float64 [S, S], G: of importances less their mean.
    """

    def __init__(self, points: np.ndarray, gram: np.ndarray) -> None:
        self._points, self._count = points, len(points)
        values, vectors = np.linalg.eigh(gram)
        kept = values > _SINGULAR * max(values[-1], 1e-300)
        # G = B B', with as many columns as importances have directions.
        self._factor = vectors[:, kept] * np.sqrt(values[kept])
        distances = _squared_distances(points, points)
        self._distances = distances
        self.scale = float(distances.sum() / max(self._count * (self._count - 1), 1)) or 1.0
        squares = float((gram**2).sum())
        self._directions = float(np.trace(gram)) ** 2 / squares if squares > 0 else 0.0

    @property
    def is_defined(self) -> bool:
        """Whether there is anything to learn: importances and descriptions that differ, of three classes or more."""
        return self._count > 2 and self._directions > 0 and bool(self._distances.any())

    def __call__(self, values: np.ndarray, hold: float) -> tuple[float, np.ndarray]:
        """Return F and its gradient at (theta, nu), [K + 1]."""
        theta, nu = values[:-1], values[-1]
        relevances = np.exp(theta) / self.scale
        matrix = kernel(self._points, self._points, relevances)
        value, slope, noise = self._fit_term(matrix, nu)
        inner = slope * matrix
        # sum_cc' inner (u_cj - u_c'j)^2 for all attributes at once.
        moved = 2.0 * (inner.sum(axis=1) @ self._points**2 - (self._points * (inner @ self._points)).sum(axis=0))
        mean = theta.mean()
        deviations = theta - mean
        value += hold / 2 * float(deviations @ deviations) + 0.05 * mean**2 + 0.05 * nu**2
        by_theta = -relevances * moved + hold * deviations + 0.1 * mean / len(theta)
        return value, np.append(by_theta, noise + 0.1 * nu)

    def equal(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return F and its gradient at (theta, nu) where all relevances are e^theta."""
        theta, nu = values
        distances = self._distances / self.scale
        matrix = np.exp(-np.exp(theta) * distances)
        value, slope, noise = self._fit_term(matrix, nu)
        by_theta = -np.exp(theta) * float((slope * matrix * distances).sum()) + 0.1 * theta
        return value + 0.05 * theta**2 + 0.05 * nu**2, np.array([by_theta, noise + 0.1 * nu])

    def fit(self, hold: float, start: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the least F and where it is, (theta, nu)."""
        first = np.zeros(self._points.shape[1] + 1) if start is None else start
        return _least(lambda values: self(values, hold), first)

    def fit_equal(self) -> tuple[float, np.ndarray]:
        """Return the least F of equal relevances and where it is, (theta, nu)."""
        return _least(self.equal, np.zeros(2))

    def _fit_term(self, matrix: np.ndarray, nu: float) -> tuple[float, np.ndarray, float]:
        """Return the part with D, its derivative by A, and that by nu."""
        noise = _FIRST_NOISE * np.exp(nu)
        # SciPy brings a linear algebra library of its own, whose threads and NumPy's would wait for each other.
        system = matrix + noise * np.eye(self._count)
        lower = np.linalg.cholesky(system)
        inverse = np.linalg.inv(system)
        sums = inverse.sum(axis=1)
        total = float(sums.sum())
        dual = inverse - np.outer(sums, sums) / total
        moved = dual @ self._factor
        left = float((moved * self._factor).sum())
        half = self._directions / 2
        logs = 2.0 * float(np.log(np.diag(lower)).sum()) + np.log(total)
        slope = half * (dual - (self._count - 1) / left * (moved @ moved.T))
        return half * (logs + (self._count - 1) * np.log(left)), slope, noise * float(np.trace(slope))


def _least(function, first: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[no-untyped-def]
    from scipy.optimize import minimize

    # Beyond e^12 nothing changes but overflow.
    found = minimize(function, first, jac=True, method="L-BFGS-B", bounds=[(-12, 12)] * len(first), options=_STOP)
    return float(found.fun), found.x


def _dual(matrix: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return P [S, S] and A^-1 1 / (1' A^-1 1), [S], of a kernel matrix."""
    inverse = np.linalg.inv(matrix + noise * np.eye(len(matrix)))
    inverse = (inverse + inverse.T) / 2
    sums = inverse.sum(axis=1)
    return inverse - np.outer(sums, sums) / sums.sum(), sums / sums.sum()


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * (left @ right.T)
    return np.maximum(found, 0.0)
