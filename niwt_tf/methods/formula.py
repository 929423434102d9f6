"""Column formulas: from a description to a head column, without a network and without Keras.

Whoever changes the classes of a bundle needs a formula and nothing else of its method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.edited_logit import EditedLogit

Columns = tuple[np.ndarray, np.ndarray]
# Module and class by kind; bundles of before there were several have the first.
HOMES = {
    "importance": ("niwt_tf.methods.niwt.niwt_formula", "NiwtFormula"),
    "relevance": ("niwt_tf.methods.relevance_formula", "RelevanceFormula"),
    "layers": ("niwt_tf.methods.baselines.column_network", "ColumnNetwork"),
}
FORMER = "importance"


class ColumnFormula(ABC):
    """From raw descriptions straight to head columns, without a network: by numpy, and inside of a served graph.

    A bundle keeps one as variables and entries of niwt.json; with it `add_class` makes the column of a later class, and the
    signature `classify_with` scores classes that it was never given.
    """

    # A key of `HOMES`, which niwt.json keeps; "" where only the method itself knows the class.
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
