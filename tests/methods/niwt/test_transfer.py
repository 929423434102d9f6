import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.niwt import transfer
from niwt_tf.methods.niwt.transfer import (
    TransferOptions,
    initial_columns,
    minimise,
    penalty,
    reshuffled,
    transfer_columns,
    transfer_loss,
)
from tests.shared import further

NEURONS, FEATURES = 5, 6


@pytest.fixture(scope="module")
def toy():
    """A linear tail, so that importance is the same for every image and an exact column exists."""
    generator = np.random.default_rng(0)
    inputs = keras.Input((2, 2, NEURONS))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    tail = keras.Model(inputs, keras.layers.Dense(FEATURES, use_bias=False)(pooled))
    tail.layers[-1].set_weights([generator.normal(size=(NEURONS, FEATURES)).astype(np.float32)])
    maps = generator.normal(size=(7, 2, 2, NEURONS)).astype(np.float32)
    seen = generator.normal(size=(FEATURES, 4)).astype(np.float32)
    return tail, maps, seen, generator.normal(size=(3, NEURONS)).astype(np.float32)


def solve(toy, **changes):
    tail, maps, seen, targets = toy
    options = TransferOptions(**{"regularization": 0.0, "learning_rate": 0.05, "batch_size": 6, "max_steps": 400, **changes})
    return transfer_columns(tail, maps, targets, seen, np.array([1.0, 2.0, 3.0, 4.0]), options)


def test_importance_of_the_new_columns_points_where_the_map_said(toy):
    tail, maps, _, targets = toy
    solved = solve(toy)
    for unseen in range(3):
        columns = tf.repeat(solved.columns[None, :, unseen], len(maps), axis=0)
        importance = importance_of_maps(tail, tf.constant(maps), columns).numpy()
        cosine = importance @ targets[unseen] / np.linalg.norm(importance, axis=1) / np.linalg.norm(targets[unseen])
        assert cosine.min() > 0.99
    assert solved.mean_cosine > 0.99
    np.testing.assert_allclose(solved.biases, 2.5)


def test_only_the_new_columns_move_and_a_seed_repeats(toy):
    tail = toy[0]
    before = [value.numpy() for value in tail.weights]
    first, again, other = solve(toy, seed=1, max_steps=20), solve(toy, seed=1, max_steps=20), solve(toy, seed=2, max_steps=20)
    np.testing.assert_array_equal(first.columns, again.columns)
    assert np.abs(first.columns - other.columns).max() > 1e-3
    for old, new in zip(before, tail.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_by_default_the_descent_goes_down(toy):
    tail, maps, seen, targets = toy
    found = transfer_columns(tail, maps, targets, seen, np.zeros(4), TransferOptions(max_steps=100))
    assert found.losses[-1] < found.losses[0] - 0.1


@pytest.mark.parametrize("regularizer", ["norm", *further("squared")])
def test_a_strong_regulariser_keeps_columns_at_the_mean_seen_column(toy, regularizer):
    solved = solve(toy, regularization=100.0, regularizer=regularizer, patience=400)
    distance = np.linalg.norm(solved.columns - toy[2].mean(axis=1, keepdims=True), axis=0)
    assert distance.max() < 0.2


def test_stops_after_patience_without_one_percent(toy):
    solved = solve(toy, learning_rate=1e-12, patience=5, batch_size=21)
    assert len(solved.losses) <= 15


def test_initial_columns_have_the_statistics_of_the_seen_ones():
    seen = np.array([[1.0, 3.0], [5.0, 5.0]], np.float32)
    columns = initial_columns(seen, 20_000, seed=0)
    np.testing.assert_allclose(columns.mean(axis=1), [2.0, 5.0], atol=0.05)
    np.testing.assert_allclose(columns.std(axis=1), [1.0, 0.0], atol=0.05)


def test_loss_and_its_gradient_by_the_columns_in_float64():
    generator = np.random.default_rng(5)
    inputs = keras.Input((2, 1, NEURONS), dtype="float64")
    hidden = keras.layers.Dense(FEATURES, activation="softplus", dtype="float64")
    tail = keras.Model(inputs, hidden(keras.layers.Flatten(dtype="float64")(inputs)))
    maps = tf.constant(generator.normal(size=(4, 2, 1, NEURONS)))
    classes = tf.constant([0, 1, 1, 0])
    targets = tf.math.l2_normalize(tf.constant(generator.normal(size=(2, NEURONS))), axis=1)
    mean_column = tf.constant(generator.normal(size=FEATURES))
    options = TransferOptions(regularization=0.3)
    columns = tf.constant(generator.normal(size=(2, FEATURES)))

    def loss(value):
        return transfer_loss(tail, value, maps, classes, targets, mean_column, options)[0]

    with tf.GradientTape() as tape:
        tape.watch(columns)
        value = loss(columns)
    gradient = tape.gradient(value, columns).numpy()
    for index in np.ndindex(2, FEATURES):
        shift = np.zeros((2, FEATURES))
        shift[index] = 1e-6
        numeric = (loss(columns + shift) - loss(columns - shift)).numpy() / 2e-6
        assert gradient[index] == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def test_the_penalty_by_hand():
    """The distances are 5 and 0, so half the squares are 12.5 and 0."""
    columns, anchor = tf.constant([[4.0, 5.0], [1.0, 1.0]]), tf.constant([1.0, 1.0])
    for regularizer, expected in (("norm", 2.5), ("squared", 6.25)):
        options = TransferOptions(regularization=2.0, regularizer=regularizer)
        assert float(penalty(columns, anchor, options)) == pytest.approx(2.0 * expected, rel=1e-5)


def _descent(losses, cosines=None, patience=3, on_step=None):
    """Minimise a loss whose value at each step is given, whatever the columns are."""
    given = zip(losses, losses if cosines is None else cosines, strict=True)
    batches = ((np.float32(loss), np.float32(cosine)) for loss, cosine in given)

    def loss_of(columns, loss, cosine):
        return loss + 0.0 * tf.reduce_sum(columns), cosine

    options = TransferOptions(max_steps=len(losses), patience=patience)
    seen = np.ones((FEATURES, 4), np.float32)
    return minimise(loss_of, batches, 2, seen, np.array([1.0, 2.0, 3.0, 6.0]), options, on_step)


def test_the_cosine_that_is_told_is_the_mean_over_the_last_ten_steps():
    cosines = [100.0, 50.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert _descent([1.0] * 12, cosines, patience=99).mean_cosine == pytest.approx(5.5)
    assert _descent([1.0] * 2, [1.0, 2.0]).mean_cosine == pytest.approx(1.5)


def test_only_one_percent_less_is_an_improvement():
    # 98.5 is one, after which the limit is 97.515; three steps without another are the patience.
    assert len(_descent([100.0, 98.5, 97.6, 97.6, 97.6, 1.0]).losses) == 5
    assert len(_descent([100.0, 98.5, 97.4, 97.4, 97.4, 97.4, 1.0]).losses) == 6
    # Just 1 % less is not enough.
    assert len(_descent([100.0, 99.0, 99.0, 99.0, 1.0]).losses) == 4


def test_each_step_is_told_with_its_loss_and_the_biases_are_the_mean_seen_one():
    told = []
    solved = _descent([4.0, 2.0, 1.0], on_step=lambda step, loss: told.append((step, loss)))
    assert told == [(0, 4.0), (1, 2.0), (2, 1.0)]
    np.testing.assert_array_equal(solved.losses, [4.0, 2.0, 1.0])
    np.testing.assert_array_equal(solved.biases, [3.0, 3.0])
    assert solved.columns.shape == (FEATURES, 2)


def test_every_index_is_drawn_once_before_any_is_drawn_again():
    batches = reshuffled(5, 3, np.random.default_rng(0))
    drawn = np.concatenate([next(batches) for _ in range(10)])
    assert all(sorted(part) == [0, 1, 2, 3, 4] for part in np.split(drawn, 6))
    assert len({tuple(part) for part in np.split(drawn, 6)}) > 1


def test_columns_are_drawn_around_the_seen_ones_in_each_dimension():
    seen = np.array([[1.0, 3.0], [5.0, 5.0], [-2.0, -4.0]], np.float32)
    drawn = np.random.default_rng(3).normal([[2.0], [5.0], [-3.0]], [[1.0], [0.0], [1.0]], (3, 4))
    np.testing.assert_allclose(initial_columns(seen, 4, seed=3), drawn, rtol=1e-6)


def test_a_column_at_the_anchor_has_no_penalty_and_a_finite_gradient():
    columns = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(columns)
        value = penalty(columns, tf.constant([1.0, 2.0]), TransferOptions(regularization=1.0))
    assert float(value) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_array_equal(tape.gradient(value, columns), [[0.0, 0.0]])


def test_images_and_classes_are_walked_through_by_one_stream_of_the_seed():
    pairs, random = transfer._pairs(7, 3, TransferOptions(batch_size=4, seed=5)), np.random.default_rng(6)
    images, classes = reshuffled(7, 4, random), reshuffled(3, 4, random)
    for _ in range(5):
        for drawn, expected in zip(next(pairs), (next(images), next(classes)), strict=True):
            np.testing.assert_array_equal(drawn, expected)
