"""What is drawn over a photograph is where the network saw it."""

import base64
import io
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from niwt_tf.explain.explanations import colour_table
from niwt_tf.explain.grad_cam import upsampled
from niwt_tf.plots.predictions import RIGHT, TAG, WRONG
from niwt_tf.report.pictures import activation_picture, data_uri, heat_overlay, picture_of, region_picture, stretched


def _decoded(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body, validate=True)))


def test_colours_mean_the_same_in_pictures_and_on_the_page():
    css = (resources.files("niwt_tf.report") / "templates" / "report.css").read_text().lower()
    for name, colour in (("right", RIGHT), ("wrong", WRONG), ("unseen-ink", TAG)):
        assert f"--{name}: light-dark({colour.lower()}," in css


def test_a_data_uri_decodes_to_the_picture():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = [200, 100, 50]
    image = _decoded(data_uri(Image.fromarray(pixels)))
    assert image.format == "WEBP" and image.size == (60, 40)
    np.testing.assert_allclose(np.asarray(image.convert("RGB"), int)[5, [5, 55]], pixels[5, [5, 55]], atol=8)


def test_a_stretched_map_is_the_upsampled_one():
    heat = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    np.testing.assert_allclose(stretched(heat, (24, 24)), upsampled(heat[None], 24)[0], atol=1e-6)


def test_a_hot_corner_is_hot_in_that_corner_of_a_wide_photograph():
    photograph = Image.new("RGB", (60, 20), (100, 100, 100))
    pixels = np.asarray(heat_overlay(photograph, np.array([[0.0, 1.0], [0.0, 0.0]])), int)
    # Centres of the map's positions are at a quarter and three quarters; beyond them it is constant.
    hottest = np.rint(0.2 * 100 + 0.8 * colour_table()[255]).astype(int)
    np.testing.assert_array_equal(pixels[:5, 45:], np.broadcast_to(hottest, (5, 15, 3)))
    np.testing.assert_array_equal(pixels[15:], 100)
    np.testing.assert_array_equal(pixels[:, :15], 100)
    np.testing.assert_array_equal(np.argwhere((pixels == hottest).all(axis=2)).min(axis=0), [0, 45])


def test_heat_alone_has_colour():
    photograph = Image.new("RGB", (8, 8), (255, 0, 0))
    cold, hot = (np.asarray(heat_overlay(photograph, np.full((2, 2), value)), int) for value in (0.0, 0.6))
    assert np.ptp(cold, axis=2).max() == 0 and np.ptp(hot, axis=2).min() > 50


def test_a_neuron_s_part_of_a_tall_photograph_keeps_its_colour():
    photograph = Image.new("RGB", (20, 80), (200, 100, 0))
    picture = np.asarray(activation_picture(photograph, np.array([[3.0], [-5.0]])), int)
    np.testing.assert_array_equal(picture[:20], np.broadcast_to([200, 100, 0], (20, 20, 3)))
    grey = np.asarray(photograph.convert("L"), int)[0, 0]
    np.testing.assert_array_equal(picture[60:], np.rint(0.6 * grey))
    # The line is white, just within the half where the share is at least 0.5, with a dark pixel on either side.
    np.testing.assert_array_equal(picture[38:42, 10], [[0] * 3, [255] * 3, [0] * 3, picture[41, 10]])
    assert not (picture[41, 10] == 0).all()


def test_a_hole_has_no_line_of_its_own():
    ring = np.zeros((9, 9))
    ring[1:8, 1:8] = 1.0
    ring[3:6, 3:6] = 0.0
    picture = np.asarray(activation_picture(Image.new("RGB", (90, 90), (200, 100, 0)), ring))
    white = (picture == 255).all(axis=2)
    assert white[:20].any() and white[:, :20].any() and not white[22:68, 22:68].any()
    assert len(np.unique(picture[40:50, 40:50])) == 1  # and is as dark as what is outside


def test_a_neuron_that_answers_nowhere_leaves_a_grey_photograph():
    picture = np.asarray(activation_picture(Image.new("RGB", (8, 8), (200, 100, 0)), np.full((2, 2), -1.0)))
    assert len(np.unique(picture)) == 1


def test_a_region_is_boxed_in_its_surroundings(tmp_path):
    pixels = np.full((50, 100, 3), 60, np.uint8)
    pixels[:10, 80:] = [255, 0, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = np.asarray(region_picture(tmp_path / "a.png", np.array([0.8, 0.0, 1.0, 0.2]), side=120))
    # 60 pixels, three times the region, end at the right border, and are doubled; the image is only 50 high.
    assert picture.shape == (100, 120, 3)
    np.testing.assert_allclose(picture[10, 100], [255, 0, 0], atol=6)
    np.testing.assert_allclose(picture[60, 40], 60, atol=6)
    np.testing.assert_array_equal(picture[2:19, 80], 255)  # left side of the box
    np.testing.assert_array_equal(picture[20, 82:118], 255)  # lower side


@pytest.mark.parametrize("region", [(0.0, 0.0, 1.0, 1.0), (0.5, 0.5, 0.5, 0.5), (0.99, 0.0, 1.0, 0.01)])
@pytest.mark.parametrize("size", [(64, 64), (300, 20), (1, 90)])
def test_any_region_of_any_shape(tmp_path, region, size):
    Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "a.png")
    picture = region_picture(tmp_path / "a.png", np.array(region, np.float32), side=80)
    assert max(picture.size) == 80 and (np.asarray(picture) == 255).any()


def test_an_unreadable_image_is_a_plain_square(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    for picture in (picture_of(tmp_path / "a.png", 50), region_picture(tmp_path / "a.png", np.array([0.0, 0, 1, 1]), 50)):
        assert picture.size == (50, 50) and picture.mode == "RGB"
        assert picture.getpixel((0, 0)) == (225, 225, 225)
