"""Expanding, changing, saving and loading a network."""

import subprocess
import sys

import numpy as np
import pytest

from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network

NAMES = ("cat", "dog", "eel")


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", NAMES, input_size=32, seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)


def logits(network, images):
    return np.asarray(network.model(images, training=False))


def test_sizes(network):
    assert (network.input_size, network.num_neurons, network.num_features, network.num_seen) == (32, 128, 256, 3)
    assert network.class_names == NAMES


def test_expand_keeps_the_old_logits_and_the_old_network(network, images):
    before = logits(network, images)
    columns = np.random.default_rng(1).standard_normal((256, 2))
    larger = network.expand(columns, [0.5, -0.5], ["fox", "gnu"])
    assert larger.class_names == (*NAMES, "fox", "gnu")
    assert larger.num_seen == 3
    after = logits(larger, images)
    # A product with more columns may take another kernel, which rounds differently.
    np.testing.assert_allclose(after[:, :3], before, rtol=1e-5, atol=1e-6)
    features = np.asarray(larger.tail(larger.trunk(images, training=False), training=False))
    np.testing.assert_allclose(after[:, 3:], features @ columns + [0.5, -0.5], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(logits(network, images), before)
    assert network.class_names == NAMES


def test_expand_twice_then_remove_one(network, images):
    larger = network.expand(np.ones((256, 1)), [0.0], ["fox"]).expand(np.zeros((256, 1)), [7.0], ["gnu"])
    smaller = larger.without("fox").without("cat")
    assert smaller.class_names == ("dog", "eel", "gnu")
    assert smaller.num_seen == 2
    np.testing.assert_allclose(logits(smaller, images), logits(larger, images)[:, [1, 2, 4]], rtol=1e-5, atol=1e-6)


def test_the_last_seen_class_stays(network):
    smaller = network.expand(np.ones((256, 1)), [0.0], ["fox"]).without("cat").without("dog")
    with pytest.raises(InputError, match="name must not be the last class that the network was trained on.*'eel'"):
        smaller.without("eel")
    assert smaller.without("fox").class_names == ("eel",)


def test_calibration_survives_expand_and_moves_seen_logits(network, images):
    larger = network.copy().expand(np.ones((256, 1)), [0.0], ["fox"])
    before = logits(larger, images)
    larger.calibration = 1.5
    np.testing.assert_allclose(logits(larger, images) - before, np.tile([-1.5, -1.5, -1.5, 0.0], (4, 1)), atol=1e-5)
    assert larger.expand(np.ones((256, 1)), [0.0], ["gnu"]).calibration == 1.5


def test_copy_has_its_own_weights(network, images):
    before = logits(network, images)
    copied = network.copy()
    np.testing.assert_array_equal(logits(copied, images), before)
    for variable in copied.model.trainable_variables:
        variable.assign(variable * 2)
    np.testing.assert_array_equal(logits(network, images), before)


@pytest.mark.parametrize(
    ("columns", "biases", "names", "sentence"),
    [
        (np.ones((255, 1)), [0.0], ["fox"], r"columns and biases must be \[256, 1\]"),
        (np.ones((256, 1)), [0.0, 1.0], ["fox"], r"columns and biases must be \[256, 1\]"),
        (np.full((256, 1), np.nan), [0.0], ["fox"], "must be finite"),
        (np.ones((256, 1)), [0.0], ["cat"], "must have a new name. Received: 'cat', which exists"),
    ],
)
def test_expand_refuses(network, columns, biases, names, sentence):
    with pytest.raises(InputError, match=sentence):
        network.expand(columns, biases, names)


@pytest.mark.slow
def test_save_and_load_in_this_process_and_another(network, images, tmp_path):
    larger = network.expand(np.ones((256, 1)), [0.25], ["fox é"])
    larger.calibration = 0.5
    path = tmp_path / "network.keras"
    larger.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["network.keras"]
    loaded = Network.load(path)
    assert (loaded.class_names, loaded.num_seen, loaded.layer) == ((*NAMES, "fox é"), 3, "block4_relu")
    assert loaded.calibration == 0.5
    np.testing.assert_array_equal(logits(loaded, images), logits(larger, images))
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, numpy as np; from niwt_tf.models.network import Network\n"
        "n = Network.load(sys.argv[1]); x = np.load(sys.argv[2]); print(ascii(n.class_names), n.layer)\n"
        "np.save(sys.argv[3], n.head(n.tail(n.trunk(x, training=False), training=False)))"
    )
    arguments = [str(path), str(tmp_path / "images.npy"), str(tmp_path / "logits.npy")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('cat', 'dog', 'eel', 'fox \\xe9') block4_relu"
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits(larger, images), atol=1e-5)


def test_load_refuses_what_is_no_network(tmp_path):
    with pytest.raises(InputError, match="not a file"):
        Network.load(tmp_path / "absent.keras")
    junk = tmp_path / "junk.keras"
    junk.write_bytes(b"\x00\x01junk")
    with pytest.raises(InputError, match=r"junk.keras must be a .keras file written by Network.save"):
        Network.load(junk)


def test_save_wants_the_suffix(network, tmp_path):
    with pytest.raises(InputError, match="path must end in .keras"):
        network.save(tmp_path / "network.h5")


def test_how_images_are_resized_is_kept_with_the_network(tmp_path):
    network = build_network("small_vgg", ("a", "b"), input_size=16, resize="crop")
    network = network.with_head(network.columns, network.biases, ("c", "d"), 1).with_unit_features()
    network.save(tmp_path / "a.keras")
    assert Network.load(tmp_path / "a.keras").input_form == network.copy().input_form == InputForm(16, "crop")
    assert build_network("small_vgg", ("a", "b"), input_size=16).input_form == InputForm(16, "squash")
