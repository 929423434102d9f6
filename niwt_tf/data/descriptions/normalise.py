"""Descriptions as methods take them: a user's columns on one scale; centred, of length 1, or as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Ranges that differ by more are of different units: the column of the larger would be nearly all of a description's length.
_TENFOLD = 10.0


@dataclass(frozen=True)
class Scale:
    """Brings each entry from the units of its table to 0..1 over the seen classes.

    Attributes:
        low: float64 [K], the least value of each entry.
        span: float64 [K], above 0, the range of each.
    """

    low: np.ndarray
    span: np.ndarray

    @classmethod
    def fit(cls, seen: np.ndarray) -> Scale | None:
        """Return that of the seen classes' descriptions [S, K], or None where ranges differ by no more than tenfold."""
        low, span = seen.min(axis=0).astype(np.float64), np.ptp(seen.astype(np.float64), axis=0)
        varied = span[span > 0]
        if not len(varied) or varied.max() <= _TENFOLD * varied.min():
            return None
        return cls(low, np.where(span > 0, span, 1.0))

    @classmethod
    def from_lists(cls, entry: Mapping[str, Sequence[float]] | None) -> Scale | None:
        """Return what `as_lists` gave, or None."""
        return None if entry is None else cls(np.array(entry["low"], np.float64), np.array(entry["span"], np.float64))

    def as_lists(self) -> dict[str, list[float]]:
        """Return it as a JSON value."""
        return {"low": self.low.tolist(), "span": self.span.tolist()}

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return values [..., K] in the units of the table on the scale, float32."""
        return np.asarray((values - self.low) / self.span, np.float32)

    def undone(self, values: np.ndarray) -> np.ndarray:
        """Return values [..., K] on the scale in the units of the table, float32."""
        return np.asarray(values * self.span + self.low, np.float32)


@dataclass(frozen=True)
class DescriptionNormaliser:
    """Brings raw descriptions to a common scale, fitted on the seen classes.

    "centred" takes the seen mean, the `centre`, off and divides by the L2 norm; "l2" only divides; "raw" does nothing.
    """

    how: str
    centre: np.ndarray  # float32 [K], zero unless centred

    @classmethod
    def fit(cls, descriptions: np.ndarray, how: str = "centred") -> DescriptionNormaliser:
        """Fit on the seen classes' descriptions [S, K]."""
        centre = descriptions.mean(axis=0) if how == "centred" else np.zeros(descriptions.shape[1])
        return cls(how, centre.astype(np.float32))

    def __call__(self, descriptions: np.ndarray) -> np.ndarray:
        """Return normalised descriptions, shape unchanged; one that equals the centre becomes 0."""
        if self.how == "raw":
            return descriptions
        shifted = descriptions - self.centre
        norms = np.linalg.norm(shifted, axis=-1, keepdims=True)
        return np.divide(shifted, norms, out=np.zeros_like(shifted), where=norms > 0)
