"""Photographs that their files say are turned, against Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from niwt_tf.data.images.decode import decode_image, decode_pixels
from niwt_tf.data.images.files import opened, upright_file
from niwt_tf.data.images.orientation import orientation

_TAG = 0x0112


def _photograph() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((50, 40), Image.Resampling.BICUBIC)


def _file(form: str, value: object = 6, order: str = "<", **options: object) -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[_TAG], exif[0x010F], exif[0x8298] = value, "a maker of cameras", "somebody"
    stream = io.BytesIO()
    _photograph().save(stream, form, exif=exif.tobytes(), **options)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95})])
@pytest.mark.parametrize("value", range(1, 9))
def test_all_orientations_are_as_pillow_turns_them(form, options, value, order):
    encoded = _file(form, value, order, **options)
    assert int(orientation(encoded)) == value
    with Image.open(io.BytesIO(encoded)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float64)
    found = decode_pixels(encoded).numpy()
    # JPEG's colours are upsampled in another way.
    assert found.shape == expected.shape and np.abs(found - expected).mean() < (2 if form == "JPEG" else 1e-9)


@pytest.mark.parametrize("value", [1, 3, 6, 7])
def test_an_image_at_the_network_s_size_is_that_of_the_upright_file(value):
    encoded = _file("PNG", value)
    assert upright_file(encoded) == encoded if value == 1 else int(orientation(upright_file(encoded))) == 1
    np.testing.assert_allclose(decode_image(encoded, 24), decode_image(upright_file(encoded), 24), atol=1e-3)


def test_it_works_in_a_graph_over_a_batch():
    spec = tf.TensorSpec([24, 24, 3], tf.float32)
    decode = tf.function(lambda files: tf.map_fn(lambda one: decode_image(one, 24), files, fn_output_signature=spec))
    files = [_file("JPEG", 8), _file("WEBP", 2), _file("PNG", 1)]
    for found, encoded in zip(decode(tf.constant(files)), files, strict=True):
        np.testing.assert_allclose(found, decode_image(encoded, 24), atol=1e-4)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(value):
    assert int(orientation(_file("JPEG", value))) == 1


def test_other_segments_before_it_are_stepped_over():
    plain, turned = _file("JPEG", 1), _file("JPEG", 6)
    comment = b"\xff\xfe\x00\x06abcd" + b"\xff\xe2\xff\xff" + b"\x00" * 65533 + b"\xff"  # a filling byte at the end
    assert int(orientation(turned[:2] + comment + turned[2:])) == 6
    assert int(orientation(plain[:2] + comment + plain[2:])) == 1


@pytest.mark.parametrize("chunks", [1, 2, 9000])
def test_a_png_may_say_it_behind_its_pixels(chunks, tmp_path):
    encoded = _file("PNG", 6)
    exif = encoded[encoded.index(b"eXIf") - 4 : encoded.index(b"IDAT") - 4]
    empty = b"\0\0\0\0IDAT\x35\xaf\x06\x1e"  # some programs end with one
    behind = encoded.replace(exif, b"")[:-12] + empty * chunks + exif + encoded[-12:]
    assert int(orientation(behind)) == 6
    (tmp_path / "a.png").write_bytes(behind)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.png", 50)), decode_pixels(encoded))
    assert decode_pixels(behind).shape == (50, 40, 3) or chunks > 2  # libpng refuses so many


def test_a_file_that_is_cut_anywhere_is_no_error():
    for form in ("JPEG", "PNG", "WEBP"):
        encoded = _file(form, 6)
        assert {int(orientation(encoded[:length])) for length in range(0, 220, 3)} <= {1, 6}
    assert int(orientation(b"")) == int(orientation(b"\xff" * 9000)) == 1


def test_data_that_point_nowhere_are_upright():
    start = b"\xff\xd8\xff\xe1\x00\x40Exif\0\0"
    for tiff in (b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40, b"XX*\0\x08\0\0\0"):
        assert int(orientation(start + tiff)) == 1


def test_pictures_for_people_are_turned_too(tmp_path):
    for value in range(1, 9):
        (tmp_path / "a.png").write_bytes(_file("PNG", value))
        np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.png", 50)), decode_pixels(_file("PNG", value)))
