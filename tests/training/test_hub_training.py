"""What training does to a hub module: phases, its penalties and its statistics."""

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Images
from niwt_tf.models.backbones import build_network
from niwt_tf.models.hub import HubMap
from niwt_tf.training.trainer import train_seen
from tests.hub_modules import SIZE, save_reusable

NAMES = ("dark", "light")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_reusable(tmp_path_factory.mktemp("modules") / "reusable")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(16):
        pixels = random.uniform(0, 90, (SIZE, SIZE, 3)) + 160 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{number}.png")
    return Images(root, tuple(f"{number}.png" for number in range(16)), np.arange(16, dtype=np.int32) % 2, NAMES)


def _weights(network):
    return {weight.name: weight.numpy().copy() for weight in network.model.get_layer("net_first").weights}


def _trained(folder, images, **options):
    network = build_network(f"hub:{folder}", NAMES, layer="net/first", dropout=0.0, seed=2)
    before = _weights(network)
    train_seen(network, images, None, batch_size=8, learning_rate=1e-2, weight_decay=0.0, **options)
    return network, before, _weights(network)


@pytest.mark.slow
def test_a_head_alone_leaves_the_module_and_learns(folder, images):
    network, before, after = _trained(folder, images, finetune="head", epochs=60)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    pixels = np.stack([np.asarray(Image.open(images.root / path), np.float32) for path in images.paths])
    found = np.asarray(network.model(pixels, training=False)).argmax(axis=1)
    assert (found == images.labels).mean() > 0.9


@pytest.mark.slow
def test_all_trains_the_module_s_kernel_and_not_its_statistics(folder, images):
    network, before, after = _trained(folder, images, finetune="all", epochs=1, finetune_learning_rate=1e-3)
    assert np.abs(after["first_kernel"] - before["first_kernel"]).max() > 1e-4
    np.testing.assert_array_equal(after["norm_mean"], before["norm_mean"])
    assert after["steps"] == before["steps"] == 0
    assert not network.model.get_layer("net_first").inference


def test_from_scratch_trains_its_statistics_too(folder, images):
    _, before, after = _trained(folder, images, finetune="all", from_scratch=True, epochs=1)
    assert np.abs(after["norm_mean"] - before["norm_mean"]).max() > 1e-4
    assert after["steps"] == 2


@pytest.mark.slow
def test_the_module_s_penalty_pulls_at_its_weights(folder, images, monkeypatch):
    def kernel():
        return _trained(folder, images, finetune="all", epochs=1, finetune_learning_rate=1e-2)[2]["first_kernel"]

    with_penalty = kernel()
    np.testing.assert_array_equal(kernel(), with_penalty)
    monkeypatch.setattr(HubMap, "add_loss", lambda self, loss: None)
    assert np.abs(kernel() - with_penalty).max() > 1e-5
