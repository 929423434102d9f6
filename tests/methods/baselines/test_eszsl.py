import numpy as np
import pytest

from niwt_tf.methods.baselines.eszsl import METHOD
from niwt_tf.methods.baselines.linear import Sample
from tests.methods.baselines.linear_world import fit_one, linear_world


@pytest.mark.parametrize(("gamma", "penalty"), [(0.001, 1000.0), (1.0, 1.0), (10.0, 0.01)])
def test_equals_the_published_closed_form(gamma, penalty):
    generator = np.random.default_rng(0)
    features, descriptions = generator.normal(size=(30, 8)), generator.normal(size=(5, 6))
    labels = generator.integers(0, 5, 30)
    signs = -np.ones((30, 5))
    signs[np.arange(30), labels] = 1
    x, s = features.T, descriptions.T  # the paper's X [D, M] and S [K, classes]
    expected = np.linalg.inv(x @ x.T + gamma * np.eye(8)) @ x @ signs @ s.T @ np.linalg.inv(s @ s.T + penalty * np.eye(6))
    fitted = fit_one(METHOD, Sample(features, labels), descriptions, {"gamma": gamma, "lambda": penalty})
    np.testing.assert_allclose(fitted.compatibility, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fitted.formula().units(descriptions).T, expected @ s, rtol=1e-8, atol=1e-10)
    columns, biases = fitted.columns(descriptions)
    np.testing.assert_allclose(columns, expected @ s, rtol=1e-6)
    assert not biases.any()


def test_classifies_unseen_classes_of_a_linear_world():
    world = linear_world()
    assert world.unseen_accuracy(world.fit(METHOD, **{"gamma": 0.1, "lambda": 0.1})) > 0.9
