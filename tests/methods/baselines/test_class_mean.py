import numpy as np

from niwt_tf.methods.baselines.class_mean import METHOD
from niwt_tf.methods.baselines.linear import Sample
from tests.methods.baselines.linear_world import fit_one, linear_world, scores_of


def test_means_by_hand():
    """Seen means (1, 1) and (3, 5), descriptions 0 and 1: the slope is (2, 4) without a penalty, half of it with p = 1/2."""
    features = np.array([[0.0, 0.0], [2.0, 2.0], [3.0, 5.0]], np.float32)
    sample, seen = Sample(features, np.array([0, 0, 1])), np.array([[0.0], [1.0]])
    fitted = fit_one(METHOD, sample, seen, {"penalty": 0.5})
    columns, biases = fitted.columns(np.array([[2.0]]))
    predicted = np.array([2.0, 3.0]) + 1.5 * np.array([1.0, 2.0])
    np.testing.assert_allclose(columns[:, 0], 2 * predicted)
    np.testing.assert_allclose(biases, -(predicted**2).sum())
    own, own_biases = fitted.seen_columns(seen)
    np.testing.assert_allclose(own.T, [[2, 2], [6, 10]])
    np.testing.assert_allclose(own_biases, [-2, -34])


def test_the_linear_form_is_the_nearest_mean():
    world = linear_world()
    fitted = world.fit(METHOD, penalty=0.1)
    means = np.concatenate([world.sample.class_means, world.new @ fitted.weights + fitted.bias])
    distances = ((world.unseen_features[:, None] - means[None]) ** 2).sum(axis=2)
    scores = scores_of(fitted, world.unseen_features, world.seen, world.new)
    np.testing.assert_array_equal(scores.argmax(axis=1), distances.argmin(axis=1))
    assert world.unseen_accuracy(fitted) > 0.9
