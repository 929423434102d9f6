import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.method.importance import importance_of_maps
from niwt_tf.method.operator import mean_cosine, mean_operators, solve_columns
from niwt_tf.method.transfer import TransferOptions, transfer_columns


def bent_tail(neurons=3, features=4, seed=0):
    """A tail with convolution, max-pooling and a ReLU: its Jacobian differs from image to image."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4, 4, neurons))
    hidden = keras.layers.Conv2D(5, 3, activation="relu")(inputs)
    flat = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(hidden))
    return keras.Model(inputs, keras.layers.Dense(features, activation="relu")(flat))


@pytest.fixture(scope="module")
def world():
    generator = np.random.default_rng(0)
    maps = generator.normal(size=(6, 4, 4, 3)).astype(np.float32)
    return bent_tail(), maps, generator.normal(size=(4, 5)).astype(np.float32)


def test_forward_mode_equals_the_tape_image_by_image(world):
    tail, maps, columns = world
    operators = mean_operators(tail, maps, np.eye(len(maps), dtype=bool))
    for index, operator in enumerate(operators):
        repeated = tf.repeat(maps[index : index + 1], columns.shape[1], axis=0)
        expected = importance_of_maps(tail, repeated, tf.constant(columns.T)).numpy()
        np.testing.assert_allclose((operator @ columns).T, expected, rtol=1e-5, atol=1e-6)


def test_groups_are_means_of_their_members(world):
    tail, maps, _ = world
    alone = mean_operators(tail, maps, np.eye(len(maps), dtype=bool))
    members = np.array([[True] * 6, [True, False, True, False, False, False]])
    grouped = mean_operators(tail, maps, members)
    np.testing.assert_allclose(grouped, [alone.mean(axis=0), alone[[0, 2]].mean(axis=0)], rtol=1e-5, atol=1e-7)


def test_columns_equal_the_normal_equations():
    generator = np.random.default_rng(1)
    operator, seen = generator.normal(size=(5, 8)), generator.normal(size=(8, 6))
    importances = generator.normal(size=(2, 5))
    columns = solve_columns(operator, importances, seen, 0.3)
    length = np.linalg.norm(operator @ seen, axis=0).mean()
    targets = length * importances.T / np.linalg.norm(importances, axis=1)
    mean, penalty = seen.mean(axis=1, keepdims=True), 0.3 * np.trace(operator @ operator.T) / 5
    expected = np.linalg.solve(operator.T @ operator + penalty * np.eye(8), operator.T @ targets + penalty * mean)
    np.testing.assert_allclose(columns, expected, rtol=1e-5)


def test_limits_of_lambda():
    generator = np.random.default_rng(2)
    operator, seen = generator.normal(size=(5, 8)), generator.normal(size=(8, 6))
    importances = generator.normal(size=(3, 5))
    exact, held = (solve_columns(operator, importances, seen, strength) for strength in (1e-9, 1e9))
    assert mean_cosine(operator, exact, importances) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(held, np.repeat(seen.mean(axis=1, keepdims=True), 3, axis=1), atol=1e-5)


def test_both_engines_find_the_same_directions_where_the_tail_is_linear():
    generator = np.random.default_rng(3)
    inputs = keras.Input((2, 2, 4))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    tail = keras.Model(inputs, keras.layers.Dense(4, use_bias=False)(pooled))
    tail.layers[-1].set_weights([generator.normal(size=(4, 4)).astype(np.float32) + 2 * np.eye(4, dtype=np.float32)])
    maps = generator.normal(size=(3, 2, 2, 4)).astype(np.float32)
    seen, importances = generator.normal(size=(4, 5)).astype(np.float32), generator.normal(size=(2, 4)).astype(np.float32)
    operator = mean_operators(tail, maps, np.ones((1, 3), bool))[0]
    options = TransferOptions(regularization=1e-9, learning_rate=0.02, batch_size=6, max_steps=1500, patience=1500)
    taped = transfer_columns(tail, maps, importances, seen, np.zeros(5), options).columns
    solved = solve_columns(operator, importances, seen, 1e-9)
    for tape, closed in zip(taped.T, solved.T, strict=True):
        assert tape @ closed / np.linalg.norm(tape) / np.linalg.norm(closed) > 0.999
