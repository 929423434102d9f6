"""Figures with 95 % intervals: over images, classes, clusters or problems, and comparisons over problems.

A problem (a seed, a split) is what varies: other classes, other images. Intervals of means are Student's; one value has none.
Figures over problems that differ by less than rounding are the same, so that ties stay ties and differences without variance
have no chance direction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
# So few values that are all the same have an interval without a width, which would say more than they know.
FEW = 10
_SAME = 1e-12
_DIGITS = 12  # of a fraction; what is beyond is rounding
Figure = dict[str, float | int]


def mean_over_classes(
    values: np.ndarray, labels: np.ndarray, chance: np.ndarray | None = None, bounds: tuple[float, float] = (0.0, 1.0)
) -> Figure | None:
    """Return the mean over classes of the class means, so that every class counts the same.

    Args:
        values: [M], NaN for an image that could not be measured; it is left out and counted.
        labels: int [M], the images' classes.
        chance: [M], what each image would have by chance, or None.
        bounds: between which values are; an interval does not go beyond.

    Returns:
        "value", "low" and "high" (Student's t interval over the classes; absent for a single class, which says nothing of
        others, and for fewer than `FEW` that are all the same), "count" of the images, "left_out" if there are any, "chance"
        if given. None where no image was measured.
    """
    measured = np.isfinite(values)
    if not measured.any():
        return None
    _, position, counts = np.unique(labels[measured], return_inverse=True, return_counts=True)
    figure = _independent_mean(np.bincount(position, weights=values[measured]) / counts, bounds)
    figure["count"] = int(measured.sum())
    if not measured.all():
        figure["left_out"] = int((~measured).sum())
    if chance is not None:
        figure["chance"] = float((np.bincount(position, weights=chance[measured]) / counts).mean())
    return figure


def plain_mean(values: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> Figure | None:
    """Return the mean of values [M] with Student's t interval, as `mean_over_classes` does; NaN are left out."""
    measured = values[np.isfinite(values)]
    return _independent_mean(measured, bounds) if len(measured) else None


def clustered_mean(values: np.ndarray, clusters: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> Figure:
    """Return the mean of values that are not independent within a cluster.

    Args:
        values: [M], finite, at least one.
        clusters: int [M], for instance the names that neurons share.
        bounds: as in `mean_over_classes`.

    Returns:
        "value", "low" and "high" (Student's t interval with the cluster-robust standard error of Liang and Zeger, "Longitudinal
        data analysis using generalized linear models", 1986; absent for a single cluster and for fewer than `FEW` whose
        values are all the same), "count".
    """
    mean = float(values.mean())
    _, position = np.unique(clusters, return_inverse=True)
    sums = np.bincount(position, weights=values - mean)
    figure: Figure = {"value": mean, "count": len(values)}
    if len(sums) > 1 and (len(sums) >= FEW or np.ptp(values) > _SAME):
        half = _half(math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(values), len(sums))
        figure |= {"low": max(mean - half, bounds[0]), "high": min(mean + half, bounds[1])}
    return figure


def clustered_share(hits: np.ndarray, clusters: np.ndarray) -> Figure:
    """Return the share of hits, bool [M], with Wilson's interval (1927) for as many trials as there are clusters.

    That is as if all members of a cluster said the same: on the wide side where they do not. At shares of 0 and 1, where the
    error of `clustered_mean` is 0, it still has a width.

    Args:
        hits: bool [M], at least one.
        clusters: int [M], as in `clustered_mean`.
    """
    from scipy.stats import norm

    # SciPy's Wilson interval takes whole numbers of hits alone.
    share, trials = float(hits.mean()), len(np.unique(clusters))
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / scale
    # Rounding may put an end beyond a share of 0 or 1.
    low, high = max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)
    return {"value": share, "low": low, "high": high, "count": len(hits)}


def bootstrapped(
    statistic: Callable[[np.ndarray], float], clusters: np.ndarray, *, resamples: int = 2000, seed: int = 0
) -> Figure:
    """Return a statistic of M rows with its percentile bootstrap interval (Efron 1979), drawn over whole clusters.

    Args:
        statistic: takes the rows, int [..], some of them more than once.
        clusters: int [M], what rows that are not independent share, for instance their classes.
        resamples: how many samples are drawn.
        seed: of the draws.

    Returns:
        "value", "low" and "high" (absent for a single cluster), "count".
    """
    from scipy.stats import bootstrap

    groups = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    figure: Figure = {"value": float(statistic(np.arange(len(clusters)))), "count": len(clusters)}
    if len(groups) > 1:
        found = bootstrap(
            (np.arange(len(groups)),), lambda drawn: statistic(np.concatenate([groups[int(each)] for each in drawn])),
            n_resamples=resamples, vectorized=False, confidence_level=CONFIDENCE, method="percentile",
            rng=np.random.default_rng(seed)
        ).confidence_interval
        figure |= {"low": float(found.low), "high": float(found.high)}
    return figure


@dataclass(frozen=True)
class Mean:
    """A mean over problems.

    Attributes:
        value: the mean.
        half: half the width of its 95 % interval; None for one problem.
        count: number of problems.
    """

    value: float
    half: float | None
    count: int

    def __format__(self, form: str) -> str:
        """Return "value ± half", or the value where there is no interval, each in this form."""
        return f"{self.value:{form}}" + ("" if self.half is None else f" ± {self.half:{form.lstrip('+')}}")

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half is None else self.value + self.half

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 is outside the interval; False where there is none."""
        return self.half is not None and abs(self.value) > self.half


def mean_of(values: Sequence[float]) -> Mean | None:
    """Return the mean and Student's t interval of figures of several problems; None without any."""
    if not values:
        return None
    rounded = np.round(np.asarray(values, np.float64), _DIGITS)
    count, mean = len(rounded), float(rounded.mean())
    if count < 2:
        return Mean(mean, None, 1)
    return Mean(mean, _half(float(rounded.std(ddof=1)) / math.sqrt(count), count) if np.ptp(rounded) else 0.0, count)


def paired_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of the paired t test by its differences; None for fewer than two.

    Differences without variance speak for themselves: 1 where they are 0, 0 where they are not.
    """
    from scipy.stats import ttest_1samp

    if len(differences) < 2:
        return None
    rounded = np.round(np.asarray(differences, np.float64), _DIGITS)
    return float(ttest_1samp(rounded, 0.0).pvalue if np.ptp(rounded) else rounded[0] == 0)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for their number: Holm, "A simple sequentially rejective multiple test procedure" (1979)."""
    names = sorted(p_values, key=p_values.__getitem__)
    steps = [min(1.0, (len(names) - place) * p_values[name]) for place, name in enumerate(names)]
    return dict(zip(names, itertools.accumulate(steps, max), strict=True))


def ranks(scores: np.ndarray) -> np.ndarray:
    """Return ranks [P, K] of K methods on P problems by scores [P, K]: 1 is the highest, equal ones share the average."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.round(scores, _DIGITS), axis=1))


def _independent_mean(values: np.ndarray, bounds: tuple[float, float]) -> Figure:
    return clustered_mean(values, np.arange(len(values)), bounds)


def _half(error: float, count: int) -> float:
    """Return half the width of Student's interval of a mean of so many values with this standard error."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error


def or_none(value: float | int | None) -> float | int | None:
    """Return a figure, or None in place of NaN and infinity, which JSON does not have."""
    return None if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
