"""From a description straight to a head column: Stages 2 and 3, scale and bias, as two matrix-vector products.

For a normalised description u the map predicts W u + b. With t its blocks brought to their lengths and z = [t, 1], the closed
form is the affine w = B z; the new logit's mean on seen images is m . z and its variance z' C z, so that scale and bias need no
image either. All but the lengths is affine in u: a later class costs two matrix-vector products, and no network is run.

Dimensions: K description entries, N neurons of all blocks, D features, M images, U classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.formula import ColumnFormula, EditedLogit, finite, length
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, ClosedForm, anchor_column
from niwt_tf.methods.seen_heads import BiasForm
from niwt_tf.metrics.calibration import LogitStatistics


@dataclass(frozen=True)
class NiwtFormula(ColumnFormula):
    """k -> (w, b).

    Attributes:
        importance_map: raw description [K] -> W u + b [N].
        blocks: which of the N rows belong to which convolution, and the length that each is brought to.
        basis: float32 [D, N + 1], B.
        means: float64 [N + 1], m: the mean over seen training images of features times B.
        covariance: float64 [N + 1, N + 1], C: the covariance of the same.
        statistics: of the seen logits, which new ones are matched to; None leaves columns as solved with the bias `raw_bias`.
        raw_bias: the mean seen bias.
        is_discriminant: whether the lengths of predicted importances count, so that t keeps them, and b = -m . z - z' C z / 2
            with m and C those of a `BiasForm` in place of the features'.
    """

    importance_map: ImportanceMap
    blocks: Blocks
    basis: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    statistics: LogitStatistics | None
    raw_bias: float
    is_discriminant: bool = False

    kind: ClassVar[str] = "importance"
    fixed: ClassVar[tuple[str, ...]] = ("normalisation", "block_sizes", "block_weights", "is_discriminant")

    @property
    def normaliser(self) -> DescriptionNormaliser:
        """That of the importance map."""
        return self.importance_map.normaliser

    @classmethod
    def of(
        cls, importance_map: ImportanceMap, solution: ClosedForm, seen_columns: np.ndarray, regularization: float, anchor: str,
        features: np.ndarray, statistics: LogitStatistics | None, raw_bias: float, form: BiasForm | None = None
    ) -> NiwtFormula:
        """Return the form for a map and a closed form at one lambda and anchor.

        Args:
            importance_map: Stage 2.
            solution: of the mean operator.
            seen_columns: [D, S].
            regularization: lambda.
            anchor: "mean" or "zero".
            features: [M, D] of seen training images.
            statistics: of the seen logits, or None to leave columns as solved.
            raw_bias: the bias of columns that are left as solved.
            form: of a discriminant; None for another head.
        """
        gain = solution.gain(regularization)
        held = anchor_column(seen_columns, anchor)
        rest = held - gain @ (solution.operator @ held)
        basis = np.concatenate([gain, rest[:, None]], axis=1)
        if form is not None:
            blocks = Blocks(solution.blocks.sizes, tuple(solution.scales.tolist()))
            shared = basis.astype(np.float32), basis.T @ form.centre, form.quadratic(basis)
            return cls(importance_map, blocks, *shared, None, 0.0, is_discriminant=True)
        projected = features.astype(np.float64) @ basis
        means = projected.mean(axis=0)
        projected -= means
        covariance = projected.T @ projected / len(projected)
        blocks = Blocks(solution.blocks.sizes, tuple(solution.lengths(seen_columns).tolist()))
        return cls(importance_map, blocks, basis.astype(np.float32), means, covariance, statistics, raw_bias)

    def __call__(self, descriptions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns float32 [D, U] and biases float32 [U] of raw descriptions [U, K]."""
        z = self.targets(self.importance_map.predict(descriptions).astype(np.float64))
        columns = self.basis @ z.T.astype(np.float32)
        if self.is_discriminant:
            squares = np.einsum("ue,ef,uf->u", z, self.covariance, z, optimize=True)
            return columns.astype(np.float32), (-(z @ self.means) - squares / 2).astype(np.float32)
        if self.statistics is None:
            return columns, np.full(len(z), self.raw_bias, np.float32)
        deviations = np.sqrt(np.maximum(np.einsum("ue,ef,uf->u", z, self.covariance, z, optimize=True), 0.0))
        scales = np.divide(self.statistics.deviation, deviations, out=np.ones_like(deviations), where=deviations > 0)
        biases = self.statistics.mean - (z @ self.means) * scales
        return (columns * scales).astype(np.float32), biases.astype(np.float32)

    def logits(self, features: Any, descriptions: Any, variables: Mapping[str, Any]) -> Any:
        """Return logits [B, M] of features [B, D] for raw descriptions [B, M, K], as a graph.

        The columns themselves are not made: with z the targets of a description, its logit is (features . basis) . z, scaled
        and shifted as in `__call__`.
        """
        import tensorflow as tf

        how, blocks = self.importance_map.normaliser.how, self.blocks
        shifted = descriptions - variables["centre"]
        normalised = descriptions if how == "raw" else tf.math.divide_no_nan(shifted, length(shifted))
        predicted = tf.einsum("bmk,nk->bmn", normalised, variables["map_weights"]) + variables["map_bias"]
        discriminant = self.is_discriminant
        parts = [
            (predicted[..., rows] if discriminant else _directions(predicted[..., rows])) * float(weight)
            for rows, weight in zip(blocks.slices, blocks.weights, strict=True)
        ]
        targets = tf.concat([*parts, tf.ones_like(predicted[..., :1])], axis=-1)
        logits = tf.einsum("be,bme->bm", tf.matmul(features, variables["basis"]), targets)
        mean, deviation, raw_bias = tf.unstack(variables["statistics"])
        if self.statistics is None and not discriminant:
            return finite(logits + raw_bias)
        variance = tf.einsum("bme,ef,bmf->bm", targets, variables["covariance"], targets, optimize="greedy")
        if discriminant:
            return finite(logits - tf.einsum("bme,e->bm", targets, variables["means"]) - variance / 2)
        deviations = tf.sqrt(tf.maximum(variance, 0.0))
        scales = tf.where(deviations > 0, tf.math.divide_no_nan(deviation, deviations), tf.ones_like(deviations))
        return finite(logits * scales + mean - tf.einsum("bme,e->bm", targets, variables["means"]) * scales)

    def edited(self, features: np.ndarray, description: np.ndarray) -> EditedNiwtLogit:
        """Return the logit under edits, for which no column is made."""
        return EditedNiwtLogit(features, self, description)

    def targets(self, predicted: np.ndarray) -> np.ndarray:
        """Return z, float64 [U, N + 1], of predicted importances [U, N]."""
        scaled = (predicted if self.is_discriminant else self.blocks.unit(predicted)) * self.blocks.spread(self.blocks.weights)
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        matched = self.statistics or LogitStatistics(float("nan"), float("nan"))
        mapping = self.importance_map
        return {
            "map_weights": mapping.weights,
            "map_bias": mapping.bias,
            "normalisation": np.array(mapping.normaliser.how),
            "centre": mapping.normaliser.centre,
            "block_sizes": np.array(self.blocks.sizes),
            "block_weights": np.array(self.blocks.weights, np.float64),
            "basis": self.basis,
            "means": self.means,
            "covariance": self.covariance,
            "statistics": np.array([matched.mean, matched.deviation, self.raw_bias]),
            "is_discriminant": np.array(self.is_discriminant),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> NiwtFormula:
        """Return what `arrays` gave."""
        mean, deviation, raw_bias = (float(value) for value in arrays["statistics"])
        normaliser = DescriptionNormaliser(str(arrays["normalisation"]), arrays["centre"])
        return cls(
            ImportanceMap(arrays["map_weights"], arrays["map_bias"], normaliser),
            Blocks(tuple(arrays["block_sizes"].tolist()), tuple(arrays["block_weights"].tolist())),
            arrays["basis"],
            arrays["means"],
            arrays["covariance"],
            None if np.isnan(mean) else LogitStatistics(mean, deviation),
            raw_bias,
            # Bundles of before this kind of head have no entry.
            bool(arrays.get("is_discriminant", False)),
        )


class EditedNiwtLogit(EditedLogit):
    """x . w(d') + b(d') for descriptions d' near d, with (w, b) of a column formula; computed in float64.

    The map is affine but for the lengths that descriptions and blocks are brought to, so its product with an edited description
    is that with the description plus one column an edit: nothing of K entries is made for an edit, and no head column.

    Args:
        features: x, [D], of the image.
        formula: description -> (w, b).
        description: d, raw [K].
    """

    def __init__(self, features: np.ndarray, formula: NiwtFormula, description: np.ndarray) -> None:
        super().__init__(features, formula, description)
        mapping = formula.importance_map
        self._niwt, self._is_raw = formula, mapping.normaliser.how == "raw"
        centre = 0.0 if self._is_raw else np.asarray(mapping.normaliser.centre, np.float64)
        self._shifted = np.asarray(description, np.float64) - centre
        self._product = mapping.weights.astype(np.float64) @ self._shifted
        self._by_attribute = np.ascontiguousarray(mapping.weights.T)
        self._projected = np.asarray(features, np.float64) @ formula.basis.astype(np.float64)

    @property
    def width(self) -> int:
        """How many numbers an edit takes at once."""
        return len(self._product)

    @property
    def products(self) -> int:
        """How many multiplications an edit costs, in the main."""
        return len(self._product) ** 2

    def _logits(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        product = np.tile(self._product, (len(attributes), 1))
        for j in range(attributes.shape[1]):
            product += changes[:, j, None] * self._by_attribute[attributes[:, j]]
        if not self._is_raw:
            added = (2 * self._shifted[attributes] + changes) * changes
            norms = np.sqrt(np.maximum((self._shifted**2).sum() + added.sum(axis=1), 0.0))[:, None]
            product = np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)
        statistics = self._niwt.statistics
        z = self._niwt.targets(product + self._niwt.importance_map.bias)
        logits = z @ self._projected
        if self._niwt.is_discriminant:
            return np.asarray(logits - z @ self._niwt.means - ((z @ self._niwt.covariance) * z).sum(axis=1) / 2)
        if statistics is None:
            return logits + self._niwt.raw_bias
        deviations = np.sqrt(np.maximum(((z @ self._niwt.covariance) * z).sum(axis=1), 0.0))
        scales = np.divide(statistics.deviation, deviations, out=np.ones_like(deviations), where=deviations > 0)
        return np.asarray((logits - z @ self._niwt.means) * scales + statistics.mean)


def _directions(values: Any) -> Any:
    import tensorflow as tf

    return tf.math.divide_no_nan(values, length(values))
