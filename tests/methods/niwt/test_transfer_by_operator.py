"""Descent on exact operators: the loss and gradient of the nested tape, found otherwise."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.methods.niwt import transfer_by_operator as by_operator
from niwt_tf.methods.niwt.transfer import TransferOptions, reshuffled, transfer_loss
from niwt_tf.methods.niwt.transfer_by_operator import operator_loss, transfer_by_operator
from niwt_tf.methods.operators import tail_operator
from tests.shared import further


@pytest.fixture(scope="module")
def world():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 3, 4), dtype="float64")
    hidden = keras.layers.Conv2D(6, 2, activation="relu", dtype="float64")(inputs)
    tail = keras.Model(inputs, keras.layers.GlobalMaxPooling2D(dtype="float64")(hidden))
    generator = np.random.default_rng(0)
    maps, columns = generator.normal(size=(5, 3, 3, 4)), generator.normal(size=(3, 6))
    targets = generator.normal(size=(3, 4))
    return tail, maps, columns, targets / np.linalg.norm(targets, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("regularizer", "jit"), [("norm", True), ("squared", False), *further(("norm", False), ("squared", True))]
)
def test_loss_and_gradient_are_those_of_the_nested_tape(world, regularizer, jit):
    tail, maps, columns, targets = world
    options = TransferOptions(regularization=0.1, regularizer=regularizer)
    made, mean = tail_operator(tail, maps), tf.constant(columns.mean(axis=0) + 1)
    images, classes = np.divmod(np.arange(15, dtype=np.int32), 3)

    @tf.function(jit_compile=jit)
    def fast(given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss, _ = operator_loss(made, given, tf.range(5), tf.constant(targets), mean, options)
        return loss, tape.gradient(loss, given)

    with tf.GradientTape() as tape:
        watched = tf.constant(columns)
        tape.watch(watched)
        pairs = tf.constant(maps[images]), tf.constant(classes)
        expected, _ = transfer_loss(tail, watched, *pairs, tf.constant(targets), mean, options)
    loss, gradient = fast(tf.constant(columns))
    np.testing.assert_allclose(loss, expected, rtol=1e-10)
    np.testing.assert_allclose(gradient, tape.gradient(expected, watched), rtol=1e-9, atol=1e-13)


@pytest.fixture(scope="module")
def operator(world):
    """Return that of the first image in single precision."""
    tail, maps, *_ = world
    single = keras.models.clone_model(
        tail, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    single.set_weights(tail.get_weights())
    return tail_operator(single, maps[:1].astype(np.float32))


@pytest.mark.slow
def test_it_meets_importances_that_can_be_met(world, operator):
    made, columns = operator, world[2]
    wanted = made.apply(tf.constant(columns.T, tf.float32), tf.constant([0])).numpy()[0]
    options = TransferOptions(regularization=1e-6, learning_rate=0.05, max_steps=600, patience=600)
    found = transfer_by_operator(made, wanted, columns.T.astype(np.float32), np.ones(3, np.float32), options)
    assert found.mean_cosine > 0.999
    assert found.losses[-1] < found.losses[0]
    np.testing.assert_array_equal(found.biases, np.ones(3, np.float32))
    nearer = transfer_by_operator(
        made, wanted, columns.T.astype(np.float32), np.ones(3, np.float32), options, start=columns.T.astype(np.float32)
    )
    assert nearer.losses[0] < 1e-5  # the columns that made the importances, first of all
    again = transfer_by_operator(made, wanted, columns.T.astype(np.float32), np.ones(3, np.float32), options)
    np.testing.assert_array_equal(found.columns, again.columns)


def test_only_the_direction_of_each_class_s_importances_matters(world, operator):
    seen, wanted = world[2].T.astype(np.float32), np.random.default_rng(2).normal(size=(3, 4))
    options, biases = TransferOptions(max_steps=1, patience=1), np.ones(seen.shape[1], np.float32)
    lengths = np.array([[1.0], [7.0], [0.5]])
    once, again = (transfer_by_operator(operator, each, seen, biases, options) for each in (wanted, lengths * wanted))
    np.testing.assert_allclose(once.losses, again.losses, rtol=1e-5)
    np.testing.assert_allclose(once.columns, again.columns, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("images", "a_step"), [(20, 8), (8, 8), (3, 3), (1, 1)])
def test_a_step_takes_eight_images_where_there_are_as_many(monkeypatch, images, a_step):
    """What the descent is started with: batches by the seed, and without a start the rate that was asked for."""
    given = {}
    monkeypatch.setattr(by_operator, "minimise", lambda *arguments: given.update(arguments=arguments))
    options = TransferOptions(learning_rate=0.25, seed=4)
    seen, biases = np.ones((6, 3), np.float32), np.ones(3, np.float32)
    transfer_by_operator(SimpleNamespace(num_images=images), np.ones((2, 4)), seen, biases, options)
    _, batches, num_unseen, *_, used, _, start = given["arguments"]
    assert (num_unseen, used, start) == (2, options, None)
    expected = reshuffled(images, a_step, np.random.default_rng(5))
    for _ in range(4):
        (drawn,) = next(batches)
        np.testing.assert_array_equal(drawn, next(expected))


def test_a_start_changes_by_a_tenth_of_its_mean_size_at_first(monkeypatch):
    given = {}
    monkeypatch.setattr(by_operator, "minimise", lambda *arguments: given.update(arguments=arguments))
    start = np.array([[1.0, -3.0]], np.float32)
    options = TransferOptions(learning_rate=0.25)
    transfer_by_operator(SimpleNamespace(num_images=3), np.ones((2, 4)), start, np.ones(2), options, start=start)
    assert given["arguments"][5].learning_rate == pytest.approx(0.2)
    assert given["arguments"][7] is start
