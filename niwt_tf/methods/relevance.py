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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack
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
# Classes up to which one thread is quicker than several, and float64 quick enough.
_FEW = 256
# Bounds of theta and nu: beyond e^12 nothing changes but overflow, and where float32 rounds, e^-7 keeps a matrix definite.
_BOUND, _ROUNDED = 12.0, -7.0
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
    likelihood = Likelihood(points, gram_of(importances, sizes), np.float64 if len(points) <= _FEW else np.float32)
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
        precision: float64, or float32 for products alone, which halves their time: F is then right to six digits, and what
            is solved and summed is float64 still.
    """

    def __init__(self, points: np.ndarray, gram: np.ndarray, precision: type[np.floating[Any]] = np.float64) -> None:
        self._points, self._count = np.asfortranarray(points, precision), len(points)
        self._syrk, self._syr2, self._symm = blas.get_blas_funcs(("syrk", "syr2", "symm"), dtype=precision)
        values, vectors = np.linalg.eigh(gram)
        kept = values > _SINGULAR * max(values[-1], 1e-300)
        # G = B B', with as many columns as importances have directions.
        self._factor = np.asfortranarray(vectors[:, kept] * np.sqrt(values[kept]), precision)
        self._ones = np.ones(self._count, precision)
        self._with_ones = np.asfortranarray(np.column_stack([self._points, self._ones]))
        distances = _squared_distances(points, points)
        self._distances = np.asfortranarray(np.triu(distances))
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
        matrix = self._upper_kernel(relevances)
        value, slope, noise = self._fit_term(matrix, nu)
        inner = np.multiply(slope, matrix, out=matrix)
        # sum_cc' inner (u_cj - u_c'j)^2 for all attributes at once.
        around = self._symm(1.0, inner, self._with_ones)
        moved = 2.0 * _sums(self._points, around[:, -1:] * self._points - around[:, :-1])
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
        by_theta = -2.0 * np.exp(theta) * float((slope * matrix * distances).sum()) + 0.1 * theta
        return value + 0.05 * theta**2 + 0.05 * nu**2, np.array([by_theta, noise + 0.1 * nu])

    def fit(self, hold: float, start: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the least F and where it is, (theta, nu)."""
        first = np.zeros(self._points.shape[1] + 1) if start is None else start
        return self._least(lambda values: self(values, hold), first)

    def fit_equal(self) -> tuple[float, np.ndarray]:
        """Return the least F of equal relevances and where it is, (theta, nu)."""
        return self._least(self.equal, np.zeros(2))

    def _least(self, function: Callable[[np.ndarray], Any], first: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.optimize import minimize

        lowest = -_BOUND if self._points.dtype == np.float64 else _ROUNDED
        bounds = [*[(-_BOUND, _BOUND)] * (len(first) - 1), (lowest, _BOUND)]
        found = minimize(function, first, jac=True, method="L-BFGS-B", bounds=bounds, options=_STOP)
        return float(found.fun), found.x

    def _upper_kernel(self, relevances: np.ndarray) -> np.ndarray:
        """Return the kernel matrix of the seen classes, [S, S], right in its upper triangle."""
        scaled = self._points * np.sqrt(relevances).astype(self._points.dtype)
        matrix = self._syrk(2.0, scaled)
        matrix = self._syr2(-1.0, (scaled**2).sum(axis=1), self._ones, a=matrix, overwrite_a=True)
        return np.exp(np.minimum(matrix, 0.0, out=matrix), out=matrix)

    def _fit_term(self, matrix: np.ndarray, nu: float) -> tuple[float, np.ndarray, float]:
        """Return the part with D, its derivative by A, and that by nu; of both matrices only the upper triangle counts."""
        noise = _FIRST_NOISE * np.exp(nu)
        system = matrix.astype(np.float64)
        np.einsum("ss->s", system)[:] += noise
        inverse, log_determinant = _inverse(system)
        sums = blas.dsymv(1.0, inverse, np.ones(self._count))
        total = float(sums.sum())
        # Of A^-1 as of P, [S, S], only the upper triangle is right.
        dual = blas.dsyr(-1.0 / total, sums, a=inverse, overwrite_a=True).astype(self._points.dtype, copy=False)
        moved = self._symm(1.0, dual, self._factor)
        left = float(_sums(moved, self._factor).sum())
        half = self._directions / 2
        slope = self._syrk(-half * (self._count - 1) / left, moved, beta=half, c=dual, overwrite_c=True)
        logs = log_determinant + np.log(total)
        return half * (logs + (self._count - 1) * np.log(left)), slope, noise * float(np.trace(slope))


def _sums(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the sum of the products of each column."""
    return np.einsum("sk,sk->k", left, right, dtype=np.float64)


def _inverse(system: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the inverse of a positive definite matrix, of both the upper triangle, and the log of its determinant.

    Raises:
        np.linalg.LinAlgError: it is not positive definite.
    """
    upper, failed = lapack.dpotrf(system, clean=False, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError("the kernel matrix is not positive definite")
    log_determinant = 2.0 * float(np.log(np.diag(upper)).sum())
    return lapack.dpotri(upper, overwrite_c=True)[0], log_determinant


def _dual(matrix: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return P [S, S] and A^-1 1 / (1' A^-1 1), [S], of a kernel matrix."""
    upper = np.triu(_inverse(matrix + noise * np.eye(len(matrix)))[0])
    inverse = upper + np.triu(upper, 1).T
    sums = inverse.sum(axis=1)
    return inverse - np.outer(sums, sums) / sums.sum(), sums / sums.sum()


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * (left @ right.T)
    return np.maximum(found, 0.0)
