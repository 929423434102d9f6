"""Features and logits of files, streamed."""

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.method.features import image_logits, pooled_features
from niwt_tf.models.backbones import build_network


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    names = tuple(f"{i}.png" for i in range(7))
    for name in names:
        Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8)).save(folder / name)
    return Images(folder, names, np.zeros(7, np.int32), ("a", "b"))


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", ("a", "b"), input_size=32)


def test_features_are_what_the_head_takes_in_the_order_of_the_files(network, images):
    features = pooled_features(network, images, batch_size=3)
    assert features.shape == (7, 256)
    assert features.dtype == np.float32
    pixels = np.concatenate([batch for batch, _ in image_batches(images, 32, 7)])
    np.testing.assert_allclose(features, network.tail(network.trunk(pixels, training=False), training=False), atol=1e-5)
    np.testing.assert_allclose(image_logits(network, images), network.head(features), atol=1e-5)


def test_no_image_gives_no_row(network, images):
    assert pooled_features(network, images.take(np.array([], np.int64))).shape == (0, 256)
