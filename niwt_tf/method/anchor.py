"""What Eq. 3's lambda holds new columns to."""

from __future__ import annotations

import numpy as np

ANCHORS = ("mean", "zero")


def anchor_column(seen_columns: np.ndarray, anchor: str) -> np.ndarray:
    """Return what lambda holds new columns to, float64 [D]: the mean of the seen columns [D, S], or zero."""
    return seen_columns.mean(axis=1, dtype=np.float64) if anchor == "mean" else np.zeros(len(seen_columns))
