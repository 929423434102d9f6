"""A column formula by the relevance map: a column for each seen class, weighed as a description says.

Dimensions: B images, M described classes an image, D features, S seen classes, U new classes, K description entries, E kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.formula import ColumnFormula, Columns, EditedLogit, finite, length
from niwt_tf.methods.relevance import RelevanceMap


@dataclass(frozen=True)
class RelevanceFormula(ColumnFormula):
    """k -> (C h, mean over kernels of -m . h_e - h_e' Q h_e / 2), with h the mean of the weights h_e.

    Attributes:
        relevance: k -> h_e.
        basis: float32 [D, S], C.
        means: float32 [S], m.
        covariance: float32 [S, S], Q.
    """

    relevance: RelevanceMap
    basis: np.ndarray
    means: np.ndarray
    covariance: np.ndarray

    kind: ClassVar[str] = "relevance"
    fixed: ClassVar[tuple[str, ...]] = ("normalisation", "warrant")

    @property
    def normaliser(self) -> DescriptionNormaliser:
        """That of the relevance map."""
        return self.relevance.normaliser

    @property
    def followed(self) -> np.ndarray | None:
        """Each attribute's share of the distances between seen classes, mean over kernels; None where not warranted."""
        if not self.relevance.is_warranted:
            return None
        shares = self.relevance.relevances * self.relevance.points.var(axis=0)
        return np.asarray((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0))

    def __call__(self, descriptions: np.ndarray) -> Columns:
        """Return columns float32 [D, U] and biases float32 [U] of raw descriptions [U, K]."""
        weights = self.relevance.weights(descriptions)
        columns = self.basis @ weights.mean(axis=0).T.astype(np.float32)
        return columns.astype(np.float32), self.biases(weights).astype(np.float32)

    def biases(self, weights: np.ndarray) -> np.ndarray:
        """Return float64 [U] for weights over the seen classes, [E, U, S]."""
        squares = np.einsum("eus,eus->u", weights @ self.covariance, weights) / len(weights)
        return np.asarray(-(weights.mean(axis=0) @ self.means) - squares / 2)

    def logits(self, features: Any, descriptions: Any, variables: Mapping[str, Any]) -> Any:
        """Return logits [B, M] of features [B, D] for raw descriptions [B, M, K], as a graph."""
        import tensorflow as tf

        shifted = descriptions - variables["centre"]
        normalised = descriptions if self.normaliser.how == "raw" else tf.math.divide_no_nan(shifted, length(shifted))
        points, relevances = variables["points"], variables["relevances"]
        across = tf.einsum("bmk,ek,sk->bmes", normalised, relevances, points, optimize="greedy")
        own = tf.einsum("bmk,ek->bme", normalised**2, relevances)[..., None]
        theirs = tf.einsum("sk,ek->es", points**2, relevances)
        kernels = tf.exp(-tf.nn.relu(own + theirs - 2.0 * across))
        weights = tf.einsum("bmes,est->bmet", kernels, variables["duals"]) + variables["constants"]
        mean = tf.reduce_mean(weights, axis=2)
        squares = tf.einsum("bmes,st,bmet->bme", weights, variables["covariance"], weights, optimize="greedy")
        logits = tf.einsum("bs,bms->bm", tf.matmul(features, variables["basis"]), mean)
        return finite(logits - tf.einsum("bms,s->bm", mean, variables["means"]) - tf.reduce_mean(squares, axis=2) / 2)

    def edited(self, features: np.ndarray, description: np.ndarray) -> EditedLogit:
        """Return the logit under edits, for which no column is made."""
        return _EditedLogit(features, self, description)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        own = {"basis": self.basis, "means": self.means, "covariance": self.covariance}
        return {**self.relevance.arrays(), **own}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> RelevanceFormula:
        """Return what `arrays` gave."""
        return cls(RelevanceMap.from_arrays(arrays), arrays["basis"], arrays["means"], arrays["covariance"])


class _EditedLogit(EditedLogit):
    """x . C h + b for edited descriptions, in float64."""

    def __init__(self, features: np.ndarray, formula: RelevanceFormula, description: np.ndarray) -> None:
        super().__init__(features, formula, description)
        self._relevance_formula = formula
        self._scores = np.asarray(features, np.float64) @ formula.basis.astype(np.float64)

    @property
    def products(self) -> int:
        """How many multiplications an edit costs, in the main."""
        kernels, classes = self._relevance_formula.relevance.constants.shape
        return kernels * classes * (len(self._description) + classes)

    @property
    def width(self) -> int:
        """How many numbers an edit takes at once."""
        return max(self._relevance_formula.relevance.constants.size, len(self._description))

    def _logits(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        edited = np.tile(self._description, (len(attributes), 1))
        for j in range(attributes.shape[1]):
            edited[np.arange(len(edited)), attributes[:, j]] += changes[:, j]
        weights = self._relevance_formula.relevance.weights(edited)
        return np.asarray(weights.mean(axis=0) @ self._scores + self._relevance_formula.biases(weights))
