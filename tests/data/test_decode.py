"""The decoder against Pillow, format by format."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.decode import decode_image, decode_pixels
from niwt_tf.data.first_frame import first_frame
from niwt_tf.data.image_messages import PIXEL_LIMIT, is_of_image

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


@pytest.mark.parametrize("name", list(_cases()))
def test_the_guard_changes_no_pixel(name: str) -> None:
    encoded = tf.constant(_cases()[name][0])
    expected = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    np.testing.assert_array_equal(decode_pixels(encoded), expected)
    np.testing.assert_array_equal(tf.function(decode_pixels)(encoded), expected)


def _declaring(form: str, width: int, height: int) -> bytes:
    """Return a small file whose header declares width x height pixels."""
    if form == "png":
        data = _encoded(Image.new("RGB", (1, 1)), "PNG")
        return data[:16] + struct.pack(">II", width, height) + data[24:]
    if form == "jpeg":
        data = _encoded(Image.new("RGB", (1, 1)), "JPEG")
        frame = data.index(b"\xff\xc0")
        return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    if form == "gif":
        return _gif([(width, height)], (1, 1))
    if form == "gif screen":
        return _gif([(1, 1)], (width, height))
    if form in ("bmp", "bmp from the top"):
        data = _encoded(Image.new("RGB", (1, 1)), "BMP")
        return data[:18] + struct.pack("<ii", width, -height if "top" in form else height) + data[26:]
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    canvas = bytes([0] * 4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk, header = {
        "webp": (b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width | 1 << 14, height)),
        "lossless webp": (b"VP8L", b"\x2f" + bits),
        "extended webp": (b"VP8X", canvas),
    }[form]
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + chunk + struct.pack("<I", len(header)) + header + bytes(60)


def _gif(frames: list[tuple[int, int]], screen: tuple[int, int], comments: int = 0) -> bytes:
    """Return a GIF of red frames with a code a pixel, with comments of two blocks before the first."""
    parts = [b"GIF89a", struct.pack("<HHBBB", *screen, 0x80, 0, 0), bytes([255, 0, 0, 0, 255, 0]), b"!\xfe\1c\1d\0" * comments]
    for width, height in frames:
        codes = [code for _ in range(min(width * height, 4096)) for code in (4, 0)] + [5]
        value = sum(code << 3 * place for place, code in enumerate(codes))
        data = value.to_bytes((3 * len(codes) + 7) // 8, "little")
        blocks = [data[start : start + 254] for start in range(0, len(data), 254)]
        parts += [b",", struct.pack("<HHHHB", 0, 0, width, height, 0), b"\2"]
        parts += [bytes([len(block)]) + block for block in blocks] + [b"\0"]
    return b"".join([*parts, b";"])


_FORMS = ["png", "jpeg", "gif", "gif screen", "bmp", "bmp from the top", "webp", "lossless webp", "extended webp"]


@pytest.mark.parametrize("form", _FORMS)
def test_too_many_pixels_are_refused_by_the_header(form: str) -> None:
    width, height = (16383, 4097) if "webp" in form else (30000, 30000)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {PIXEL_LIMIT} pixels. Received: {width * height}"):
        decode_pixels(tf.constant(_declaring(form, width, height)))


@pytest.mark.parametrize("form", [form for form in _FORMS if form != "gif screen"])
def test_the_limit_itself_goes_on_to_the_decoder(form: str) -> None:
    width, height = (16383, 4096) if "webp" in form else (8192, 8192)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode_pixels(tf.constant(_declaring(form, width, height)[:-3]))
    assert "at most" not in str(caught.value)


def test_a_png_of_the_largest_sides_overflows_nothing() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most"):
        decode_pixels(tf.constant(_declaring("png", 2**32 - 1, 2**32 - 1)))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [(b"", "empty"), (b"text", "first bytes"), (b"GIF89a", "must be a GIF that"), (b"\x89PNG\r\n\x1a\n", "first bytes")],
)
def test_what_is_wrong_is_said(encoded: bytes, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_pixels(tf.constant(encoded))


def test_an_animated_webp_is_refused() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    with pytest.raises(tf.errors.InvalidArgumentError, match="animated WebP"):
        decode_pixels(tf.constant(_encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])))


def test_one_bad_image_of_a_graph_fails_it_with_the_reason() -> None:
    decode = tf.function(lambda images: tf.map_fn(lambda one: decode_image(one, 4), images, fn_output_signature=tf.float32))
    good = _encoded(_photograph(), "PNG")
    assert decode(tf.constant([good, good])).shape == (2, 4, 4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: 900000000"):
        decode(tf.constant([good, _declaring("png", 30000, 30000)]))


def test_a_gif_is_cut_after_its_first_frame() -> None:
    one, many = _gif([(40, 30)], (40, 30), comments=3), _gif([(40, 30)] * 5, (40, 30), comments=3)
    assert first_frame(tf.constant(many)).numpy() == one
    np.testing.assert_array_equal(decode_pixels(tf.constant(many)), np.full((30, 40, 3), [255, 0, 0]))


def test_a_later_frame_of_a_gif_takes_no_memory() -> None:
    assert decode_pixels(tf.constant(_gif([(4, 4), (40000, 40000)], (4, 4)))).shape == (4, 4, 3)


def test_a_gif_of_endless_blocks_is_refused() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="first 4096 blocks"):
        first_frame(tf.constant(_gif([(4, 4)], (4, 4), comments=3000)))


def test_the_shape_is_known_in_a_graph() -> None:
    graph = tf.function(lambda encoded: decode_image(encoded, SIZE)).get_concrete_function(tf.TensorSpec([], tf.string))
    assert graph.structured_outputs.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("kept", [0, 8, 40, 100])
def test_what_a_decoder_refuses_is_said_of_the_image(form: str, kept: int) -> None:
    content = _encoded(_photograph(), form)[:kept] + b"\xfe" * 7
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        decode_pixels(tf.constant(content))
    assert is_of_image(raised.value.message.splitlines()[0]), raised.value.message


@pytest.mark.parametrize(
    "message",
    [
        'Serving signature key "explain" not found.',
        "Inputs do not match the signature. Sent extra: {descriptions}. Missing but required: {image_bytes}.",
        "{{function_node __inference_image}} Incompatible shapes: [1,1,4] vs. [1,4,3]",
        "descriptions must be finite numbers.",
        "Cannot feed value of shape (1, 4) for Tensor 'serving_default_image_bytes:0'",
    ],
)
def test_what_is_of_a_request_is_not_of_an_image(message: str) -> None:
    assert not is_of_image(message)
