import numpy as np
import pytest

from niwt_tf.baselines import eszsl


@pytest.mark.parametrize(("gamma", "lambda_"), [(0.001, 1000.0), (1.0, 1.0), (10.0, 0.01)])
def test_equals_the_published_closed_form(gamma, lambda_):
    generator = np.random.default_rng(0)
    features, descriptions = generator.normal(size=(30, 8)), generator.normal(size=(5, 6))
    labels = generator.integers(0, 5, 30)
    signs = -np.ones((30, 5))
    signs[np.arange(30), labels] = 1
    x, s = features.T, descriptions.T  # the paper's X [D, M] and S [K, classes]
    expected = np.linalg.inv(x @ x.T + gamma * np.eye(8)) @ x @ signs @ s.T @ np.linalg.inv(s @ s.T + lambda_ * np.eye(6))
    fitted = eszsl.fit(features, labels, descriptions, gamma=gamma, lambda_=lambda_)
    np.testing.assert_allclose(fitted.compatibility, expected, rtol=1e-8, atol=1e-10)


def test_classifies_an_unseen_class_of_a_linear_world():
    generator = np.random.default_rng(1)
    descriptions = generator.normal(size=(12, 4))
    descriptions /= np.linalg.norm(descriptions, axis=1, keepdims=True)  # else the longest wins by its length
    mixing = generator.normal(size=(4, 10))
    labels = np.repeat(np.arange(12), 20)
    features = descriptions[labels] @ mixing + 0.05 * generator.normal(size=(240, 10))
    seen = labels < 9
    fitted = eszsl.fit(features[seen], labels[seen], descriptions[:9], gamma=0.1, lambda_=0.1)
    predicted = 9 + fitted.scores(features[~seen], descriptions[9:]).argmax(axis=1)
    assert (predicted == labels[~seen]).mean() > 0.9


def test_scores_in_rotated_coordinates_are_those_of_the_solution():
    generator = np.random.default_rng(2)
    features, descriptions = generator.normal(size=(30, 8)), generator.normal(size=(5, 6))
    path = eszsl.ESZSLPath(features, generator.integers(0, 5, 30), generator.normal(size=(5, 4)))
    path = path.with_descriptions(descriptions)
    tested, described = generator.normal(size=(7, 8)), generator.normal(size=(9, 6))
    expected = path.solve(0.3, 2.0).scores(tested, described)
    np.testing.assert_allclose(path.scores(0.3, 2.0, path.rotated(tested, described)), expected)
