"""Stage 2: the linear map from a class description to its importance (NIWT Eq. 2).

Dimensions: S seen classes, K description entries, N neurons. Descriptions are class-level, so Eq. 2's loss depends on the
images only through each class's mean of unit importances, a problem of S points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.metrics.ranks import mean_rank_correlation, standardised_ranks


@dataclass(frozen=True)
class ImportanceMap:
    """alpha_hat = W k + b for a normalised description k.

    Attributes:
        weights: float32 [N, K].
        bias: float32 [N].
        normaliser: applied to raw descriptions first.
        regularization: the chosen ridge penalty, or the step count of the cosine map.
        rank_correlation: mean Spearman correlation of predicted and observed importance on classes that were held out.
    """

    weights: np.ndarray
    bias: np.ndarray
    normaliser: DescriptionNormaliser
    regularization: float = 0.0
    rank_correlation: float = float("nan")
    trials: tuple[tuple[float, float], ...] = field(default=())

    def predict(self, descriptions: np.ndarray) -> np.ndarray:
        """Return predicted importances [.., N] of raw descriptions [.., K]."""
        return self.normaliser(np.asarray(descriptions, np.float32)) @ self.weights.T + self.bias


def fit_ridge_map(
    descriptions: np.ndarray, importances: np.ndarray, *,
    regularizations: Sequence[float] = tuple(10.0 ** np.arange(-4, 3.5, 0.5)), normalisation: str = "centred"
) -> ImportanceMap:
    """Fit Eq. 2 in closed form (`--map=ridge`); the penalty is chosen by leaving each seen class out in turn.

    With the hat matrix H the prediction for a class left out is a - (a - H a) / (1 - h), so that every leave-one-out fit comes
    from one decomposition.

    Args:
        descriptions: raw [S, K] of the seen classes.
        importances: [S, N], mean unit importances of the same classes.
        regularizations: ridge penalties to choose from, by mean rank correlation on the left-out classes.
        normalisation: see `DescriptionNormaliser`.
    """
    normaliser = DescriptionNormaliser.fit(descriptions, normalisation)
    x = normaliser(descriptions.astype(np.float64))
    mean_x, mean_a = x.mean(axis=0), importances.mean(axis=0, dtype=np.float64)
    centred_x, centred_a = x - mean_x, importances - mean_a
    left, singular, right = np.linalg.svd(centred_x, full_matrices=False)
    rotated = left.T @ centred_a
    observed_ranks = standardised_ranks(importances)
    trials = []
    for penalty in regularizations:
        shrink = singular**2 / (singular**2 + penalty)
        fitted = left @ (shrink[:, None] * rotated)
        leverage = (left**2 * shrink).sum(axis=1) + 1.0 / len(x)
        residual = (centred_a - fitted) / np.maximum(1.0 - leverage, 1e-9)[:, None]
        predicted_ranks = standardised_ranks(importances - residual)
        trials.append((float(penalty), float((predicted_ranks * observed_ranks).sum(axis=1).mean())))
    best, correlation = max(trials, key=lambda trial: trial[1])
    inverse = singular / (singular**2 + best)
    weights = (right.T * inverse @ rotated).T
    bias = mean_a - weights @ mean_x
    return ImportanceMap(weights.astype(np.float32), bias.astype(np.float32), normaliser, best, correlation, tuple(trials))


def fit_cosine_map(
    descriptions: np.ndarray, importances: np.ndarray, *, steps: int = 2000, normalisation: str = "centred", seed: int = 0
) -> ImportanceMap:
    """Fit Eq. 2 as the paper does (`--map=cosine`): Adam on 1 - cos(W k + b, alpha), early-stopped on held-out seen classes.

    Five classes drawn by `seed` are held out (at most a third of them); the weights of the step with the highest mean rank
    correlation on those are kept.

    Args:
        descriptions: raw [S, K] of the seen classes.
        importances: [S, N], mean unit importances of the same classes.
        steps: full-batch steps.
        normalisation: see `DescriptionNormaliser`.
        seed: draws the held-out classes.
    """
    import keras
    import tensorflow as tf

    normaliser = DescriptionNormaliser.fit(descriptions, normalisation)
    x = normaliser(descriptions.astype(np.float32))
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(x))
    held_out = order[: max(1, min(5, len(x) // 3))]
    fitted = order[len(held_out) :]
    targets = tf.math.l2_normalize(tf.constant(importances[fitted], tf.float32), axis=1)
    inputs = tf.constant(x[fitted])
    # From 0 the weights stay in the span of the seen descriptions; random ones would keep their noise outside of it.
    weights = tf.Variable(tf.zeros((importances.shape[1], x.shape[1])))
    bias = tf.Variable(importances[fitted].mean(axis=0).astype(np.float32))
    optimiser = keras.optimizers.Adam(1e-2)
    optimiser.build([weights, bias])
    check_every = 20

    @tf.function
    def advance() -> None:
        for _ in tf.range(check_every):
            with tf.GradientTape() as tape:
                predicted = tf.matmul(inputs, weights, transpose_b=True) + bias
                cosine = tf.reduce_sum(tf.math.l2_normalize(predicted, axis=1) * targets, axis=1)
                loss = tf.reduce_mean(1.0 - cosine)
            optimiser.apply(tape.gradient(loss, [weights, bias]), [weights, bias])

    trials: list[tuple[float, float]] = []
    best = (-np.inf, 0, weights.numpy(), bias.numpy())
    for step in range(check_every, steps + 1, check_every):
        advance()
        predicted = x[held_out] @ weights.numpy().T + bias.numpy()
        correlation = mean_rank_correlation(predicted, importances[held_out])
        trials.append((float(step), correlation))
        if correlation > best[0]:
            best = (correlation, step, weights.numpy(), bias.numpy())
    correlation, step, best_weights, best_bias = best
    return ImportanceMap(best_weights, best_bias, normaliser, float(step), float(correlation), tuple(trials))
