"""The logit of a described class for one image, under many edits of its description at once.

Dimensions: K attributes, D features, U edited descriptions, J changes of each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_NUMBERS_AT_ONCE = 2**22


class EditedLogit:
    """x . w(d') + b(d') for descriptions d' near d, by whatever makes the column w and the bias b of a description.

    Args:
        features: x, [D], of the image.
        formula: raw descriptions [U, K] -> columns [D, U] and biases [U].
        description: d, raw [K].
    """

    def __init__(
        self, features: np.ndarray, formula: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], description: np.ndarray
    ) -> None:
        self._features = np.asarray(features, np.float64)
        self._formula, self._description = formula, np.asarray(description, np.float64)

    @property
    def width(self) -> int:
        """How many numbers an edit takes at once."""
        return max(len(self._features), len(self._description))

    @property
    def products(self) -> int:
        """How many multiplications an edit costs, in the main."""
        return len(self._features) * len(self._description)

    def __call__(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Return logits [U], not calibrated.

        Args:
            attributes: integers [U, J], an attribute at most once a row but for changes of 0.
            changes: [U, J], what is added to them.
        """
        rows = max(1, _NUMBERS_AT_ONCE // self.width)
        parts = [self._logits(attributes[at : at + rows], changes[at : at + rows]) for at in range(0, len(attributes), rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _logits(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        edited = np.tile(self._description, (len(attributes), 1))
        for j in range(attributes.shape[1]):
            edited[np.arange(len(edited)), attributes[:, j]] += changes[:, j]
        columns, biases = self._formula(edited.astype(np.float32))
        return np.asarray(self._features @ columns.astype(np.float64) + biases)
