"""Cuts at fully connected layers, and the layers that stand for a network's depth."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.experiments.analyses.layer_depth import UnitNetwork, cut_at, depth_layers
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network
from tests.shared import further


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", ("a", "b"), input_size=16)


def test_trunk_tail_and_head_are_the_network(network):
    cut = cut_at(network.model, "fc1")
    assert isinstance(cut, UnitNetwork) and cut.trunk.output_shape[1:] == (1, 1, 256) and cut.num_features == 256
    images = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    logits = cut.head(cut.tail(cut.trunk(images, training=False), training=False))
    np.testing.assert_allclose(logits, network.model(images, training=False), rtol=1e-5, atol=1e-6)


def test_it_stays_cut_there_with_another_head(network):
    cut = cut_at(network.model, "fc1")
    wider = cut.expand(np.ones((256, 1)), np.zeros(1), ["c"])
    assert isinstance(wider, UnitNetwork) and wider.class_names == ("a", "b", "c")
    assert type(cut_at(network.model, "block2_relu")) is Network
    with pytest.raises(InputError, match=r"must be fully connected.*'block2_relu'"):
        UnitNetwork(network.model, "block2_relu")
    with pytest.raises(InputError, match="must name a layer"):
        cut_at(network.model, "block9_relu")


@pytest.mark.slow
def test_depth_is_the_last_of_each_block_and_every_fully_connected_layer(network):
    blocks = ["block1_relu", "block2_relu", "block3_relu", "block4_relu"]
    assert depth_layers(network.model, "block4_relu") == [*blocks, "fc1"]
    assert depth_layers(network.model, "block2_conv") == [blocks[0], "block2_conv", *blocks[1:], "fc1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "some", "most"),
    [
        ("mobilenet_v2", ["block_14_add"], 7),
        *further(
            ("vgg16", ["block1_conv2", "block5_conv3", "fc1", "fc2"], 7),
            ("resnet50", ["conv2_block3_out", "conv5_block1_out"], 7),
            ("efficientnet_v2_b0", ["block6g_add"], 10),
        ),
    ],
)
def test_depth_of_real_backbones(backbone, some, most):
    size = 224 if backbone == "vgg16" else 64
    network = build_network(backbone, ("a", "b"), input_size=size)
    layers = depth_layers(network.model, network.layer)
    assert set(some) <= set(layers) and 3 <= len(layers) <= most
    for name in some:
        cut_at(network.model, name)
