"""Every row of the table at toy size."""

import random

import numpy as np
import pytest

from niwt_tf.config.backbones import BACKBONES
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from tests.shared import further

NAMES = ("cat", "dog", "eel")


# The largest are built for seconds.
_LARGE = ("efficientnet_v2_b0", "resnet101", "resnet50", "vgg16")
_EVERY = [*(name for name in sorted(BACKBONES) if name not in _LARGE), *further(*_LARGE)]


@pytest.mark.parametrize("backbone", _EVERY)
def test_trunk_tail_head_is_the_whole_network(backbone):
    network = build_network(backbone, NAMES, input_size=32)
    assert network.layer == BACKBONES[backbone].layer
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    whole = np.asarray(network.model(images, training=False))
    parts = network.head(network.tail(network.trunk(images, training=False), training=False))
    assert whole.shape == (2, 3)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    nested = [layer.name for layer in network.model.layers if hasattr(layer, "layers")]
    assert nested == [], "a flat graph, so that any convolution can be named"


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("block_14_ad", "for instance block_14_add"),
        ("out_relu", "nearest earlier layer that works is 'Conv_1_bn'"),
        ("block_14_expand", "every path goes through.*'block_13_project_BN'"),
    ],
)
def test_layers_of_mobilenet_that_are_refused(layer, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network("mobilenet_v2", NAMES, layer=layer, input_size=64)


def test_any_convolution_by_name():
    network = build_network("small_vgg", NAMES, layer="block2_conv", input_size=32)
    assert network.trunk.output_shape == (None, 16, 16, 32)


def test_seed_decides_the_weights_and_leaves_pythons_generator_alone():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    first, same, other = (build_network("small_vgg", NAMES, input_size=32, seed=seed) for seed in (5, 5, 6))
    assert random.random() == expected
    for one, two in zip(first.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.columns, other.columns)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"backbone": "small_vg"}, "backbone must be one of .*Did you mean 'small_vgg'"),
        ({"input_size": 8}, "input_size must be at least 16"),
        ({"dropout": 1.0}, "dropout must be in"),
    ],
)
def test_arguments_out_of_range(options, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network(**{"backbone": "small_vgg", "class_names": NAMES, **options})
