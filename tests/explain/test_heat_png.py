import io

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.explain.explanations import colour_table, heat_png


def pixels_of(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_pngs_have_the_size_and_the_colours():
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    files = heat_png(tf.constant(np.stack([ramp, np.zeros_like(ramp), np.full_like(ramp, 1.5)]))).numpy()
    np.testing.assert_array_equal(pixels_of(files[0]).reshape(256, 3), colour_table())
    assert (pixels_of(files[1]) == colour_table()[0]).all()
    assert (pixels_of(files[2]) == colour_table()[255]).all()
    assert Image.open(io.BytesIO(files[0])).mode == "RGB"


def test_colours_are_those_of_matplotlib():
    from matplotlib import colormaps

    np.testing.assert_array_equal(colour_table(), colormaps["magma"](np.arange(256), bytes=True)[:, :3])


def test_more_heat_is_lighter():
    lightness = colour_table().astype(float) @ [0.2126, 0.7152, 0.0722]
    assert lightness[0] < 5 and lightness[255] > 240
    assert (np.diff(lightness) > -0.5).all()


def test_no_image_gives_no_file():
    assert heat_png(tf.zeros((0, 4, 4))).shape == (0,)
