"""The decoder against Pillow, format by format."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.decode import decode_image

SIZE = 24


def _photograph() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _png16(pixels: np.ndarray) -> bytes:
    # Pillow cannot write a PNG of three 16-bit channels.
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _cases() -> dict[str, tuple[bytes, Image.Image]]:
    photograph = _photograph()
    grey = photograph.convert("L")
    transparent = photograph.copy()
    transparent.putalpha(grey)
    cmyk = _encoded(photograph.convert("CMYK"), "JPEG", quality=95)
    palette = photograph.quantize(64)
    tiny = photograph.resize((1, 1))
    grey16 = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "jpeg": (_encoded(photograph, "JPEG", quality=95), photograph),
        "progressive jpeg": (_encoded(photograph, "JPEG", quality=95, progressive=True), photograph),
        "grey jpeg": (_encoded(grey, "JPEG", quality=95), grey.convert("RGB")),
        "cmyk jpeg": (cmyk, Image.open(io.BytesIO(cmyk)).convert("RGB")),
        "png": (_encoded(photograph, "PNG"), photograph),
        "grey png": (_encoded(grey, "PNG"), grey.convert("RGB")),
        "palette png": (_encoded(palette, "PNG"), palette.convert("RGB")),
        "alpha png": (_encoded(transparent, "PNG"), photograph),
        "16-bit png": (_png16(np.asarray(photograph)), photograph),
        "16-bit grey png": (_encoded(grey16, "PNG"), grey.convert("RGB")),
        "1 x 1 png": (_encoded(tiny, "PNG"), tiny),
        "1 x 1 jpeg": (_encoded(tiny, "JPEG", quality=100), tiny),
        "gif": (_encoded(palette, "GIF"), palette.convert("RGB")),
        "bmp": (_encoded(photograph, "BMP"), photograph),
        "webp": (_encoded(photograph, "WEBP", lossless=True), photograph),
    }


@pytest.mark.parametrize("name", list(_cases()))
def test_every_format_agrees_with_pillow(name: str) -> None:
    encoded, image = _cases()[name]
    expected = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)
    decoded = decode_image(tf.constant(encoded), SIZE).numpy()
    assert decoded.shape == (SIZE, SIZE, 3) and decoded.dtype == np.float32
    assert np.abs(decoded - expected).mean() < 2.5
    assert np.abs(decoded - expected).max() < 14


def test_only_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    encoded = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(decode_image(tf.constant(encoded), 4).numpy()[0, 0], [255, 0, 0], atol=2)


def test_an_image_of_the_size_is_left_alone() -> None:
    image = _photograph().resize((SIZE, SIZE))
    decoded = decode_image(tf.constant(_encoded(image, "PNG")), SIZE)
    np.testing.assert_array_equal(decoded, np.asarray(image, np.float32))


def test_the_whole_image_is_squashed() -> None:
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 20:] = 200
    decoded = decode_image(tf.constant(_encoded(Image.fromarray(pixels), "PNG")), 4).numpy()
    np.testing.assert_allclose(decoded[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(decoded[:, 3], 200, atol=1e-3)


@pytest.mark.parametrize(
    "encoded", [b"", b"this is text", _encoded(_photograph(), "PNG")[:500], _encoded(_photograph(), "JPEG")[:900]]
)
def test_junk_is_an_error(encoded: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(encoded), SIZE)


def test_the_shape_is_known_in_a_graph() -> None:
    graph = tf.function(lambda encoded: decode_image(encoded, SIZE)).get_concrete_function(tf.TensorSpec([], tf.string))
    assert graph.structured_outputs.shape == (SIZE, SIZE, 3)
