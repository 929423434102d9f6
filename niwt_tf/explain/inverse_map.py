"""The linear map back from importance to attributes: which attributes a vector of neuron weights speaks for.

It is Stage 2 with its roles swapped, over the same seen classes. Dimensions: S seen classes, N neurons, K attributes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.method.mapping import DescriptionNormaliser, fit_ridge_map

_ROUNDING = 1e-6  # attributes whose range is below this part of their size differ by float32's rounding alone


@dataclass(frozen=True)
class InverseMap:
    """Attributes W alpha / |alpha| + b of an importance alpha, in deviations from the seen classes' mean.

    Attributes:
        weights: float32 [K, N]; a row is 0 where all seen classes have the same value.
        bias: float32 [K], 0 in the same rows.
        regularization: the chosen ridge penalty.
        rank_correlation: mean Spearman correlation, over attributes, of predicted and true ones of classes that were left out;
            NaN where no attribute varies.
    """

    weights: np.ndarray
    bias: np.ndarray
    regularization: float = float("nan")
    rank_correlation: float = float("nan")

    def predict(self, importances: np.ndarray) -> np.ndarray:
        """Return attribute weights float32 [.., K] of importances [.., N] of any length; an importance of 0 gives the bias."""
        normaliser = DescriptionNormaliser("l2", np.zeros(self.weights.shape[1], np.float32))
        return normaliser(np.asarray(importances, np.float32)) @ self.weights.T + self.bias


def fit_inverse_map(importances: np.ndarray, descriptions: np.ndarray) -> InverseMap:
    """Fit the inverse map by ridge regression; the penalty is chosen by leaving each seen class out in turn.

    Each attribute is centred and divided by its deviation over the seen classes: otherwise those that most classes share would
    be predicted for every importance.

    Args:
        importances: [S, N], mean importances of the seen classes.
        descriptions: raw [S, K] of the same classes.
    """
    values = np.asarray(descriptions, np.float64)
    varies = np.ptp(values, axis=0) > _ROUNDING * np.abs(values).max(axis=0)
    weights = np.zeros((values.shape[1], importances.shape[1]), np.float32)
    bias = np.zeros(len(weights), np.float32)
    if not varies.any():
        return InverseMap(weights, bias)
    targets = (values - values.mean(axis=0))[:, varies]
    targets /= targets.std(axis=0)
    fitted = fit_ridge_map(importances, targets, normalisation="l2")
    weights[varies], bias[varies] = fitted.weights, fitted.bias
    return InverseMap(weights, bias, fitted.regularization, fitted.rank_correlation)
