"""Means, paired differences and ranks over problems (seeds, splits), with Student's 95 % intervals.

A problem is what varies: other classes, other images. An interval needs two problems; of one there is none. Figures that differ
by less than rounding are the same, so that ties stay ties and differences without variance have no chance direction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_DIGITS = 12  # of a fraction; what is beyond is rounding


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
    mean = float(rounded.mean())
    if len(rounded) < 2:
        return Mean(mean, None, 1)
    from scipy.stats import t as student

    deviation = 0.0 if np.ptp(rounded) == 0 else float(rounded.std(ddof=1))
    return Mean(mean, float(student.ppf(0.975, len(rounded) - 1)) * deviation / math.sqrt(len(rounded)), len(rounded))


def paired_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of the paired t test by its differences; None for fewer than two.

    Differences without variance speak for themselves: 1 where they are 0, 0 where they are not.
    """
    if len(differences) < 2:
        return None
    rounded = np.round(np.asarray(differences, np.float64), _DIGITS)
    if np.ptp(rounded) == 0:
        return 1.0 if rounded[0] == 0 else 0.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(rounded, 0.0).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for their number: Holm, "A simple sequentially rejective multiple test procedure" (1979)."""
    adjusted, highest = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = highest
    return adjusted


def ranks(scores: np.ndarray) -> np.ndarray:
    """Return ranks [P, K] of K methods on P problems by scores [P, K]: 1 is the highest, equal ones share the average."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.round(scores, _DIGITS), method="average", axis=1))
