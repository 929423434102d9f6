"""A bundle is a reusable module: for tensorflow_hub, and as the backbone of another network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.models.backbones import build_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).random((3, 16, 16, 3), dtype=np.float32)


def test_tensorflow_hub_loads_a_bundle(saved_model, network, images):
    import tensorflow_hub

    module = tensorflow_hub.load(str(saved_model))
    conv_map = network.trunk(255 * images, training=False)
    endpoints = module(tf.constant(images), training=False, return_endpoints=True)
    np.testing.assert_allclose(endpoints[network.layer], conv_map, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(module(tf.constant(images)), network.tail(conv_map, training=False), rtol=1e-4, atol=1e-5)
    assert len(module.variables) == len(network.model.weights) - len(network.head.weights)
    assert len(module.trainable_variables) == len(network.model.trainable_weights) - len(network.head.trainable_weights)
    assert not module.regularization_losses


def test_a_bundle_is_a_backbone(saved_model, network, images):
    other = build_network(f"hub:{saved_model}", ("x", "y"), layer=network.layer)
    np.testing.assert_allclose(other.trunk(255 * images), network.trunk(255 * images), rtol=1e-4, atol=1e-5)
    layer = other.model.get_layer(network.layer)
    assert {weight.name for weight in layer.weights}.isdisjoint({"columns", "labels", "slots"})
    before = [weight.numpy().copy() for weight in layer.trainable_weights]
    other.model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    other.model.fit(255 * images, np.array([0, 1, 0]), verbose=0)
    moved = [np.abs(weight.numpy() - old).max() for weight, old in zip(layer.trainable_weights, before, strict=True)]
    assert sum(step > 1e-4 for step in moved) >= 4  # the kernels up to the layer
