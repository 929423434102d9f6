"""The decoder against Pillow, format by format."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.images.decode import decode_image, decode_pixels, refusal, still_gif
from niwt_tf.data.images.files import framed
from niwt_tf.data.images.messages import PIXEL_LIMIT, SIDE_LIMIT, is_of_image
from niwt_tf.data.schema import InputForm

SIZE = 24


def _photograph() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png16(pixels: np.ndarray) -> bytes:
    # Pillow cannot write a PNG of three 16-bit channels.
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in pixels)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


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


@pytest.fixture(scope="module")
def graph():
    """Return the decoder as a graph, which is made once for all files."""
    return tf.function(decode_pixels)


@pytest.mark.parametrize("name", list(_cases()))
def test_the_guard_changes_no_pixel(name: str, graph) -> None:
    encoded = tf.constant(_cases()[name][0])
    expected = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    np.testing.assert_array_equal(decode_pixels(encoded), expected)
    np.testing.assert_array_equal(graph(encoded), expected)


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
    width, height = (16383, 2049) if "webp" in form else (30000, 30000)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {PIXEL_LIMIT} pixels. Received: {width * height}"):
        decode_pixels(tf.constant(_declaring(form, width, height)))


@pytest.mark.parametrize("form", [form for form in _FORMS if form != "gif screen"])
def test_the_limit_itself_goes_on_to_the_decoder(form: str) -> None:
    width, height = (16383, 2048) if "webp" in form else (8192, 4096)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decode_pixels(tf.constant(_declaring(form, width, height)[:-3]))
    assert "at most" not in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(1_000_000, 1), (70_000, 1), (1, 70_000), (SIDE_LIMIT + 1, 1)])
def test_a_side_that_is_too_long_is_refused(width: int, height: int) -> None:
    encoded = _encoded(Image.new("RGB", (width, height)), "PNG")
    assert len(encoded) < 5000
    message = f"sides of at most {SIDE_LIMIT} pixels. Received: {max(width, height)}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_image(tf.constant(encoded), SIZE)


def test_the_longest_side_is_decoded() -> None:
    encoded = _encoded(Image.new("RGB", (SIDE_LIMIT, 1), "red"), "PNG")
    np.testing.assert_allclose(decode_image(tf.constant(encoded), SIZE), np.full((SIZE, SIZE, 3), [255, 0, 0]), atol=0.02)


def test_a_png_of_the_largest_sides_overflows_nothing() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"sides of at most .* Received: {2**32 - 1}"):
        decode_pixels(tf.constant(_declaring("png", 2**32 - 1, 2**32 - 1)))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [(b"", "empty"), (b"text", "first bytes"), (b"GIF89a", "must be a GIF that"), (b"\x89PNG\r\n\x1a\n", "first bytes")],
)
def test_what_is_wrong_is_said(encoded: bytes, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_pixels(tf.constant(encoded))


def test_one_bad_image_of_a_graph_fails_it_with_the_reason() -> None:
    decode = tf.function(lambda images: tf.map_fn(lambda one: decode_image(one, 4), images, fn_output_signature=tf.float32))
    good = _encoded(_photograph(), "PNG")
    assert decode(tf.constant([good, good])).shape == (2, 4, 4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: 900000000"):
        decode(tf.constant([good, _declaring("png", 30000, 30000)]))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_refused(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = _encoded(frames[0], form, save_all=True, append_images=frames[1:])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be animated"):
        decode_pixels(tf.constant(moving))
    still = _encoded(frames[0], form, save_all=True)
    np.testing.assert_allclose(decode_pixels(tf.constant(still)), np.full((8, 8, 3), [255, 0, 0]), atol=2)


def test_no_frame_but_the_first_takes_memory() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be animated"):
        decode_pixels(tf.constant(_gif([(4, 4), (40000, 40000)], (4, 4))))


@pytest.mark.parametrize(
    "behind", [b"", b";", b"!\xfe\1c\0;", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", b";,", b"\0\0;", b"!\xfe\x09cut"]
)
def test_what_lies_behind_the_frame_of_a_gif_is_no_animation(behind: bytes) -> None:
    still = _gif([(40, 30)], (40, 30), comments=3)
    expected = np.full((30, 40, 3), [255, 0, 0])
    np.testing.assert_array_equal(decode_pixels(tf.constant(still[:-1] + behind)), expected)
    assert still_gif(tf.constant(still)).numpy() == still
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be animated"):
        decode_pixels(tf.constant(still[:-1] + b"!\xfe\1c\0" + still[still.index(b",") :]))


def test_a_gif_that_is_cut_off_after_its_second_descriptor_is_an_animation() -> None:
    moving = _gif([(40, 30)] * 2, (40, 30))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be animated"):
        still_gif(tf.constant(moving[: moving.rindex(b",") + 20]))


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_gif_of_endless_blocks_is_refused(place: str) -> None:
    endless = b"!\xfe\1c\1d\0" * 3000
    still = _gif([(4, 4)], (4, 4))
    head = still.index(b",")
    encoded = still[:head] + endless + still[head:] if place == "before" else still[:-1] + endless + b";"
    with pytest.raises(tf.errors.InvalidArgumentError, match="first 4096 blocks"):
        decode_pixels(tf.constant(encoded))  # traced: step by step it takes half a minute


@pytest.mark.parametrize(
    ("chunk", "place", "moves"),
    [
        (_chunk(b"acTL", struct.pack(">II", 2, 0)), b"IDAT", True),
        (_chunk(b"tEXt", b"k\0" + b"x" * 70_000) + _chunk(b"acTL", struct.pack(">II", 2, 0)), b"IDAT", True),
        (_chunk(b"acTL", struct.pack(">II", 1, 0)), b"IDAT", False),  # of one frame
        (_chunk(b"acTL", struct.pack(">II", 2, 0)), b"IEND", False),  # where it means nothing
        (_chunk(b"tEXt", b"k\0" + _chunk(b"acTL", struct.pack(">II", 2, 0))), b"IDAT", False),  # in a text
    ],
)
def test_a_png_is_animated_by_a_chunk_before_its_pixels(chunk: bytes, place: bytes, moves: bool) -> None:
    photograph = _photograph()
    still = _encoded(photograph, "PNG")
    head = still.index(place) - 4
    encoded = tf.constant(still[:head] + chunk + still[head:])
    if moves:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must not be animated"):
            decode_pixels(encoded)
    else:
        np.testing.assert_array_equal(decode_pixels(encoded), np.asarray(photograph))


def test_a_png_of_endless_chunks_is_refused() -> None:
    still = _encoded(_photograph(), "PNG")
    head = still.index(b"IDAT") - 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="first 4096 chunks"):
        decode_pixels(tf.constant(still[:head] + _chunk(b"prVt", b"") * 5000 + still[head:]))


def test_a_png_whose_chunk_has_a_negative_length_ends_the_search() -> None:
    still = _encoded(_photograph(), "PNG")
    head = still.index(b"IDAT") - 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid PNG"):
        decode_pixels(tf.constant(still[:head] + b"\xff\xff\xff\xf0" + still[head + 4 :]))


def test_the_shape_is_known_in_a_graph() -> None:
    graph = tf.function(lambda encoded: decode_image(encoded, SIZE)).get_concrete_function(tf.TensorSpec([], tf.string))
    assert graph.structured_outputs.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("kept", [0, 8, 40, 100])
def test_what_a_decoder_refuses_is_said_of_the_image(form: str, kept: int) -> None:
    content = _encoded(_photograph(), form)[:kept] + b"\xfe" * 7
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        decode_pixels(tf.constant(content))
    assert is_of_image(refusal(raised.value)), raised.value.message


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


@pytest.mark.parametrize("size", [(90, 60), (60, 91), (50, 50), (1, 400)])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_an_image_is_brought_to_the_square_as_it_is_framed(size, resize) -> None:
    image, form = _photograph().resize(size), InputForm(SIZE, resize)
    found = decode_image(_encoded(image, "PNG"), form).numpy()
    assert found.shape == (SIZE, SIZE, 3)
    # What the network is shown, squashed; half a pixel apart where a margin is odd.
    expected = decode_image(_encoded(framed(image, resize), "PNG"), SIZE).numpy()
    assert np.abs(found - expected).mean() < (1e-3 if resize != "pad" else 12)


def test_a_padded_image_is_whole_between_black() -> None:
    white = Image.new("RGB", (40, 10), "white")
    found = decode_image(_encoded(white, "PNG"), InputForm(20, "pad")).numpy()[:, :, 0]
    assert (found[:7] == 0).all() and (found[7:12] == 255).all() and (found[12:] == 0).all()


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_a_turned_photograph_is_brought_to_the_square_upright(resize) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = _photograph().transpose(Image.Transpose.ROTATE_90)
    found = decode_image(_encoded(turned, "PNG", exif=exif), InputForm(SIZE, resize))
    np.testing.assert_allclose(found, decode_image(_encoded(_photograph(), "PNG"), InputForm(SIZE, resize)), atol=1e-2)


def test_the_part_that_is_shown() -> None:
    assert InputForm(8, "squash").part(40, 20) == (0, 0, 40, 20)
    assert InputForm(8, "crop").part(40, 20) == (10, 0, 30, 20)
    assert InputForm(8, "pad").part(40, 20) == (0, -10, 40, 30)
    assert framed(Image.new("RGB", (40, 20), "white"), "pad").getpixel((0, 0)) == (0, 0, 0)
