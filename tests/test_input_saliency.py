"""Saliency of pixels, by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.models.backbones import build_network
from studies.adaptation import input_saliency


def test_saliency_is_the_slope_of_the_margin():
    rng = np.random.default_rng(0)
    network = build_network("small_vgg", ("a", "b", "c"), input_size=16, seed=1)
    network = network.with_head(rng.normal(size=(network.num_features, 3)), np.zeros(3), ("a", "b", "c"), 3)
    pixels = rng.uniform(0, 255, (16, 16, 3)).astype(np.float32)
    found = input_saliency(network)(pixels, 2, 0)
    assert found.shape == (16, 16) and (found >= 0).all()
    row, column = np.unravel_index(found.argmax(), found.shape)
    moved = np.repeat(pixels[None], 6, axis=0)
    for channel in range(3):
        moved[2 * channel, row, column, channel] += 0.25
        moved[2 * channel + 1, row, column, channel] -= 0.25
    logits = network.model(moved, training=False).numpy()
    margins = (logits[:, 2] - logits[:, 0]).reshape(3, 2)
    assert found.max() == pytest.approx(np.abs(margins[:, 0] - margins[:, 1]).max() / 0.5, rel=0.05)
