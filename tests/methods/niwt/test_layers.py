"""How the operators of several layers are stacked."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.methods.niwt.layers import blocks_of, with_features
from niwt_tf.models.backbones import build_network


@pytest.mark.parametrize("layers", [(), ("features",), ("a", "features", "b"), ("a", "b"), ("features", "a")])
def test_the_operator_of_the_features_is_the_identity_and_the_others_keep_their_order(layers):
    """Of two partitions and three features; layer a has two neurons and layer b four."""
    made = {name: np.full((2, size, 3), size, np.float32) for name, size in (("own", 5), ("a", 2), ("b", 4))}
    found = with_features(layers, [made["own"], *(made[name] for name in layers if name != "features")])
    expected = [made["own"], *(np.stack([np.eye(3)] * 2) if name == "features" else made[name] for name in layers)]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float32


def test_blocks_are_as_large_as_their_layers():
    network = build_network("small_vgg", ("a", "b"), input_size=16)
    # One name before `features` in the alphabet, and one after.
    found = blocks_of(network, ["features", "block3_relu", "preprocess"], (1, 0.3, 0.5, 2))
    assert found.sizes == (network.num_neurons, network.num_features, 64, 3)
    assert found.weights == (1.0, 0.3, 0.5, 2.0)
