"""What float32's rounding leaves open: whether values differ at all, and how a number is best written."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-6  # values whose range is below this part of their size differ by float32's rounding alone
_TWO_DECIMALS = 0.1  # two decimals are at least two significant digits from here on


def varied(values: np.ndarray) -> np.ndarray:
    """Return which columns of values [S, M] differ between rows by more than rounding, bool [M]."""
    return np.asarray(np.ptp(values, axis=0) > _ROUNDING * np.abs(values).max(axis=0))


def shortest(value: float | np.floating) -> float:
    """Return a float32 as the shortest number that reads back as it: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value)))


def shown_weight(value: float | np.floating) -> str:
    """Return a weight for people, with its sign: two decimals, and two significant digits where that would say too little.

    So 0.5 is "+0.50", -12.345 is "-12.35" and 0.00042 is "+0.00042"; it never reads as 0 without being 0.
    """
    return f"{value:+#.2g}" if 0 < abs(float(value)) < _TWO_DECIMALS else f"{value:+.2f}"
