"""Adapted networks: through tensors and with assigned weights they are the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.methods.n3.adapted import body_of, features_of, targets_of, weights_of
from niwt_tf.methods.parameters import NetworkParameters
from niwt_tf.models.backbones import build_network
from niwt_tf.models.layers import ClassHead
from niwt_tf.models.network import Network
from studies.adaptation import adaptation_norms
from tests.shared import further


def _with_batch_norm():
    """Return a network with a depthwise convolution and batch norm, as MobileNet has them."""
    images = keras.Input((8, 8, 3))
    values = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(images)
    values = keras.layers.BatchNormalization(name="norm")(values)
    values = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(values)
    values = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(values))
    model = keras.Model(images, ClassHead(("a", "b"), 2, "conv", name="head")(values))
    for number, weight in enumerate(model.weights):
        shape = weight.shape
        drawn = np.random.default_rng(number).normal(size=shape)
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.path else drawn)
    return Network(model, "conv")


NETWORKS = {
    "small_vgg": lambda: build_network("small_vgg", ("a", "b"), input_size=16, seed=1),
    "batch norm": _with_batch_norm,
}


@pytest.mark.parametrize(
    ("name", "adapt"), [("small_vgg", "film"), ("batch norm", "all"), *further(("small_vgg", "all"), ("batch norm", "film"))]
)
def test_tensors_and_assigned_weights_give_the_same_features(name, adapt):
    network = NETWORKS[name]()
    targets, rng = targets_of(network, adapt), np.random.default_rng(0)
    adaptations = [
        tf.constant(0.1 * target.scale * rng.normal(size=(target.columns, target.size)), tf.float32) for target in targets
    ]
    images = rng.uniform(0, 255, (3, network.input_size, network.input_size, 3)).astype(np.float32)
    weights = weights_of(network, targets, adaptations, 0.9, adapt)
    body = body_of(network)
    found = tf.function(lambda batch: features_of(body, weights_of(network, targets, adaptations, 0.9, adapt), batch))(images)
    head = np.zeros((network.num_features, 2), np.float32), np.zeros(2, np.float32)
    parameters = NetworkParameters(("a", "b"), {path: np.asarray(each) for path, each in weights.items()}, *head, 0)
    assigned = body_of(parameters.apply(network))(images, training=False)
    np.testing.assert_allclose(found, assigned, atol=1e-5 * np.abs(assigned).max())
    assert np.abs(assigned - body_of(network)(images, training=False)).max() > 0.01 * np.abs(assigned).max()
    paths = {target.path for target in targets}
    assert "head/kernel" not in paths and not any("moving" in path or "gamma" in path for path in paths)


def test_the_unit_of_a_shift_is_what_a_channel_sums_up():
    network = _with_batch_norm()
    units = {target.path: target.scale for target in targets_of(network, "all")}
    kernel = next(each.numpy() for each in network.model.weights if each.path == "depthwise/kernel")
    assert kernel.shape == (3, 3, 4, 2)  # each of the 8 channels sums up 9 numbers
    assert units["depthwise/bias"] == pytest.approx(3 * np.sqrt(np.mean(np.square(kernel))), rel=1e-5)


def test_a_channel_is_scaled_by_film_and_written_whole_by_all():
    network = _with_batch_norm()
    film, every = ({target.path: target for target in targets_of(network, adapt)} for adapt in ("film", "all"))
    assert (film["conv/kernel"].columns, film["conv/kernel"].size) == (4, 1)
    assert (every["conv/kernel"].columns, every["conv/kernel"].size) == (4, 27)
    assert (every["depthwise/kernel"].columns, every["depthwise/kernel"].size) == (8, 9)
    assert targets_of(network, "head") == []
    columns = [tf.zeros([target.columns, target.size]) for target in film.values()]
    columns[list(film).index("conv/kernel")] = tf.constant([[film["conv/kernel"].scale], [0.0], [0.0], [0.0]])
    made = weights_of(network, list(film.values()), columns, 1.0, "film")["conv/kernel"]
    base = next(each for each in network.model.weights if each.path == "conv/kernel").numpy()
    np.testing.assert_allclose(made, base * np.array([2, 1, 1, 1], np.float32), rtol=1e-5)


def test_norms_of_the_adaptation_by_layer():
    network = build_network("small_vgg", ("a", "b"), input_size=16, seed=1)
    kernel, bias = network.model.trainable_variables[:2]
    bias.assign(np.zeros(bias.shape))
    weights = {kernel.path: 1.25 * kernel.numpy(), bias.path: np.ones(bias.shape)}
    norms = adaptation_norms(network, weights)
    assert norms[kernel.path] == pytest.approx(0.25, rel=1e-5) and np.isnan(norms[bias.path])
