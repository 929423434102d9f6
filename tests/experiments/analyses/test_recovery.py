"""Columns back from importances: exact where every direction is told of, and linear in the noise."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.experiments.analyses.weight_recovery import ColumnSolver, importance_system, tail_matrices
from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.operators import jacobian_of
from tests.shared import further

NEURONS, FEATURES, CLASSES = 4, 7, 3


def _tail(convolution: bool = False) -> keras.Model:
    """Return a tail of more features than neurons, with or without factors."""
    entry = keras.Input((2, 2, NEURONS))
    inner = keras.layers.Conv2D(5, 2, activation="relu", padding="same")(entry) if convolution else entry
    flat = keras.layers.Flatten()(inner)
    model = keras.Model(entry, keras.layers.Dense(FEATURES, activation="relu")(flat))
    random = np.random.default_rng(1)
    model.set_weights([random.normal(size=weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).normal(size=(40, 2, 2, NEURONS)).astype(np.float32)


@pytest.fixture(scope="module")
def columns():
    return np.random.default_rng(2).normal(size=(FEATURES, CLASSES)).astype(np.float32)


@pytest.mark.parametrize("convolution", [True, *further(False)])
def test_exact_importances_give_the_columns_back(maps, columns, convolution):
    tail = _tail(convolution)
    system = importance_system(tail, [tf.constant(maps[:25]), tf.constant(maps[25:])], columns, draws=2, seed=0)
    solver = system.solver()
    assert (system.num_images, solver.rank) == (40, FEATURES)
    assert np.linalg.matrix_rank(system.mean) <= NEURONS < FEATURES  # the mean alone could not
    np.testing.assert_allclose(solver.columns(system.right), columns, rtol=1e-7, atol=1e-8)
    assert system.disagreement < 1e-5


@pytest.mark.parametrize("convolution", [True, *further(False)])
def test_matrices_are_the_jacobian_and_give_the_gradient(maps, columns, convolution):
    tail = _tail(convolution)
    matrices = tail_matrices(tail)(tf.constant(maps[:3])).numpy()
    np.testing.assert_allclose(matrices, np.stack([jacobian_of(tail)(each) for each in maps[:3]]), rtol=1e-4, atol=1e-5)
    asked = tf.constant(np.tile(columns[:, 1], (3, 1)))
    np.testing.assert_allclose(
        matrices @ columns[:, 1], importance_of_maps(tail, tf.constant(maps[:3]), asked), rtol=1e-4, atol=1e-5
    )


def test_what_noise_adds_is_what_it_adds_to_each_importance(maps, columns):
    tail = _tail()
    one = importance_system(tail, [tf.constant(maps[:1])], columns, draws=1, seed=5)
    matrix = tail_matrices(tail)(tf.constant(maps[:1])).numpy()[0]
    magnitude = np.abs(matrix @ columns.astype(np.float64)).mean(axis=0)
    noise = tf.random.stateless_normal([NEURONS, CLASSES], [5, -1], dtype=tf.float64).numpy()
    np.testing.assert_allclose(one.shared_noise[0], matrix.T @ (magnitude * noise), rtol=1e-9)
    assert not np.allclose(one.noise, one.shared_noise)
    both = importance_system(tail, [tf.constant(maps[:9])], columns, draws=1, seed=5)
    parts = importance_system(tail, [tf.constant(maps[:4]), tf.constant(maps[4:9])], columns, draws=1, seed=5)
    for name in ("gram", "right", "shared_noise", "mean"):
        np.testing.assert_allclose(getattr(both, name), getattr(parts, name), rtol=1e-9, atol=1e-12)


def test_a_direction_that_no_image_tells_of_is_left_at_zero():
    solver = ColumnSolver(np.diag([4.0, 1.0, 0.0]))
    assert solver.rank == 2
    np.testing.assert_allclose(solver.columns(np.array([[8.0], [3.0], [0.0]]))[:, 0], [2.0, 3.0, 0.0])
    shrunk = solver.columns(np.array([[8.0], [3.0], [0.0]]), 3.0)[:, 0]  # the mean eigenvalue is 5/3
    np.testing.assert_allclose(shrunk, [8 / 9, 3 / 6, 0.0])
