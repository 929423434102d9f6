import numpy as np

from niwt_tf.methods.baselines.squared_hinge import squared_hinge_path
from niwt_tf.methods.baselines.sync import METHOD, SynC, shares
from tests.methods.baselines.linear_world import linear_world


def test_shares_by_hand():
    """Squared distances 0, 1 and 2 of the origin from (0, 0), (1, 0) and (1, 1); sigma = log 2 halves the share each time."""
    places = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    found = shares(np.zeros((1, 2)), places, float(np.log(2)))
    np.testing.assert_allclose(found, [[4 / 7, 2 / 7, 1 / 7]])


def test_a_new_class_is_a_mixture_of_phantoms():
    phantoms = np.array([[1.0, 0.0], [0.0, 1.0]])
    fitted = SynC(phantoms, np.array([[1.0, 0.0], [0.0, 1.0]]), 1.0)
    columns, biases = fitted.columns(np.array([[0.6, 0.8]]))
    first, second = np.exp(-(0.16 + 0.64)), np.exp(-(0.36 + 0.04))
    np.testing.assert_allclose(columns[:, 0], np.array([first, second]) / (first + second))
    assert not biases.any()


def test_seen_classes_get_back_their_own_columns_and_the_phantoms_are_the_pseudoinverse():
    world = linear_world("unit", images=5)
    fitted = world.fit(METHOD, **{"lambda": 2.0**-9, "sigma": 8.0})
    (own,) = squared_hinge_path(world.sample.features, world.sample.labels, 9, [2.0**-9])
    np.testing.assert_allclose(fitted.columns(world.seen)[0], own, atol=1e-6)
    mixing = shares(world.seen, world.seen, 8.0)
    np.testing.assert_allclose(fitted.phantoms, np.linalg.pinv(mixing) @ own.T, atol=1e-8)


def test_every_lambda_and_sigma_is_tried_once():
    world = linear_world("unit", images=3)
    grid = {"lambda": (1e-3, 1e-1), "sigma": (0.5, 2.0)}
    found = [tuple(candidate.values()) for candidate, _ in METHOD.path(world.sample, world.seen, grid)]
    assert sorted(found) == [(1e-3, 0.5), (1e-3, 2.0), (1e-1, 0.5), (1e-1, 2.0)]


def test_classifies_unseen_classes_of_a_linear_world():
    world = linear_world("unit")
    assert world.unseen_accuracy(world.fit(METHOD, **{"lambda": 2.0**-9, "sigma": 0.5})) > 0.8
