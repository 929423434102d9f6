"""Stage 3 in closed form: columns whose mean importances are nearest to those predicted (Eq. 3, averaged over images).

w = argmin ||J w - s a||^2 + lambda t ||w - anchor||^2, with J the mean operator, a the predicted direction, s the mean
importance length of the seen columns, the anchor their mean (the paper) or zero, and t = trace(J J') / N.
One eigendecomposition, N x N or D x D, whichever is smaller, serves every class, every lambda and every seen head.

Several convolutions are stacked: block l of J and of s a is multiplied by v / ||J_l||, v its weight, so that blocks of weight 1
count the same whatever their number of neurons and their gradients' scale.

Dimensions: N neurons (of all blocks), D features, S seen and U unseen classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LOG = logging.getLogger("niwt_tf")
# Below this share of the largest eigenvalue a direction is rounding error of the float32 operator.
_SINGULAR = 1e-12


@dataclass(frozen=True)
class Blocks:
    """How the rows of stacked operators and importances belong to convolutions.

    Attributes:
        sizes: neurons of each, summing to N.
        weights: how much each counts, 0 leaves it out.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def single(cls, size: int) -> Blocks:
        """Return one block of weight 1."""
        return cls((size,), (1.0,))

    @property
    def slices(self) -> list[slice]:
        """The rows of each block."""
        ends = np.cumsum(self.sizes)
        return [slice(int(end) - size, int(end)) for end, size in zip(ends, self.sizes, strict=True)]

    def unit(self, importances: np.ndarray) -> np.ndarray:
        """Return importances [.., N] with each block divided by its length; a zero block stays zero."""
        result = np.array(importances, copy=True)
        for rows in self.slices:
            norms = np.linalg.norm(result[..., rows], axis=-1, keepdims=True)
            result[..., rows] = np.divide(result[..., rows], norms, out=np.zeros_like(result[..., rows]), where=norms > 0)
        return result

    def spread(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """Return one value a block repeated over its rows, [N]."""
        return np.repeat(np.asarray(values, np.float64), self.sizes)


class ClosedForm:
    """The solution for every class, lambda and seen head, from one decomposition.

    Attributes:
        blocks: how rows belong to convolutions.
        operator: float64 [N, D], J with its blocks scaled.
        rank: of that.
    """

    def __init__(self, operator: np.ndarray, blocks: Blocks | None = None) -> None:
        """Decompose J [N, D], finite; `blocks` None is one convolution."""
        self.blocks = blocks or Blocks.single(len(operator))
        operator = np.asarray(operator, np.float64)
        norms = np.array([np.linalg.norm(operator[rows]) for rows in self.blocks.slices])
        weights = np.asarray(self.blocks.weights)
        self.scales = np.divide(weights, norms, out=np.zeros_like(norms), where=norms > 0)
        self.operator = operator * self.blocks.spread(self.scales)[:, None]
        self._dual = len(operator) <= operator.shape[1]
        gram = self.operator @ self.operator.T if self._dual else self.operator.T @ self.operator
        counted = sum(size for size, weight in zip(self.blocks.sizes, weights, strict=True) if weight > 0)
        self._unit = float(np.trace(gram)) / max(counted, 1)
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._said = False
        self.rank = int((self._values > _SINGULAR * max(self._values.max(initial=0.0), 1e-300)).sum())

    def lengths(self, seen_columns: np.ndarray) -> np.ndarray:
        """Return the mean length of the seen columns' [D, S] scaled importances, one a block: the length of each target."""
        reached = self.operator @ seen_columns
        return np.array([np.linalg.norm(reached[rows], axis=0).mean() for rows in self.blocks.slices])

    def targets(self, importances: np.ndarray, seen_columns: np.ndarray, *, keep_lengths: bool = False) -> np.ndarray:
        """Return what the scaled J w is fitted to, [U, N], for predicted importances [U, N].

        Only their directions matter unless `keep_lengths` is set.
        """
        if keep_lengths:
            return np.asarray(importances, np.float64) * self.blocks.spread(self.scales)
        return self.blocks.unit(np.asarray(importances, np.float64)) * self.blocks.spread(self.lengths(seen_columns))

    def gain(self, regularization: float) -> np.ndarray:
        """Return G [D, N] with w = anchor + G (target - J anchor)."""
        inner = self._vectors * self._inverse(regularization) @ self._vectors.T
        return self.operator.T @ inner if self._dual else inner @ self.operator.T

    def columns(
        self, importances: np.ndarray, seen_columns: np.ndarray, regularization: float, anchor: str = "mean", *,
        keep_lengths: bool = False
    ) -> np.ndarray:
        """Return columns, float32 [D, U].

        Args:
            importances: predicted, [U, N].
            seen_columns: [D, S].
            regularization: lambda, above 0.
            anchor: what lambda holds the columns to, see `anchor_column`.
            keep_lengths: whether the lengths of the predicted importances count.
        """
        held = anchor_column(seen_columns, anchor)
        residuals = (self.targets(importances, seen_columns, keep_lengths=keep_lengths) - self.operator @ held).T
        inverse = self._inverse(regularization)[:, None]
        if self._dual:
            moved = self.operator.T @ (self._vectors @ (inverse * (self._vectors.T @ residuals)))
        else:
            moved = self._vectors @ (inverse * (self._vectors.T @ (self.operator.T @ residuals)))
        return np.asarray(held[:, None] + moved, np.float32)

    def _inverse(self, regularization: float) -> np.ndarray:
        largest = self._values.max(initial=0.0)
        if largest == 0.0:
            self._say("no neuron matters on any support image). New head columns stay at --transfer_anchor.")
            return np.zeros_like(self._values)
        penalty = regularization * self._unit
        floor = _SINGULAR * largest
        if penalty < floor and self.rank < len(self._values):
            raised = floor / self._unit
            self._say(f"rank {self.rank} of {len(self._values)}). lambda {regularization:g} is raised to {raised:g}.")
            penalty = floor
        return 1.0 / (self._values + penalty)

    def _say(self, how: str) -> None:
        if not self._said:
            self._said = True
            _LOG.warning("The system of Eq. 3 is singular (%s", how)


def mean_cosine(operator: np.ndarray, columns: np.ndarray, importances: np.ndarray, blocks: Blocks | None = None) -> float:
    """Return the mean over classes and blocks of the cosine between J w and the predicted importance."""
    blocks = blocks or Blocks.single(len(operator))
    reached = blocks.unit((operator @ columns).T)
    cosines = [(reached[:, rows] * blocks.unit(importances)[:, rows]).sum(axis=1).mean() for rows in blocks.slices]
    return float(np.average(cosines, weights=blocks.weights))


def anchor_column(seen_columns: np.ndarray, anchor: str) -> np.ndarray:
    """Return what lambda holds new columns to, float64 [D]: the mean of the seen columns [D, S], or zero."""
    return seen_columns.mean(axis=1, dtype=np.float64) if anchor == "mean" else np.zeros(len(seen_columns))
