"""Formats that Pillow reads for the network."""

import errno
import importlib.util
import io
import os
import struct

import numpy as np
import pytest
from PIL import Image, features

from niwt_tf.data.images import foreign
from niwt_tf.data.images.decode import decode_pixels
from niwt_tf.data.images.duplicates import digest_of_image
from niwt_tf.data.images.files import opened, read_one_image
from niwt_tf.data.images.foreign import as_known, is_foreign, read_known, stored_bytes
from niwt_tf.data.images.pipeline import image_batches, usable_images
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError

_HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"x" * 500
_FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"x" * 500


def _photograph() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))


def _saved(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    _photograph().save(stream, form, **options)
    return stream.getvalue()


def _images(folder, *names: str) -> Images:
    return Images(folder, names, np.zeros(len(names), np.int32), ("a",))


def test_a_known_format_stays_as_it_is():
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        encoded = _saved(form)
        assert not is_foreign(encoded) and as_known(encoded) is encoded


@pytest.mark.parametrize("form", ["TIFF", "JPEG2000", "PPM"])
def test_the_pixels_of_a_foreign_format_are_kept(tmp_path, form):
    (tmp_path / "a.dat").write_bytes(_saved(form))
    expected = np.asarray(_photograph())
    np.testing.assert_array_equal(decode_pixels(as_known(_saved(form))), expected)
    np.testing.assert_array_equal(read_one_image(tmp_path / "a.dat", "image").pixels, expected)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.dat", 30)), expected)


@pytest.mark.parametrize("mode", ["P", "1", "L", "RGBA"])
def test_a_bmp_of_other_than_24_bits_keeps_its_colours(tmp_path, mode):
    made = _photograph().quantize(16) if mode == "P" else _photograph().convert(mode)
    made.save(tmp_path / "a.bmp")
    expected = np.asarray(made.convert("RGB"))
    np.testing.assert_array_equal(read_one_image(tmp_path / "a.bmp", "image").pixels, expected)
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "a.bmp", 30)), expected)
    images = _images(tmp_path, "a.bmp")
    assert usable_images(images)[1] == {}
    (pixels, _), *_ = image_batches(images, 16, 1)
    (plain, _), *_ = image_batches(_images(tmp_path, _png(tmp_path, made)), 16, 1)
    np.testing.assert_array_equal(pixels, plain)


def test_fractions_are_refused():
    stream = io.BytesIO()
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(stream, "TIFF")
    with pytest.raises(InputError, match=r"by Pillow \(its pixels are fractions; save it with 8 or 16 bits\)"):
        as_known(stream.getvalue())


def _png(folder, image) -> str:
    image.convert("RGB").save(folder / "b.png")
    return "b.png"


def test_a_turned_tiff_is_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    expected = np.asarray(_photograph().transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(decode_pixels(as_known(_saved("TIFF", exif=exif))), expected)


def test_16_bits_keep_their_upper_half():
    stream = io.BytesIO()
    Image.fromarray(np.array([[0, 0x1280, 0xFFFF]], np.uint16)).save(stream, "TIFF")
    assert decode_pixels(as_known(stream.getvalue())).numpy()[0, :, 0].tolist() == [0, 0x12, 0xFF]


def test_the_pipeline_reads_them_beside_others(tmp_path):
    (tmp_path / "a.tif").write_bytes(_saved("TIFF"))
    (tmp_path / "b.png").write_bytes(_saved("PNG"))
    images = _images(tmp_path, "a.tif", "b.png")
    assert usable_images(images)[1] == {}
    (pixels, _), *_ = image_batches(images, 16, 2)
    np.testing.assert_array_equal(pixels[0], pixels[1])


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read():
    assert decode_pixels(as_known(_saved("AVIF"))).shape == (20, 30, 3)


def test_without_the_plug_in_heic_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "_register_heif", lambda: False)
    (tmp_path / "a.heic").write_bytes(_HEIC)
    with pytest.raises(InputError, match=r"a.heic.*HEIC file, which needs pillow-heif: pip install 'niwt-tf\[heic\]'"):
        usable_images(_images(tmp_path, "a.heic"))
    with pytest.raises(InputError, match="--image must be an image .* pillow-heif"):
        read_one_image(tmp_path / "a.heic", "--image")


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif is not installed")
def test_heic_is_read_with_the_plug_in():
    foreign._register_heif()
    found = decode_pixels(as_known(_saved("HEIF", quality=-1)))
    assert found.shape == (20, 30, 3) and abs(float(found.numpy().mean()) - np.asarray(_photograph()).mean()) < 3


def test_pages_films_and_damage_are_refused():
    pages = _saved("TIFF", save_all=True, append_images=[_photograph()])
    for encoded, said in ((pages, "several pages"), (_FILM, "a film"), (_saved("TIFF")[:200], "image")):
        with pytest.raises(InputError, match=said):
            as_known(encoded)


def test_twelve_bits_are_as_bright_as_sixteen(tmp_path):
    pixels = bytes.fromhex("fff800")  # 4095 and 2048
    fields = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(tag.to_bytes(2, "little") + b"\3\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in fields)
    tiff = b"II*\0" + (12).to_bytes(4, "little") + pixels + b"\0" + len(fields).to_bytes(2, "little") + entries + bytes(4)
    with Image.open(io.BytesIO(as_known(tiff))) as image:
        assert np.asarray(image)[0, :, 0].tolist() == [255, 128]
    (tmp_path / "a.tif").write_bytes(tiff)
    assert np.asarray(opened(tmp_path / "a.tif", 2))[0, :, 0].tolist() == [255, 128]


def _naming_its_bytes_often(times: int, page: int = 0) -> bytes:
    """Return a TIFF of 30 x 20 pixels whose tags name the same thousand bytes."""
    tags = [(256, 3, 1, 30), (257, 3, 1, 20), *((1000 + number, 1, 1000, 8) for number in range(times))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 1008) + bytes(1000) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", page)


def test_a_tiff_whose_tags_name_the_same_bytes_is_refused_before_they_are_copied():
    bomb = _naming_its_bytes_often(300)
    with pytest.raises(InputError, match=f"must have tags that its {len(bomb)} bytes hold. Received: 300004 bytes of them."):
        as_known(bomb)
    with pytest.raises(InputError, match="several pages"):
        as_known(_naming_its_bytes_often(1, page=99))
    for options in ({}, {"compression": "tiff_lzw"}, {"big_tiff": True}):
        assert Image.open(io.BytesIO(as_known(_saved("TIFF", **options)))).size == (30, 20)


def test_an_image_that_would_never_end_or_is_larger_than_any_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(2**30)
    said_of = {"pipe": "Not a regular file", "zero": "Not a regular file", "large": "Larger than 536870912 bytes"}
    for name, said in said_of.items():
        path = tmp_path / f"{name}.png"
        for read in (stored_bytes, read_known, digest_of_image):
            with pytest.raises(OSError, match=said):
                read(path)
        assert opened(path, 8) is None
        with pytest.raises(InputError, match=rf"cannot be decoded.*{name}.png \({said}\)"):
            usable_images(_images(tmp_path, f"{name}.png"))


def test_no_image_is_left_out_because_too_many_files_are_open(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    (tmp_path / "a.png").write_bytes(_saved("PNG"))
    monkeypatch.setattr("niwt_tf.data.images.pipeline.stored_bytes", full)
    with pytest.raises(OSError, match="Too many open files"):
        usable_images(_images(tmp_path, "a.png"), max_bad_images=5)
