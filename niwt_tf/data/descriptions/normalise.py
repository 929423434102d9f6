"""Descriptions as methods take them: centred, of length 1, or as they are, by what the seen classes show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
