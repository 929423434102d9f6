"""The linear prior: ridge regression from texts to class means."""

from __future__ import annotations

import numpy as np

from niwt_tf.methods.n3.prior import LinearPrior


def test_a_class_is_predicted_without_itself():
    rng = np.random.default_rng(3)
    pooled = rng.normal(size=(9, 4))
    means = pooled @ rng.normal(size=(4, 5)) + 0.3 * rng.normal(size=(9, 5))
    prior, left_out = LinearPrior.fit(pooled, means)
    centre, middle = pooled.mean(axis=0), means.mean(axis=0)
    rows, wanted = pooled - centre, means - middle
    # The penalty that was chosen, read off the weights: W (X'X + p I) = X'Y.
    residual = rows.T @ wanted - rows.T @ rows @ prior.weights
    penalty = float((residual * prior.weights).sum() / (prior.weights**2).sum())
    for k in range(9):
        others = np.arange(9) != k
        x, y = pooled[others] - pooled[others].mean(axis=0), means[others] - means[others].mean(axis=0)
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ y)
        expected = (pooled[k] - pooled[others].mean(axis=0)) @ weights + means[others].mean(axis=0)
        np.testing.assert_allclose(left_out[k, :-1], expected, atol=1e-3)
        np.testing.assert_allclose(left_out[k, -1], -0.5 * (expected**2).sum(), rtol=1e-3, atol=1e-3)
    whole = prior(pooled)
    assert np.square(whole[:, :-1] - means).sum() < np.square(left_out[:, :-1] - means).sum()
    assert LinearPrior.from_arrays({}) is None
    np.testing.assert_array_equal(LinearPrior.from_arrays(prior.arrays())(pooled), whole)
