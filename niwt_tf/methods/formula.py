"""Column formulas: from a description to a head column, without a network and without Keras; TensorFlow only in a graph.

Whoever changes the classes of a bundle needs a formula and nothing else of its method.

Dimensions: K description entries, D features, U descriptions, J changes of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser

Columns = tuple[np.ndarray, np.ndarray]
# What a graph says of descriptions whose numbers are finite and too large all the same: it gives no answer.
TOO_LARGE = "descriptions must not be so large that their lengths or logits overflow."
_NUMBERS_AT_ONCE = 2**22


class ColumnFormula(ABC):
    """From raw descriptions straight to head columns, without a network: by numpy, and inside of a served graph.

    A bundle keeps one as variables and entries of niwt.json; with it `add_class` makes the column of a later class, and the
    signature `classify_with` scores classes that it was never given.
    """

    # A key of `FORMULAS` in config/names.py, which niwt.json keeps; "" where only the method itself knows the class.
    kind: ClassVar[str] = ""
    # Which of `arrays` are built into a graph; the others are its variables, float32.
    fixed: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def normaliser(self) -> DescriptionNormaliser:
        """What raw descriptions are brought to one scale by."""

    @property
    def followed(self) -> np.ndarray | None:
        """How much each attribute sets seen classes apart for the network, float64 [K] with sum 1; None where not learnt."""
        return None

    @property
    def num_entries(self) -> int:
        """K."""
        return len(self.normaliser.centre)

    @abstractmethod
    def __call__(self, descriptions: np.ndarray) -> Columns:
        """Return columns float32 [D, U] and biases float32 [U] of raw descriptions [U, K]."""

    @abstractmethod
    def logits(self, features: Any, descriptions: Any, variables: Mapping[str, Any]) -> Any:
        """Return logits [B, M] of features [B, D] for classes with raw descriptions [B, M, K], as a TensorFlow graph.

        Args:
            features: float32 tensor.
            descriptions: float32 tensor.
            variables: by the names of `arrays` that are not `fixed`.

        Raises:
            tf.errors.InvalidArgumentError: a value is too large for the logits of float32 (when the operation runs).
        """

    def edited(self, features: np.ndarray, description: np.ndarray) -> EditedLogit:
        """Return what gives the logit of an image with features [D] for descriptions near a raw one, [K]."""
        return EditedLogit(features, self, description)

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ColumnFormula:
        """Return what `arrays` gave."""


def finite(values: Any) -> Any:
    """Return a tensor as it is.

    Raises:
        tf.errors.InvalidArgumentError: a value is not finite (when the operation runs).
    """
    import tensorflow as tf

    return tf.debugging.assert_all_finite(values, TOO_LARGE)


def length(values: Any) -> Any:
    """Return the L2 norms [..., 1] of vectors [..., N]; a norm that is not finite is an error, as in `finite`."""
    import tensorflow as tf

    # What is divided by infinity is 0, as if nothing had been described.
    return finite(tf.norm(values, axis=-1, keepdims=True))


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
