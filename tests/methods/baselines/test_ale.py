import numpy as np
import pytest

from niwt_tf.methods.baselines import ale
from niwt_tf.methods.baselines.linear import Sample
from tests.methods.baselines.linear_world import fit_one, linear_world


def test_weights_by_hand():
    """Of 5 classes 4 are wrong: a violation at the 1st, 2nd, 3rd, 4th draw means a rank of 4, 2, 1, 1."""
    thirds = 1 + 1 / 2 + 1 / 3 + 1 / 4
    np.testing.assert_allclose(ale.ranking_weights(5), [0, thirds, 1.5, 1, 1])


def test_a_step_by_hand():
    scores = np.array([[2.0, 0.5, 1.5, 1.2], [2.0, 0.5, 1.5, 1.2], [9.0, 1.0, 2.0, 3.0]], np.float32)
    draws = np.array([[1, 2, 3], [3, 1, 1], [1, 2, 3]])
    found = ale.ranking_step(scores, np.array([0, 0, 0]), draws, ale.ranking_weights(4))
    # Class 1 is 1.5 below: no violation. Class 2 at the second draw: beta(floor(3 / 2)) = 1. Class 3 at the first: beta(3).
    first = 1 + 1 / 2 + 1 / 3
    np.testing.assert_allclose(found, [[1, 0, -1, 0], [first, 0, 0, -first], [0, 0, 0, 0]], rtol=1e-6)


def test_a_margin_that_is_just_kept_is_no_violation():
    scores = np.array([[2.0, 1.0]], np.float32)
    assert not ale.ranking_step(scores, np.array([0]), np.array([[1]]), ale.ranking_weights(2)).any()


def test_the_first_epoch_of_two_classes_by_hand():
    """One batch from W = 0, where each image violates against the only other class with weight 1."""
    features = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    descriptions = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
    fitted = fit_one(ale.METHOD, Sample(features, np.array([0, 1])), descriptions, {"learning_rate": 0.5, "epochs": 1.0})
    difference = descriptions[0] - descriptions[1]
    np.testing.assert_allclose(fitted.compatibility, 0.5 * np.stack([difference, -difference]), rtol=1e-6)


def test_draws_are_of_other_classes_and_reach_all_of_them():
    labels = np.arange(4).repeat(200)
    draws = ale.drawn_classes(np.random.default_rng(0), labels, 4)
    assert draws.shape == (800, 3)
    assert not (draws == labels[:, None]).any()
    for label in range(4):
        counts = np.bincount(draws[labels == label].ravel(), minlength=4) / 600
        np.testing.assert_allclose(counts, [0 if c == label else 1 / 3 for c in range(4)], atol=0.07)


def test_stops_on_the_way_are_what_a_training_of_that_length_gives():
    world = linear_world("unit", images=6)
    path = list(ale.METHOD.path(world.sample, world.seen, {"learning_rate": (0.1,), "epochs": (1.0, 4.0)}))
    alone = world.fit(ale.METHOD, learning_rate=0.1, epochs=4.0)
    np.testing.assert_array_equal(path[1][1].compatibility, alone.compatibility)


@pytest.mark.parametrize("rate", [0.03, 0.3])
def test_classifies_unseen_classes_of_a_linear_world(rate):
    world = linear_world("unit")
    assert world.unseen_accuracy(world.fit(ale.METHOD, learning_rate=rate, epochs=10.0)) > 0.9
