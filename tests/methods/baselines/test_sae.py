import numpy as np
import pytest
from scipy.linalg import solve_sylvester

from niwt_tf.methods.baselines.linear import Sample
from niwt_tf.methods.baselines.sae import METHOD
from niwt_tf.metrics.ranks import unit
from tests.methods.baselines.linear_world import fit_one, linear_world, scores_of


def test_weights_by_hand():
    """Images along the axes, of classes described by (1, 0) and (0, 1): A = I, X'X = diag(4, 1), and lambda's unit is 2/5."""
    sample = Sample(np.array([[2.0, 0.0], [0.0, 1.0]], np.float32), np.array([0, 1]))
    fitted = fit_one(METHOD, sample, np.eye(2), {"lambda": 5.0, "decoder": 0.0})
    # lambda = 2: W = diag((1 + 2) 2 / (1 + 2 * 4), (1 + 2) 1 / (1 + 2 * 1)).
    np.testing.assert_allclose(fitted.weights, np.diag([2 / 3, 1.0]), atol=1e-12)
    described = np.array([[0.6, 0.8]])
    np.testing.assert_allclose(fitted.columns(described)[0][:, 0], [0.4, 0.8], rtol=1e-6)
    decoded = fit_one(METHOD, sample, np.eye(2), {"lambda": 5.0, "decoder": 1.0})
    np.testing.assert_allclose(decoded.columns(described)[0][:, 0], np.array([0.4, 0.8]) / np.sqrt(0.8), rtol=1e-6)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e3])
def test_solves_the_sylvester_equation_and_is_the_least(penalty):
    generator = np.random.default_rng(0)
    features, descriptions = generator.normal(size=(40, 8)), unit(generator.normal(size=(9, 6)))
    labels = np.concatenate([np.arange(9), generator.integers(0, 9, 31)])
    fitted = fit_one(METHOD, Sample(features, labels), descriptions, {"lambda": penalty, "decoder": 0.0})
    rows = descriptions[labels]
    own = penalty * np.trace(rows.T @ rows) / np.trace(features.T @ features)
    expected = solve_sylvester(rows.T @ rows, own * features.T @ features, (1 + own) * rows.T @ features)
    np.testing.assert_allclose(fitted.weights, expected, rtol=1e-8, atol=1e-10)

    def objective(weights: np.ndarray) -> float:
        return float(((features - rows @ weights) ** 2).sum() + own * ((features @ weights.T - rows) ** 2).sum())

    for moved in generator.normal(size=(5, *expected.shape)):
        assert objective(fitted.weights) < objective(fitted.weights + 1e-3 * moved)


def test_directions_that_nothing_takes_stay_out():
    """More entries than classes, and more features than images."""
    generator = np.random.default_rng(1)
    features, descriptions = generator.normal(size=(12, 20)), unit(generator.normal(size=(4, 7)))
    labels = np.arange(12) % 4
    for _, fitted in METHOD.path(Sample(features, labels), descriptions, METHOD.grid):
        outside = np.linalg.svd(features)[2][12:], np.linalg.svd(descriptions)[2][4:]
        scale = np.abs(fitted.weights).max()
        np.testing.assert_allclose(fitted.weights @ outside[0].T / scale, 0, atol=1e-10)
        np.testing.assert_allclose(outside[1] @ fitted.weights / scale, 0, atol=1e-10)


@pytest.mark.parametrize("decoder", [0.0, 1.0])
def test_the_linear_form_is_the_nearest_by_cosine(decoder):
    world = linear_world("unit")
    fitted = world.fit(METHOD, **{"lambda": 1.0, "decoder": decoder})
    descriptions = np.concatenate([world.seen, world.new])
    if decoder:
        cosines = world.unseen_features @ unit(descriptions @ fitted.weights).T
    else:
        cosines = unit(world.unseen_features @ fitted.weights.T) @ descriptions.T
    scores = scores_of(fitted, world.unseen_features, world.seen, world.new)
    np.testing.assert_array_equal(scores.argmax(axis=1), cosines.argmax(axis=1))
    if decoder:
        np.testing.assert_allclose(scores, cosines, atol=1e-6)
    assert world.unseen_accuracy(fitted) > 0.9
