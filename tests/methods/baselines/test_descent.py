import numpy as np
import tensorflow as tf

from niwt_tf.methods.baselines.descent import Descent, shuffled, uniform


def test_steps_by_hand():
    """Loss w^2 / 2 with decay 1 has the gradient 2 w; the bias [1] is not decayed. Adam as in its paper."""
    descent = Descent(
        [np.array([[3.0]]), np.array([5.0])],
        lambda weights, batch: tf.reduce_sum(weights[0] ** 2) / 2 + tf.reduce_sum(weights[1] ** 2) / 2,
        learning_rate=0.1,
        weight_decay=1.0,
    )
    values = np.array([3.0, 5.0])
    first, second = np.zeros(2), np.zeros(2)
    for step in (1, 2, 3):
        gradient = values * [2, 1]
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        values = values - 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    descent.run(np.zeros((2, 0)))
    descent.run(np.zeros((1, 0)))  # goes on from where it was
    np.testing.assert_allclose([descent.weights[0][0, 0], descent.weights[1][0]], values, rtol=1e-5)


def test_the_loss_is_given_the_batches():
    data = tf.constant([1.0, 10.0, 100.0])
    seen = tf.Variable(0.0)

    def loss(weights, batch):
        seen.assign_add(tf.reduce_sum(tf.gather(data, batch)))
        return tf.reduce_sum(weights[0])

    Descent([np.zeros(1)], loss, learning_rate=1.0, weight_decay=0).run(np.array([[0, 2], [1, 1]]))
    assert float(seen) == 121


def test_shuffled_batches_hold_every_image_once():
    batches = shuffled(np.random.default_rng(0), 10, 5)
    assert sorted(batches.ravel().tolist()) == list(range(10))
    assert shuffled(np.random.default_rng(0), 10, 4).shape == (2, 4)
    assert shuffled(np.random.default_rng(0), 3, 8).shape == (1, 3)


def test_uniform_has_the_variance():
    assert abs(uniform(np.random.default_rng(0), (200, 200), 0.5).var() - 0.5) < 0.02
