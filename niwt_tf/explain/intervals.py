"""Figures with 95 % intervals and, where there is one, their chance level."""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95
# So few values that are all the same have an interval without a width, which would say more than they know.
FEW = 10
_SAME = 1e-12
Figure = dict[str, float | int]


def class_mean(
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
    figure = _with_interval(_class_means(values[measured], labels[measured]), bounds)
    figure["count"] = int(measured.sum())
    if not measured.all():
        figure["left_out"] = int((~measured).sum())
    if chance is not None:
        figure["chance"] = float(_class_means(chance[measured], labels[measured]).mean())
    return figure


def plain_mean(values: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> Figure | None:
    """Return the mean of values [M] with Student's t interval, as `class_mean` does; NaN are left out."""
    measured = np.isfinite(values)
    if not measured.any():
        return None
    return _with_interval(values[measured], bounds) | {"count": int(measured.sum())}


def clustered_mean(values: np.ndarray, clusters: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> Figure:
    """Return the mean of values that are not independent within a cluster.

    Args:
        values: [M], finite, at least one.
        clusters: int [M], for instance the names that neurons share.
        bounds: as in `class_mean`.

    Returns:
        "value", "low" and "high" (Student's t interval with the cluster-robust standard error of Liang and Zeger, "Longitudinal
        data analysis using generalized linear models", 1986; absent for a single cluster and for fewer than `FEW` whose
        values are all the same), "count".
    """
    mean = float(values.mean())
    _, position = np.unique(clusters, return_inverse=True)
    sums = np.bincount(position, weights=values - mean)
    figure: Figure = {"value": mean, "count": len(values)}
    if len(sums) > 1 and not _says_nothing(values, len(sums)):
        error = math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(values)
        figure |= _interval(mean, error, len(sums) - 1, bounds)
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

    share, trials = float(hits.mean()), len(np.unique(clusters))
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / scale
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)  # rounding may put them beyond a share of 0 or 1
    return {"value": share, "low": min(low, share), "high": max(high, share), "count": len(hits)}


def _class_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    _, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.bincount(position, weights=values) / counts


def _with_interval(values: np.ndarray, bounds: tuple[float, float]) -> Figure:
    mean, count = float(values.mean()), len(values)
    if count == 1 or _says_nothing(values, count):
        return {"value": mean}
    return {"value": mean} | _interval(mean, float(values.std(ddof=1)) / math.sqrt(count), count - 1, bounds)


def _says_nothing(values: np.ndarray, count: int) -> bool:
    """Return whether all values are the same and stand for fewer than `FEW` classes."""
    return bool(count < FEW and np.ptp(values) <= _SAME)


def _interval(mean: float, error: float, freedom: int, bounds: tuple[float, float]) -> Figure:
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return {"low": max(mean - half, bounds[0]), "high": min(mean + half, bounds[1])}
