"""The logit of a described class for one image, under many edits of its description at once.

`ColumnMap` is affine but for the lengths that descriptions and blocks are brought to, so the product of the map with an edited
description is that with the description plus one column an edit: nothing of K entries is made for an edit, and no head column.
Dimensions: K attributes, N neurons of all blocks, D features, U edited descriptions, J changes of each.
"""

from __future__ import annotations

import numpy as np

from niwt_tf.method.column_map import ColumnMap

_NUMBERS_AT_ONCE = 2**22


class EditedLogit:
    """x . w(d') + b(d') for descriptions d' near d, with (w, b) of a column map; computed in float64.

    Args:
        features: x, [D], of the image.
        column_map: description -> (w, b).
        description: d, raw [K].
    """

    def __init__(self, features: np.ndarray, column_map: ColumnMap, description: np.ndarray) -> None:
        mapping = column_map.importance_map
        self._map, self._is_raw = column_map, mapping.normaliser.how == "raw"
        centre = 0.0 if self._is_raw else np.asarray(mapping.normaliser.centre, np.float64)
        self._shifted = np.asarray(description, np.float64) - centre
        self._product = mapping.weights.astype(np.float64) @ self._shifted
        self._by_attribute = np.ascontiguousarray(mapping.weights.T)
        self._projected = np.asarray(features, np.float64) @ column_map.basis.astype(np.float64)

    @property
    def products(self) -> int:
        """How many multiplications an edit costs, in the main."""
        return len(self._product) ** 2

    def __call__(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Return logits [U], not calibrated.

        Args:
            attributes: integers [U, J], an attribute at most once a row but for changes of 0.
            changes: [U, J], what is added to them.
        """
        rows = max(1, _NUMBERS_AT_ONCE // len(self._product))
        parts = [self._logits(attributes[at : at + rows], changes[at : at + rows]) for at in range(0, len(attributes), rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _logits(self, attributes: np.ndarray, changes: np.ndarray) -> np.ndarray:
        product = np.tile(self._product, (len(attributes), 1))
        for j in range(attributes.shape[1]):
            product += changes[:, j, None] * self._by_attribute[attributes[:, j]]
        if not self._is_raw:
            added = (2 * self._shifted[attributes] + changes) * changes
            norms = np.sqrt(np.maximum((self._shifted**2).sum() + added.sum(axis=1), 0.0))[:, None]
            product = np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)
        statistics = self._map.statistics
        z = self._map.targets(product + self._map.importance_map.bias)
        logits = z @ self._projected
        if self._map.is_discriminant:
            return np.asarray(logits - z @ self._map.means - ((z @ self._map.covariance) * z).sum(axis=1) / 2)
        if statistics is None:
            return logits + self._map.raw_bias
        deviations = np.sqrt(np.maximum(((z @ self._map.covariance) * z).sum(axis=1), 0.0))
        scales = np.divide(statistics.deviation, deviations, out=np.ones_like(deviations), where=deviations > 0)
        return np.asarray((logits - z @ self._map.means) * scales + statistics.mean)
