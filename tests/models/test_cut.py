"""Which layers a network may be cut at."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.models.cut import check_not_degenerate, is_degenerate, output_of, split
from niwt_tf.models.layers import ClassHead


def branched(after_add="linear") -> keras.Model:
    """images -> a -> [b -> c, skip] -> add -> `after_add` -> global pooling -> head."""
    images = keras.Input((6, 6, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(images)
    inner = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="b")(first)
    inner = keras.layers.Conv2D(4, 3, padding="same", name="c")(inner)
    added = keras.layers.Add(name="add")([first, inner])
    last = keras.layers.Activation(after_add, name="last")(added)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(last)
    return keras.Model(images, ClassHead(["x", "y"], 2, "a", name="head")(pooled))


def test_trunk_and_tail_are_the_model():
    model = branched("relu")
    images = np.random.default_rng(0).uniform(0, 1, (3, 6, 6, 3)).astype(np.float32)
    for layer in ("a", "add", "last"):
        trunk, tail = split(model, layer)
        np.testing.assert_allclose(model.layers[-1](tail(trunk(images))), model(images), atol=1e-6)


def test_unknown_layer_lists_near_names():
    with pytest.raises(InputError, match="for instance add.* Received: 'ad'"):
        split(branched(), "ad")


def test_layer_without_a_map_is_refused():
    with pytest.raises(InputError, match="4-D output"):
        split(branched(), "pooled")


@pytest.mark.parametrize("layer", ["b", "c"])
def test_bypassed_layer_names_the_earlier_cut(layer):
    with pytest.raises(InputError, match="every path goes through.*nearest earlier layer that works is 'a'"):
        split(branched(), layer)


def test_a_linear_tail_is_degenerate_and_the_earlier_layer_is_offered():
    model = branched("linear")
    assert is_degenerate(model, "add")
    assert is_degenerate(model, "last")
    with pytest.raises(InputError, match="nearest earlier layer that works is 'a'. Received: 'last'"):
        check_not_degenerate(model, "last")
    check_not_degenerate(model, "a")


def test_a_relu_of_a_signed_map_is_not_degenerate_but_of_a_rectified_one_is():
    model = branched("relu")
    assert not is_degenerate(model, "add")
    assert is_degenerate(model, "last")


@pytest.mark.parametrize("pool", [keras.layers.GlobalMaxPooling2D(), keras.layers.GlobalAveragePooling2D()])
def test_pooling_before_linear_layers_is_degenerate(pool):
    images = keras.Input((6, 6, 3))
    conv_map = keras.layers.Conv2D(4, 3, name="conv")(images)
    pooled = pool(keras.layers.MaxPooling2D(2)(keras.layers.BatchNormalization()(conv_map)))
    features = keras.layers.Dense(5)(keras.layers.Dropout(0.5)(pooled))
    assert is_degenerate(keras.Model(images, ClassHead(["x"], 1, "conv")(features)), "conv")


def test_output_of_reads_the_models_own_graph_of_a_shared_layer():
    model = branched()
    first = output_of(model, "a")
    split(model, "a")  # the tail's graph gives later layers a second output
    assert output_of(model, "a") is first
    assert output_of(model, "last").shape == (None, 6, 6, 4)


def test_tail_under_nested_tapes_and_compilation():
    _, tail = split(branched("relu"), "a")

    def curvature(conv_map):
        with tf.GradientTape() as outer:
            outer.watch(conv_map)
            with tf.GradientTape() as inner:
                inner.watch(conv_map)
                value = tf.reduce_sum(tail(conv_map, training=False) ** 2)
            squared = tf.reduce_sum(inner.gradient(value, conv_map) ** 2)
        return outer.gradient(squared, conv_map)

    conv_map = tf.constant(np.random.default_rng(0).uniform(0, 1, (2, 6, 6, 4)), tf.float32)
    compiled = tf.function(curvature, jit_compile=True)(conv_map)
    np.testing.assert_allclose(compiled, curvature(conv_map), rtol=1e-4, atol=1e-6)
