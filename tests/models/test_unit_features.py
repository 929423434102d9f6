"""Features of length 1 between tail and head."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from niwt_tf.models.backbones import build_network
from niwt_tf.models.layers import UnitFeatures
from niwt_tf.models.network import Network, in_precision


def test_lengths_are_1_and_zeros_stay():
    features = np.array([[3.0, 4.0], [0.0, 0.0], [1e-6, 0.0]], np.float32)
    np.testing.assert_allclose(UnitFeatures()(features), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-5)


@pytest.fixture(scope="module")
def networks():
    plain = build_network("small_vgg", ("a", "b", "c"), input_size=16)
    return plain, plain.with_unit_features()


def test_it_belongs_to_the_tail_and_shares_the_weights(networks, tmp_path):
    plain, unit = networks
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    features = np.asarray(plain.tail(plain.trunk(images)))
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(unit.tail(unit.trunk(images)), features, atol=1e-6)
    logits = features @ unit.columns + unit.biases
    np.testing.assert_allclose(unit.model(images), logits, atol=1e-5)
    unit.save(tmp_path / "unit.keras")
    loaded = Network.load(tmp_path / "unit.keras")
    for other in (loaded, unit.copy(), unit.with_head(unit.columns, unit.biases, ("d", "e", "f"), 3)):
        np.testing.assert_allclose(other.model(images), logits, atol=1e-5)
    assert unit.class_names == plain.class_names


def test_half_precision_keeps_it_in_float32(networks):
    half = in_precision(networks[1], "mixed_bfloat16")
    images = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    features = keras.ops.convert_to_numpy(half.tail(half.trunk(images)))
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
