"""Preprocessing against numbers worked out by hand."""

import numpy as np
import pytest

from niwt_tf.errors import InputError
from niwt_tf.models.layers import Preprocess

PIXEL = np.array([[[[255.0, 0.0, 127.5]]]], np.float32)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", [255.0, 0.0, 127.5]),
        ("unit", [1.0, 0.0, 0.5]),
        ("tf", [1.0, -1.0, 0.0]),
        ("torch", [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225]),
        ("caffe", [127.5 - 103.939, -116.779, 255 - 123.68]),
    ],
)
def test_modes(mode, expected):
    np.testing.assert_allclose(np.asarray(Preprocess(mode)(PIXEL)).ravel(), expected, rtol=1e-5, atol=1e-5)


def test_unknown_mode_suggests():
    with pytest.raises(InputError, match="Did you mean 'torch'"):
        Preprocess("torhc")


def test_config_rebuilds_the_layer():
    assert Preprocess.from_config(Preprocess("caffe").get_config()).mode == "caffe"
