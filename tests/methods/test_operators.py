"""Importance as a linear operator: against nested tapes, in values and in gradients, for every kind of tail."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.compute.distributed import Team
from niwt_tf.config.backbones import BACKBONES
from niwt_tf.errors import InputError
from niwt_tf.methods import operators
from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.operators import (
    FactoredOperator,
    KeptOperator,
    cheaper_mode,
    check_memory,
    factor_tail,
    jacobian_of,
    mean_operators,
    tail_operator,
)
from niwt_tf.models.backbones import build_network
from tests.shared import further

LAYERS = keras.layers


def fully_connected(dtype="float32", depth=2, seed=0):
    """A tail of VGG16's kind, with `depth` fully connected layers."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5, 4, 3), dtype=dtype)
    flat = LAYERS.Flatten(dtype=dtype)(LAYERS.MaxPooling2D(2, dtype=dtype)(inputs))
    for number in range(depth):
        flat = LAYERS.Dense(6 + number, activation="relu", bias_initializer="normal", dtype=dtype)(flat)
        flat = LAYERS.Dropout(0.5, dtype=dtype)(flat)
    return keras.Model(inputs, flat)


def convolutional(dtype="float32", seed=0, pool=LAYERS.MaxPooling2D):
    """A tail that has no factors: its Jacobian differs from image to image through a convolution."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4, 4, 3), dtype=dtype)
    hidden = LAYERS.Conv2D(5, 3, activation="relu", dtype=dtype)(inputs)
    flat = LAYERS.Flatten(dtype=dtype)(pool(2, dtype=dtype)(hidden))
    return keras.Model(inputs, LAYERS.Dense(4, activation="relu", dtype=dtype)(flat))


TAILS = {
    "one dense": lambda dtype: fully_connected(dtype, 1),
    "two dense": lambda dtype: fully_connected(dtype, 2),
    "three dense": lambda dtype: fully_connected(dtype, 3),
    "convolution": convolutional,
}


def maps_for(tail, count=6, dtype="float32"):
    shape = (count, *tail.input_shape[1:])
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def by_tape(tail, maps, columns, values):
    """Return importances [P, C, N] of columns [D, C] and the gradient [D, C] of <importances, values>, by nested tapes."""
    images, classes = len(maps), columns.shape[1]
    repeated = tf.constant(np.repeat(maps, classes, axis=0))
    with tf.GradientTape() as tape:
        watched = tf.constant(columns)
        tape.watch(watched)
        found = importance_of_maps(tail, repeated, tf.tile(tf.transpose(watched), [images, 1]))
        found = tf.reshape(found, [images, classes, -1])
        product = tf.reduce_sum(found * values)
    return found.numpy(), tape.gradient(product, watched).numpy()


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def compare(tail, made, maps, tolerance, classes=3, jit=False):
    generator = np.random.default_rng(2)
    columns = generator.normal(size=(made.num_features, classes)).astype(maps.dtype)
    values = generator.normal(size=(len(maps), classes, made.num_neurons)).astype(maps.dtype)
    expected, gradient = by_tape(tail, maps, columns, values)
    every = tf.range(len(maps))

    @tf.function(jit_compile=jit)
    def forward_and_back(given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            found = made.apply(given, every)
            product = tf.reduce_sum(found * values)
        return found, tape.gradient(product, given)

    found, back = (result.numpy() for result in forward_and_back(tf.constant(columns)))
    assert relative(found, expected) < tolerance
    assert relative(back, gradient) < tolerance


@pytest.mark.parametrize("jit", [False, *further(True)])  # tests of the backbones and of both modes have XLA too
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("kind", TAILS)
def test_values_and_gradients_are_those_of_nested_tapes(kind, dtype, tolerance, jit):
    tail = TAILS[kind](dtype)
    maps = maps_for(tail, dtype=dtype)
    # XLA has no forward derivative of a maximum in float64.
    made = tail_operator(tail, maps, jit=jit and dtype == "float32")
    assert isinstance(made, KeptOperator if kind == "convolution" else FactoredOperator)
    compare(tail, made, maps, tolerance, jit=jit)


@pytest.mark.parametrize("kind", TAILS)
def test_factored_and_kept_operators_agree(kind):
    tail = TAILS[kind]("float64")
    maps = maps_for(tail, dtype="float64")
    compare(tail, KeptOperator(tail, maps), maps, 1e-10)


LARGE = ("resnet50", "resnet101")
LARGER = (*LARGE, "efficientnet_v2_b0", "vgg16")
SMALLER = [name for name in BACKBONES if name not in LARGER]
CASES = [
    *((name, True) for name in SMALLER),
    *further(*((name, False) for name in SMALLER), *((name, jit) for name in LARGER for jit in (False, True))),
]


@pytest.mark.parametrize(("backbone", "jit"), CASES)
def test_every_backbone_of_the_table(backbone, jit):
    """Small images keep the tails of the large networks quick; their layers are the real ones."""
    size = 32 if backbone == "small_vgg" else 64
    network = build_network(backbone, ("a", "b"), input_size=size, seed=3)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    maps = network.trunk(pixels, training=False).numpy()
    # XLA takes minutes to compile a residual tail's derivative, so there only the products are compiled.
    made = tail_operator(network.tail, maps, jit=jit and backbone not in LARGE)
    compare(network.tail, made, maps, 1e-5, classes=2, jit=jit)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("jit", [True, *further(False)])
def test_both_modes_give_the_same_matrix(mode, jit):
    tail = convolutional("float64", pool=LAYERS.AveragePooling2D)
    conv_map = maps_for(tail, 1, "float64")[0]
    matrix = jacobian_of(tail, mode, jit=jit)(conv_map)
    expected, _ = by_tape(tail, conv_map[None], np.eye(4), np.zeros((1, 4, 3)))
    np.testing.assert_allclose(matrix, expected[0].T, rtol=1e-10, atol=1e-14)


def test_the_cheaper_mode_goes_by_rows_and_columns():
    assert cheaper_mode(160, 1280) == "forward"
    assert cheaper_mode(2048, 64) == "reverse"


def test_chunks_do_not_change_the_matrix(monkeypatch):
    tail = convolutional()
    conv_map = maps_for(tail, 1)[0]
    whole = jacobian_of(tail)(conv_map)
    monkeypatch.setattr("niwt_tf.methods.operators._LARGEST_TENSOR", 50)  # one row at a time
    np.testing.assert_allclose(jacobian_of(tail)(conv_map), whole, rtol=1e-6)


@pytest.mark.parametrize("kind", TAILS)
def test_means_over_groups(kind):
    tail = TAILS[kind]("float64")
    maps = maps_for(tail, dtype="float64")
    made = tail_operator(tail, maps)
    alone = made.apply(tf.eye(made.num_features, dtype=tf.float64), tf.range(6)).numpy().transpose(0, 2, 1)
    np.testing.assert_allclose(made.mean(), alone.mean(axis=0), rtol=1e-9, atol=1e-12)
    members = np.array([[True] * 6, [True, False, True, False, False, False]])
    grouped = mean_operators(tail, maps, members)
    np.testing.assert_allclose(grouped, [alone.mean(axis=0), alone[[0, 2]].mean(axis=0)], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["two dense", "convolution"])
def test_a_team_of_three_has_the_mean_of_all_images(kind):
    """Each member sums its share; what they would exchange is added up by hand."""
    tail = TAILS[kind]("float64")
    maps, members = maps_for(tail, dtype="float64"), np.array([[True] * 6, [False, True, True, False, True, True]])
    parts = []

    class Recording(Team):
        def __init__(self, index, totals=None):
            self.index, self.size, self.totals = index, 3, totals

        def sum(self, *arrays):
            if self.totals is None:
                parts.append((self.index, arrays))
                return arrays
            return self.totals.pop(0)

    for index in range(3):
        mean_operators(tail, maps, members, team=Recording(index))
    calls = [[arrays for owner, arrays in parts if owner == index] for index in range(3)]
    totals = [tuple(sum(group) for group in zip(*each, strict=True)) for each in zip(*calls, strict=True)]
    found = mean_operators(tail, maps, members, team=Recording(1, totals))
    np.testing.assert_allclose(found, mean_operators(tail, maps, members), rtol=1e-6)


def test_a_hand_made_tail():
    """Map 2 x 2 x 1, maximum over all positions, one ReLU unit of kernel 3: M is 3 / 4 where it is active and 0 where not."""
    inputs = keras.Input((2, 2, 1))
    flat = LAYERS.Flatten()(LAYERS.GlobalMaxPooling2D(keepdims=True)(inputs))
    tail = keras.Model(inputs, LAYERS.Dense(1, activation="relu")(flat))
    tail.layers[-1].set_weights([np.array([[3.0]]), np.array([-1.0])])
    maps = np.array([[[[1.0], [2.0]], [[0.0], [0.5]]], [[[0.1], [0.2]], [[0.0], [0.1]]]], np.float32)
    made = tail_operator(tail, maps)
    found = made.apply(tf.constant([[2.0]]), tf.range(2)).numpy()
    np.testing.assert_allclose(found, [[[1.5]], [[0.0]]])
    np.testing.assert_allclose(mean_operators(tail, maps, np.ones((1, 2), bool)), [[[0.375]]])


def test_overlapping_and_padded_pools_drop_out_too():
    inputs = keras.Input((5, 5, 3), dtype="float64")
    pooled = LAYERS.AveragePooling2D(3, strides=2, padding="same", dtype="float64")(inputs)
    pooled = LAYERS.MaxPooling2D(2, strides=1, padding="same", dtype="float64")(pooled)
    tail = keras.Model(inputs, LAYERS.Dense(4, activation="relu", dtype="float64")(LAYERS.Flatten(dtype="float64")(pooled)))
    maps = maps_for(tail, dtype="float64")
    made = tail_operator(tail, maps)
    assert isinstance(made, FactoredOperator)
    compare(tail, made, maps, 1e-10)


def test_what_is_not_of_that_form_has_no_factors():
    inputs = keras.Input((4, 4, 3))
    assert factor_tail(convolutional()) is None
    assert factor_tail(keras.Model(inputs, LAYERS.GlobalAveragePooling2D()(inputs))) is None
    flat = LAYERS.Flatten()(inputs)
    assert factor_tail(keras.Model(inputs, LAYERS.Dense(3, activation="tanh")(flat))) is None
    assert factor_tail(keras.Model(inputs, LAYERS.Add()([LAYERS.Dense(3)(flat), LAYERS.Dense(3)(flat)]))) is None
    assert factor_tail(keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(LAYERS.ReLU()(inputs))))) is None


def test_an_activation_of_its_own_counts_as_a_mask():
    inputs = keras.Input((2, 2, 3), dtype="float64")
    hidden = LAYERS.ReLU(dtype="float64")(LAYERS.Dense(5, dtype="float64")(LAYERS.Flatten(dtype="float64")(inputs)))
    tail = keras.Model(inputs, LAYERS.Activation("relu", dtype="float64")(LAYERS.Dense(4, dtype="float64")(hidden)))
    assert factor_tail(tail).masked == (True, True)
    maps = maps_for(tail, dtype="float64")
    compare(tail, tail_operator(tail, maps), maps, 1e-10)


def test_dead_neurons_give_zero_rows():
    tail = fully_connected("float64", 1)
    kernel, bias = tail.layers[-2].get_weights()
    tail.layers[-2].set_weights([kernel, bias - 1e6])
    maps = maps_for(tail, dtype="float64")
    np.testing.assert_array_equal(mean_operators(tail, maps, np.ones((1, 6), bool)), np.zeros((1, 3, 6)))


def test_what_does_not_fit_in_memory_is_refused_with_what_would(monkeypatch):
    monkeypatch.setattr(operators, "free_memory", lambda: 8e6)
    with pytest.raises(InputError, match=r"take 0.4 GB of 0.0 GB allowed. --num_support=1 or --engine=closed_form"):
        check_memory(100, 500, 1000)
    with pytest.raises(InputError, match=r"allowed. --engine=closed_form would fit"):
        check_memory(100, 1000, 2000)
    check_memory(1, 500, 1000)
