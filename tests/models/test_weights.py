"""Weights from files: that they are loaded, and what is said when they do not fit."""

import keras
import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from tests.shared import further

NAMES = ("cat", "dog")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)


def features(network, images=IMAGES):
    return np.asarray(network.tail(network.trunk(images, training=False), training=False))


@pytest.fixture(scope="module")
def mobilenet():
    keras.utils.set_random_seed(7)
    return keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3))


@pytest.mark.parametrize("suffix", [pytest.param(".weights.h5", marks=pytest.mark.slow), *further(".h5", ".keras")])
def test_a_file_with_the_top_is_loaded(mobilenet, tmp_path, suffix):
    path = tmp_path / f"saved{suffix}"
    mobilenet.save_weights(path) if suffix == ".weights.h5" else mobilenet.save(path)
    pooled = keras.Model(mobilenet.inputs[0], mobilenet.layers[-2].output)
    network = build_network("mobilenet_v2", NAMES, weights=str(path), input_size=32)
    np.testing.assert_allclose(features(network), pooled(IMAGES / 127.5 - 1, training=False), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("suffix", further(".weights.h5", ".h5"))
def test_a_file_without_the_top_is_loaded(tmp_path, suffix):
    whole = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), include_top=False, pooling="avg")
    path = tmp_path / f"saved{suffix}"
    whole.save_weights(path) if suffix == ".weights.h5" else whole.save(path)
    network = build_network("mobilenet_v2", NAMES, weights=str(path), input_size=32)
    np.testing.assert_allclose(features(network), whole(IMAGES / 127.5 - 1, training=False), rtol=1e-4, atol=1e-6)


def test_a_saved_network_gives_all_but_the_head(tmp_path):
    first = build_network("small_vgg", NAMES, input_size=32, seed=1)
    first.save(tmp_path / "first.keras")
    second = build_network("small_vgg", ("a", "b", "c"), weights=str(tmp_path / "first.keras"), input_size=32, seed=2)
    np.testing.assert_array_equal(features(second), features(first))
    assert second.class_names == ("a", "b", "c")


def test_files_that_do_not_fit(tmp_path):
    other = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()])
    other.save_weights(tmp_path / "other.weights.h5")
    other.save(tmp_path / "other.keras")
    (tmp_path / "junk.weights.h5").write_bytes(b"junk")
    for name in ("other.weights.h5", "other.keras", "junk.weights.h5"):
        with pytest.raises(InputError, match=rf"weights must fit the backbone.*Received: .*{name}"):
            build_network("small_vgg", NAMES, weights=str(tmp_path / name), input_size=32)


@pytest.mark.parametrize(
    ("path", "sentence"), [("/absent.h5", "not a file"), (__file__, r"must be a .weights.h5, .h5 or .keras")]
)
def test_paths_that_are_no_weights(path, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network("small_vgg", NAMES, weights=path)


def test_imagenet_for_the_small_network_is_refused():
    with pytest.raises(InputError, match="no published ImageNet weights"):
        build_network("small_vgg", NAMES, weights="imagenet")


def test_imagenet_offline_says_what_to_fetch_and_where_to_put_it(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", offline)
    file = "efficientnetv2-b0_notop.h5"
    with pytest.raises(InputError, match=rf"fetch https://\S+/{file} and put it at {tmp_path}/models/{file}"):
        build_network("efficientnet_v2_b0", NAMES, weights="imagenet", input_size=32)


def test_imagenet_reads_the_file_from_keras_home(monkeypatch, tmp_path, mobilenet):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    bare = keras.Model(mobilenet.inputs[0], mobilenet.get_layer("out_relu").output)
    bare.save(tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5")
    network = build_network("mobilenet_v2", NAMES, weights="imagenet", input_size=32)
    pooled = np.asarray(bare(IMAGES / 127.5 - 1, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(features(network), pooled, rtol=1e-4, atol=1e-6)


@pytest.mark.real_data
def test_real_mobilenet_weights_give_the_features_of_keras(shared_data):
    path = shared_data / "weights" / "mobilenet_v2_100_224.weights.h5"
    reference = keras.applications.MobileNetV2(weights=str(path))
    pooled = keras.Model(reference.inputs[0], reference.layers[-2].output)
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    network = build_network("mobilenet_v2", NAMES, weights=str(path))
    np.testing.assert_allclose(features(network, images), pooled(images / 127.5 - 1, training=False), rtol=1e-3, atol=1e-4)
