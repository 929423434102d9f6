"""What may be an array of images, what cannot be read, and images as a network is shown them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.images.files import check_pixels, framed, opened, read_one_image, resized, upright_file
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, 4, 5, 3)), np.full((1, 2, 2, 3), 255, np.uint8), np.full((1, 2, 2, 3), 255.0), np.zeros((0, 2, 2, 3)),
        np.ones((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 1.5), np.zeros((1, 1, 1, 3), bool), np.ones((1, 2, 2, 3), int),
    ],
)  # fmt: skip
def test_what_is_taken_for_images(values):
    before = values.copy()
    check_pixels(values)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 5, 3)), r"list of paths or an array \[M, H, W, 3\]. Received: shape \(4, 5, 3\)"),
        (np.zeros((1, 4, 5, 4)), r"Received: shape \(1, 4, 5, 4\)"),
        (np.zeros((1, 0, 5, 3)), r"Received: shape \(1, 0, 5, 3\)"),
        (np.zeros((1, 4, 0, 3)), r"Received: shape \(1, 4, 0, 3\)"),
        (np.zeros((1, 1, 4, 5, 3)), r"Received: shape \(1, 1, 4, 5, 3\)"),
        (np.full((1, 2, 2, 3), "a"), "must be numbers in 0..255. Received: <U1"),
        (np.full((1, 2, 2, 3), 1j), "must be numbers in 0..255. Received: complex128"),
        (np.full((1, 2, 2, 3), np.nan), "must be finite"),
        (np.full((1, 2, 2, 3), np.inf), "must be finite"),
        (np.full((1, 2, 2, 3), 255.5), "RGB in 0..255. Received: numbers from 255.5 to 255.5"),
        (np.full((1, 2, 2, 3), -0.5), "RGB in 0..255. Received: numbers from -0.5 to -0.5"),
        (np.full((1, 2, 2, 3), 256), "RGB in 0..255. Received: numbers from 256 to 256"),
        (np.full((1, 2, 2, 3), 1.0), "Received: numbers in 0..1; multiply them by 255"),
        (np.full((1, 2, 2, 3), 0.25, np.float32), "Received: numbers in 0..1; multiply them by 255"),
        (np.ones((1, 2, 2, 3), bool), "Received: numbers in 0..1; multiply them by 255"),
    ],
)
def test_what_is_not_taken_for_images(values, message):
    with pytest.raises(InputError, match=message):
        check_pixels(values)


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.tif").write_bytes(b"II*\0" + bytes(40))
    for path, message in (
        (7, "photo must be the path of a file. Received: 7"),
        (tmp_path / "absent.png", "photo must be a file that can be read. Received: '.*absent.png' .No such file"),
        (tmp_path, "photo must be a file that can be read. Received: '.*' .Is a directory"),
        ("a\0b", "photo must be a file that can be read. Received: .* .embedded null byte"),
        (tmp_path / "text.png", "photo must be an image that can be decoded. Received: '.*text.png'"),
        (tmp_path / "cut.tif", "photo must be an image that can be decoded. Received: '.*cut.tif'"),
    ):
        with pytest.raises(InputError, match=message):
            read_one_image(path, "photo")


def test_an_image_as_a_person_and_as_a_network_sees_it(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_one_image(str(tmp_path / "a.png"), "photo")
    assert (found.path, found.encoded) == (tmp_path / "a.png", (tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(found.pixels, pixels)
    taken = found.taken(InputForm(4, "crop"))
    np.testing.assert_array_equal(taken, pixels[:, 1:5].astype(np.float32))
    assert taken.dtype == np.float32


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((5, 2), "squash", (5, 2)), ((5, 2), "crop", (2, 2)), ((5, 2), "pad", (5, 5)), ((2, 5), "crop", (2, 2)),
        ((2, 5), "pad", (5, 5)),
    ],
)  # fmt: skip
def test_what_is_framed_of_an_image(size, resize, expected):
    rows = np.arange(size[1])[:, None, None] + 10 * np.arange(1, size[0] + 1)[None, :, None]
    image = Image.fromarray(np.broadcast_to(rows, (*size[::-1], 3)).astype(np.uint8))
    found = framed(image, resize)
    assert found.size == expected
    if resize == "crop":  # of an odd margin the smaller part is cut from the left or the top
        left, top = (size[0] - 2) // 2, (size[1] - 2) // 2
        np.testing.assert_array_equal(np.asarray(found), np.asarray(image)[top : top + 2, left : left + 2])
    if resize == "pad":
        shown = np.asarray(found)
        assert (shown.sum(axis=2) > 0).sum() == 10


@pytest.mark.parametrize(("size", "expected"), [((300, 1), (30, 1)), ((1, 300), (1, 30)), ((3, 2), (30, 20))])
def test_no_side_becomes_nothing(size, expected):
    assert resized(Image.new("RGB", size), 30).size == expected


def test_a_smaller_image_is_a_mean_and_a_larger_one_smooth():
    stripes = Image.fromarray(np.tile(np.array([[0, 255]], np.uint8), (8, 4)))
    assert np.asarray(resized(stripes, 4)).std() < 40  # Lanczos looks at all pixels
    edge = Image.fromarray(np.array([[0, 0, 255, 255]], np.uint8))
    expected = edge.resize((16, 4), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(resized(edge, 16)), np.asarray(expected))
    np.testing.assert_array_equal(np.asarray(resized(edge, 4)), np.asarray(edge))
    larger = edge.resize((6, 2), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(resized(edge, 6)), np.asarray(larger))


def _turned(value):
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = value
    levels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 9
    Image.fromarray(levels).save(stream, "PNG", exif=exif)
    return levels, stream.getvalue()


@pytest.mark.parametrize(
    ("value", "turn"),
    [
        (1, lambda x: x), (2, lambda x: x[:, ::-1]), (3, lambda x: x[::-1, ::-1]), (4, lambda x: x[::-1]),
        (5, lambda x: x.transpose(1, 0, 2)), (6, lambda x: np.rot90(x, -1)), (7, lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
        (8, lambda x: np.rot90(x)),
    ],
)  # fmt: skip
def test_each_orientation_is_turned_upright(tmp_path, value, turn):
    levels, encoded = _turned(value)
    (tmp_path / "a.png").write_bytes(encoded)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.png", 3)), turn(levels))
    again = upright_file(encoded)
    assert (again == encoded) == (value == 1)
    with Image.open(io.BytesIO(again)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        np.testing.assert_array_equal(np.asarray(image), turn(levels))


def test_what_cannot_be_decoded_stays_as_it_is():
    encoded = _turned(6)[1]
    cut = encoded[:-30]
    with pytest.raises(tf.errors.OpError):
        tf.io.decode_png(cut)
    assert upright_file(cut) == cut
    assert upright_file(b"no image") == b"no image"


def _of_two_parts(kind):
    """A PNG whose pixels are in two chunks, the second of which is of a kind that is none."""
    pixels = zlib.compress(b"\0" + bytes(3 * 64) + (b"\0" + bytes(range(192))) * 63)
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pixels[:20]), (kind, pixels[20:]), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_whatever_is_wrong_with_a_file_it_is_no_picture(tmp_path, monkeypatch):
    (tmp_path / "whole.png").write_bytes(_of_two_parts(b"IDAT"))
    (tmp_path / "broken.png").write_bytes(_of_two_parts(b"\1\2\3\4"))
    assert opened(tmp_path / "whole.png", 64).size == (64, 64)
    with Image.open(tmp_path / "broken.png") as image, pytest.raises(SyntaxError):
        image.load()
    assert opened(tmp_path / "broken.png", 64) is None
    assert opened("a\0b", 64) is opened(tmp_path, 64) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert opened(tmp_path / "whole.png", 64) is None  # larger than twice the limit
