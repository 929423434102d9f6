import numpy as np
import tensorflow as tf

from niwt_tf.explain.perturbing import curve_area, heat_order, probability_curve

# One image of 2 x 2 pixels whose mean is 1; only its upper left pixel matters.
PIXELS = tf.constant([[[[4.0] * 3, [0.0] * 3], [[0.0] * 3, [0.0] * 3]]])
HEAT = np.array([[[0.9, 0.5], [0.3, 0.1]]])
CLASSES = tf.constant([0])


def upper_left(pixels, classes):
    del classes
    return pixels[:, 0, 0, 0] / 4.0


def test_places_are_in_order_of_heat():
    order = heat_order(np.array([[[0.1, 0.9], [0.5, 0.3]]]), np.random.default_rng(0))
    np.testing.assert_array_equal(order, [[[0.75, 0.0], [0.25, 0.5]]])


def test_equal_heat_comes_in_random_order():
    orders = heat_order(np.zeros((2, 8, 8)), np.random.default_rng(0))
    assert np.any(orders[0] != orders[1])
    assert all(sorted(order.ravel().tolist()) == [i / 64 for i in range(64)] for order in orders)


def test_curves_by_hand():
    order = heat_order(HEAT, np.random.default_rng(0))
    np.testing.assert_allclose(probability_curve(upper_left, PIXELS, order, CLASSES, 4, put_back=True), [[0.25, 1, 1, 1, 1]])
    deletion = probability_curve(upper_left, PIXELS, order, CLASSES, 4, put_back=False)
    np.testing.assert_allclose(deletion, [[1, 0.25, 0.25, 0.25, 0.25]])


def test_deletion_is_the_insertion_of_the_reverse_order_backwards():
    random = np.random.default_rng(0)
    pixels = tf.constant(random.uniform(size=(3, 4, 4, 3)).astype(np.float32))
    order = heat_order(random.uniform(size=(3, 4, 4)), random)
    reverse = (np.float32(15 / 16) - order).astype(np.float32)

    def weighted(shown, classes):
        return tf.reduce_sum(shown[..., 0] * tf.reshape(tf.range(16.0), [4, 4]), axis=[1, 2]) + tf.cast(classes, tf.float32)

    classes = tf.constant([0, 1, 2])
    deletion = probability_curve(weighted, pixels, order, classes, 4, put_back=False)
    insertion = probability_curve(weighted, pixels, reverse, classes, 4, put_back=True)
    np.testing.assert_allclose(deletion, insertion[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(curve_area(deletion), curve_area(insertion), rtol=1e-6)
