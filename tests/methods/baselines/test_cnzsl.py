import numpy as np
import pytest

from niwt_tf.methods.baselines import cnzsl
from niwt_tf.methods.baselines.cnzsl import CNZSL, METHOD, Statistics
from tests.methods.baselines.linear_world import linear_world, scores_of

SMALL = {"hidden": 32.0, "learning_rate": 5e-3, "scale": 5.0, "epochs": 10.0}


@pytest.fixture(scope="module")
def fitted():
    world = linear_world("unit")
    return world, world.fit(METHOD, **SMALL)


def test_prototypes_by_hand():
    """One unit a layer, K = 1, so that descriptions are not scaled: (2 relu(k) - 1) standardised, rectified, standardised."""
    one = np.ones((1, 1), np.float32)
    weights = (one, np.zeros(1), 2 * one, -one[0], np.array([[3.0, -1.0]]), np.array([0.0, 2.0]))
    made = CNZSL(weights, (Statistics(np.array([1.0]), np.array([2.0])), Statistics(np.array([0.5]), np.array([0.25]))), False)
    found = made.formula().units(np.array([[1.5], [-3.0]]))
    # k = 1.5: (2 - 1) / 2 = 0.5, then (0.5 - 0.5) / 0.25 = 0. k = -3: (-1 - 1) / 2 -> 0, then -0.5 / 0.25 = -2.
    np.testing.assert_allclose(found, [[0, 2], [-6, 4]])


def test_a_class_scores_the_scaled_cosine(fitted):
    world, model = fitted
    prototypes = model.formula().units(np.concatenate([world.seen, world.new]))
    features = world.sample.features[:20]
    cosines = features @ prototypes.T / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(prototypes, axis=1)
    np.testing.assert_allclose(scores_of(model, features, world.seen, world.new), 25 * cosines, atol=1e-4)


def test_units_have_mean_0_and_variance_1_over_the_seen_classes(fitted):
    world, model = fitted
    first, first_bias, second, second_bias, *_ = model.weights
    units = np.maximum(2 * world.seen @ first + first_bias, 0) @ second + second_bias  # sqrt(K) = 2
    known = model.normalised[0]
    standard = (units - known.mean) / known.deviation
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.var(axis=0), 1, atol=1e-2)
    rectified = np.maximum(standard, 0)
    last = (rectified - model.normalised[1].mean) / model.normalised[1].deviation
    np.testing.assert_allclose(last.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(last.var(axis=0), 1, atol=1e-2)


def test_a_column_does_not_depend_on_the_other_new_classes(fitted):
    world, model = fitted
    together, alone = model.columns(world.new)[0], model.columns(world.new[1:2])[0]
    np.testing.assert_allclose(together[:, 1:2], alone, atol=1e-5)


def test_the_last_layer_starts_with_the_papers_variance():
    *_, last, bias = cnzsl.initial_weights(np.random.default_rng(0), 5, 300, 200)
    assert last.var() == pytest.approx(1 / (300 * 200), rel=0.02)
    assert not bias.any()


def test_classifies_unseen_classes_of_a_linear_world(fitted):
    world, model = fitted
    assert world.unseen_accuracy(model) > 0.8
