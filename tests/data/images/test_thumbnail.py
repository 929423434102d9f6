"""Image files at a size to look at."""

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.images.decode import decode_pixels
from niwt_tf.data.images.files import opened, thumbnail


@pytest.mark.parametrize(("size", "expected"), [((400, 100), (192, 48)), ((16, 64), (48, 192)), ((1, 900), (1, 192))])
def test_a_thumbnail_keeps_the_shape(tmp_path, size, expected):
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    small = thumbnail(tmp_path / "a.png", 192)
    assert small.size == expected and small.mode == "RGB"
    assert (np.asarray(small) == [255, 0, 0]).all()


def test_small_images_are_enlarged_smoothly(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.png")
    row = np.asarray(thumbnail(tmp_path / "a.png", 64))[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and len(set(row)) > 16


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_every_mode_is_read_as_the_network_reads_it(tmp_path, mode):
    path, levels = tmp_path / "a.png", np.tile(np.array([0, 80, 255], np.uint8), (3, 1))
    if mode == "I;16":
        Image.fromarray(levels.astype(np.uint16) * 256 + 200).save(path)
    else:
        image = Image.fromarray(levels).convert("RGB").convert(mode)
        image.putalpha(0) if mode == "RGBA" else None
        image.save(path)
    np.testing.assert_array_equal(np.asarray(opened(path, 3)), decode_pixels(path.read_bytes()))


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert opened(tmp_path / "a.jpg", 40).size == decode_pixels((tmp_path / "a.jpg").read_bytes()).shape[1::-1] == (20, 40)


def test_what_cannot_be_opened_is_none(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    assert thumbnail(tmp_path / "a.jpg", 8) is None and opened(tmp_path / "absent.png", 8) is None


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x05", b"Exif\0\0rubbish"])
def test_damaged_exif_data_turn_nothing_and_end_nothing(tmp_path, exif):
    levels = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    Image.fromarray(levels).save(tmp_path / "a.jpg", exif=exif)
    np.testing.assert_allclose(np.asarray(opened(tmp_path / "a.jpg", 40), float), levels, atol=4)


@pytest.mark.parametrize("size", [(800, 400), (400, 800), (1600, 600)])
def test_a_large_jpeg_is_decoded_at_the_lowest_resolution_that_leaves_twice_the_side(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "a.jpg")
    assert opened(tmp_path / "a.jpg", 50).size == (size[0] // 4, size[1] // 4)
