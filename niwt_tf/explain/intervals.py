"""Figures with 95 % intervals and, where there is one, their chance level."""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95
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
        others), "count" of the images, "left_out" if there are any, "chance" if given. None where no image was measured.
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


def proportion(hits: int, count: int) -> Figure:
    """Return hits / count with Wilson's interval; `count` is at least 1."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(CONFIDENCE, method="wilson")
    return {"value": hits / count, "low": float(interval.low), "high": float(interval.high), "count": count}


def _class_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    _, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.bincount(position, weights=values) / counts


def _with_interval(values: np.ndarray, bounds: tuple[float, float]) -> Figure:
    from scipy.stats import t

    mean, count = float(values.mean()), len(values)
    if count == 1:
        return {"value": mean}
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return {"value": mean, "low": max(mean - half, bounds[0]), "high": min(mean + half, bounds[1])}
