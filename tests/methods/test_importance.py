import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.metrics.ranks import unit


def dense_tail(kernel, activation, dtype="float32"):
    """A tail of Flatten and Dense with the kernel [H*W*N, D] given, over a 2 x 1 map of two neurons."""
    inputs = keras.Input((2, 1, 2), dtype=dtype)
    flat = keras.layers.Flatten(dtype=dtype)(inputs)
    dense = keras.layers.Dense(kernel.shape[1], activation=activation, use_bias=False, dtype=dtype)
    tail = keras.Model(inputs, dense(flat))
    dense.set_weights([kernel])
    return tail


def test_by_hand_through_a_relu():
    # Rows are (position 0: neuron 0, neuron 1), (position 1: neuron 0, neuron 1). With a map of ones the features are
    # 1 + 2 + 3 + 4 = 10 (on) and -1 - 1 + 0 + 1 = -1 (off), so only the first column of the kernel counts.
    kernel = np.array([[1.0, -1.0], [2.0, -1.0], [3.0, 0.0], [4.0, 1.0]], np.float32)
    tail = dense_tail(kernel, "relu")
    maps = tf.ones((1, 2, 1, 2))
    importance = importance_of_maps(tail, maps, tf.constant([[0.5, 100.0]]))
    # Neuron 0: 0.5 * (1 + 3) / 2 positions; neuron 1: 0.5 * (2 + 4) / 2 positions.
    np.testing.assert_allclose(importance, [[1.0, 1.5]], rtol=1e-6)


def test_finite_differences_in_float64():
    generator = np.random.default_rng(0)
    tail = dense_tail(generator.normal(size=(4, 3)), "softplus", "float64")
    maps = generator.normal(size=(3, 2, 1, 2))
    columns = generator.normal(size=(3, 3))
    importance = importance_of_maps(tail, tf.constant(maps), tf.constant(columns)).numpy()
    step = 1e-6
    for neuron in range(2):
        shift = np.zeros((2, 1, 2))
        # Moving a neuron at every position at once by step / (H W) moves the logit by step times its importance.
        shift[:, :, neuron] = step / 2
        up, down = (np.sum(tail(tf.constant(maps + sign * shift)).numpy() * columns, axis=1) for sign in (1, -1))
        np.testing.assert_allclose(importance[:, neuron], (up - down) / (2 * step), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_gives_the_same(jit_compile):
    generator = np.random.default_rng(1)
    tail = dense_tail(generator.normal(size=(4, 3)).astype(np.float32), "relu")
    maps = tf.constant(generator.normal(size=(5, 2, 1, 2)), tf.float32)
    columns = tf.constant(generator.normal(size=(5, 3)), tf.float32)
    compiled = tf.function(lambda m, c: importance_of_maps(tail, m, c), jit_compile=jit_compile)
    np.testing.assert_allclose(compiled(maps, columns), importance_of_maps(tail, maps, columns), rtol=1e-5, atol=1e-6)


def test_unit_keeps_a_zero_vector():
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])
