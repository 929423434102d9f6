"""Image bytes to pixels: the one decoder that training and serving share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.messages import ANIMATED, EMPTY, PIXEL_LIMIT, SIDE_LIMIT, TOO_LARGE, TOO_LONG, UNKNOWN
from niwt_tf.data.images.orientation import orientation, upright
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import asserted


def decode_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Decode one JPEG, PNG, WebP, GIF or BMP image, a scalar string, at its own size, turned as its EXIF data say.

    Grey becomes three equal channels, CMYK JPEG becomes RGB, 16-bit PNG keeps its upper 8 bits, and an alpha channel is
    dropped. Only core operations are used, so the function can be part of a serving signature. An image is refused before any
    pixel is decoded where its header declares more than PIXEL_LIMIT of them, or a side of more than SIDE_LIMIT. So is an
    animation.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image that can be decoded, one that is too large, or an animation
            (when the operation runs).
    """
    return upright(_stored_pixels(encoded), orientation(encoded))


def decode_image(encoded: tf.Tensor, form: InputForm | int) -> tf.Tensor:
    """Decode one image as `decode_pixels` does and resize it to a square, with antialiasing.

    Args:
        encoded: the file, a scalar string.
        form: the square's side, S, and how the image is brought to it; for a side alone the whole of it is squashed.

    Returns:
        float32 [size, size, 3], RGB in 0..255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image that can be decoded (when the operation runs).
    """
    size, resize = form if isinstance(form, InputForm) else InputForm(int(form))
    if resize != "squash":
        return fitted(decode_pixels(encoded), InputForm(size, resize))
    pixels = _stored_pixels(encoded)

    def squashed() -> tf.Tensor:
        return _resized(pixels, [size, size])

    # The resize of an image that has the size already changes nothing and would take more than half of the whole time.
    is_square = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size))
    image = tf.cond(is_square, lambda: tf.cast(pixels, tf.float32), squashed)
    # Turned at the end: a square of the network's size is turned in no time, a photograph of 12 million pixels is not.
    return tf.ensure_shape(upright(image, orientation(encoded)), [size, size, 3])


def fitted(pixels: tf.Tensor, form: InputForm) -> tf.Tensor:
    """Return pixels [H, W, 3] in 0..255 as a network of a form takes them, float32 [S, S, 3]."""
    ways = {"squash": lambda: _resized(pixels, [form.size] * 2), "crop": lambda: _cropped(pixels, form.size)}
    return tf.ensure_shape(ways.get(form.resize, lambda: _padded(pixels, form.size))(), [form.size, form.size, 3])


def _cropped(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Return the middle square of an image at another size."""
    height, width = tf.unstack(tf.shape(pixels)[:2])
    side = tf.minimum(height, width)
    middle = tf.image.crop_to_bounding_box(pixels, (height - side) // 2, (width - side) // 2, side, side)
    return _resized(middle, [size, size])


def _padded(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Return a whole image within a square, in its own shape; the rest is black."""
    sides = tf.shape(pixels)[:2]
    scaled = tf.cast(tf.round(tf.cast(sides * size, tf.float64) / tf.cast(tf.reduce_max(sides), tf.float64)), tf.int32)
    scaled = tf.clip_by_value(scaled, 1, size)
    before = (size - scaled) // 2
    return tf.image.pad_to_bounding_box(_resized(pixels, scaled), before[0], before[1], size, size)


def _resized(pixels: tf.Tensor, sides: tf.Tensor | list[int]) -> tf.Tensor:
    resized = tf.image.resize(pixels, sides, method=tf.image.ResizeMethod.BILINEAR, antialias=True)
    return tf.clip_by_value(resized, 0.0, 255.0)


def refusal(error: tf.errors.OpError) -> str:
    """Return in a few words why an image could not be decoded, without what only TensorFlow's makers can read."""
    lines = [line.strip() for line in re.sub(r"\{\{.*?\}\} *|\[Op:.*", "", error.message).splitlines()]
    said = [line for line in lines if line and not line.startswith("[[")]
    # Outside of a graph a traced function's error begins with a traceback, and what it says is at the end.
    line = (said[-1] if said[0].startswith("Graph execution error") else said[0]) if said else type(error).__name__
    return asserted(line).rstrip(".")


def _stored_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Return the pixels as the file holds them, uint8 [height, width, 3]."""
    image = tf.io.decode_image(_still(encoded), channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


# Traced once a process: every pipeline and signature that decodes would trace these hundreds of operations again.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _still(encoded: tf.Tensor) -> tf.Tensor:
    """Return the bytes of an image that may be decoded."""
    checked, is_gif, is_png = checked_header(encoded)
    return tf.cond(is_gif, lambda: still_gif(checked), lambda: tf.cond(is_png, lambda: still_png(checked), lambda: checked))


_STEPS = 4096
NO_FRAME = f"The image must be a GIF that holds one frame and ends within its first {_STEPS} blocks."
NO_PIXELS = f"The PNG must begin its pixels within its first {_STEPS} chunks."
_RUN = 256  # blocks of data that are stepped over at once where they are equally long, as all but the last are
_AT_BLOCK, _IN_EXTENSION, _IN_IMAGE, _ENDED = range(4)
_EXTENSION, _IMAGE = 0x21, 0x2C
_FIRST_CHUNK, _CHUNK_BYTES = 8, 12  # a chunk's length, name and checksum are 12 bytes
_PIXELS, _ANIMATION = (int.from_bytes(name, "big") for name in (b"IDAT", b"acTL"))


# Refusing GIFs and PNGs that are animated, by their blocks alone: a decoder would take their first frame without a word, and a
# GIF's makes room for every frame. Only core operations are used, and no pixel is unpacked.
def still_gif(encoded: tf.Tensor) -> tf.Tensor:
    """Return a GIF of one frame, a scalar string, up to its end; one that is cut off is returned as it is.

    Raises:
        tf.errors.InvalidArgumentError: there are several frames or none, too many blocks, or the frame has more than
            PIXEL_LIMIT pixels (when the operation runs).
    """
    # The zero stands for everything behind the end.
    raw = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([1], tf.uint8)], 0)
    end = tf.size(raw) - 1

    def at(position: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(raw, tf.minimum(position, end)), tf.int32)

    def table(flags: tf.Tensor) -> tf.Tensor:
        """Return the bytes of the colour table that `flags` announce."""
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(position: tf.Tensor, state: tf.Tensor, *counts: tf.Tensor) -> tuple[tf.Tensor, ...]:
        frames, pixels, steps = counts
        at_block = tf.equal(state, _AT_BLOCK)
        after = tf.cond(at_block, lambda: block(position, frames, pixels), lambda: data(position, state, frames, pixels))
        return (*after, steps + 1)

    def block(position: tf.Tensor, frames: tf.Tensor, pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kind = at(position)
        corner = tf.cast(at(position + tf.range(5, 9)), tf.int64)
        area = (corner[0] + 256 * corner[1]) * (corner[2] + 256 * corner[3])
        is_image, is_extension = tf.equal(kind, _IMAGE), tf.equal(kind, _EXTENSION)
        state = tf.where(is_image, _IN_IMAGE, tf.where(is_extension, _IN_EXTENSION, _ENDED))
        # A descriptor of 10 bytes, its table and a code size; or the two bytes that name an extension.
        length = tf.where(is_image, 11 + table(at(position + 9)), tf.where(is_extension, 2, 0))
        return position + length, state, frames + tf.cast(is_image, tf.int32), tf.where(is_image, area, pixels)

    def data(position: tf.Tensor, state: tf.Tensor, frames: tf.Tensor, pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        length = at(position)
        equal = tf.cast(tf.equal(at(position + (length + 1) * tf.range(_RUN)), length), tf.int32)
        stepped = tf.where(length > 0, tf.reduce_sum(tf.math.cumprod(equal)) * (length + 1), 1)
        return position + stepped, tf.where(length > 0, state, _AT_BLOCK), frames, pixels

    def going_on(position: tf.Tensor, state: tf.Tensor, frames: tf.Tensor, pixels: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return (state < _ENDED) & (frames < 2) & (steps < _STEPS) & (position < end)

    zero = tf.constant(0)
    start = (13 + table(at(tf.constant(10))), tf.constant(_AT_BLOCK), zero, tf.constant(0, tf.int64), zero)
    position, state, frames, pixels, _ = tf.while_loop(going_on, step, start, parallel_iterations=1)
    content = required(frames < 2, encoded, lambda: tf.constant(ANIMATED))
    at_end = tf.equal(state, _ENDED) | (position >= end)
    content = required(tf.equal(frames, 1) & at_end, content, lambda: tf.constant(NO_FRAME))
    content = required(pixels <= PIXEL_LIMIT, content, lambda: too_large(pixels))
    cut_off = tf.equal(state, _IN_IMAGE) | tf.equal(state, _IN_EXTENSION)
    return tf.where(cut_off, content, tf.strings.substr(content, 0, position) + ";")


def still_png(encoded: tf.Tensor) -> tf.Tensor:
    """Return the bytes of a PNG, a scalar string, once it has been found not to announce several frames before its pixels.

    Raises:
        tf.errors.InvalidArgumentError: it is animated, or its pixels lie behind too many chunks (when the operation runs).
    """
    end = tf.cast(tf.strings.length(encoded), tf.int64)

    def step(position: tf.Tensor, ended: tf.Tensor, animated: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        head = tf.strings.substr(encoded, position, 12)
        length, name, frames = tf.unstack(tf.io.decode_raw(head, tf.int32, little_endian=False, fixed_length=12))
        animated |= tf.equal(name, _ANIMATION) & tf.not_equal(frames, 1)
        # A length of 2 GB is negative here; it is left to the decoder, which refuses it.
        return position + tf.cast(length, tf.int64) + _CHUNK_BYTES, tf.equal(name, _PIXELS) | (length < 0), animated, steps + 1

    def going_on(position: tf.Tensor, ended: tf.Tensor, animated: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return ~ended & ~animated & (steps < _STEPS) & (position < end)

    start = (tf.constant(_FIRST_CHUNK, tf.int64), tf.constant(False), tf.constant(False), tf.constant(0))
    position, ended, animated, _ = tf.while_loop(going_on, step, start, parallel_iterations=1)
    content = required(~animated, encoded, lambda: tf.constant(ANIMATED))
    return required(ended | (position >= end), content, lambda: tf.constant(NO_PIXELS))


_BYTES = 32
_WHOLE = 2.0**33  # more than any side


# What sides an image file declares, read from its first bytes inside the graph.
#
# An image of 100 kB can declare 30000 x 30000 pixels, and a decoder makes room for all of them before it finds nothing there.
# One of 1 kB can be 1,000,000 x 1, and the resize keeps a row of that width for each row of the result. The header alone shows
# it. Only core operations are used, and what is read is what TensorFlow's own decoders read.


@dataclass(frozen=True)
class _Kind:
    """A format by its first bytes."""

    magic: dict[int, bytes | tuple[int, int]]  # what must be where; a pair is (bits that count, what they must be)
    sides: tuple[tuple[int, int, bool], ...] = ()  # the bytes of a side, as (first byte, number, big-endian)
    modulus: float = _WHOLE  # a side is the rest after division by it
    wrap: float = 2 * _WHOLE  # a side beyond half of it is negative, in two's complement
    plus: float = 0  # what is added to a side
    shift: float = 1  # the second side is divided by it

    def bits(self) -> np.ndarray:
        """Return uint8 [2, _BYTES]: which bits count, and what they must be."""
        rows = np.zeros((2, _BYTES), np.uint8)
        for start, value in self.magic.items():
            if isinstance(value, tuple):
                rows[:, start] = value
            else:
                rows[:, start : start + len(value)] = [[255] * len(value), list(value)]
        return rows

    def weights(self) -> np.ndarray:
        """Return float64 [2, _BYTES], which multiplied with the header gives width and height."""
        rows = np.zeros((2, _BYTES))
        for row, (start, number, big) in zip(rows, self.sides, strict=False):
            powers = 256.0 ** np.arange(number)
            row[start : start + number] = powers[::-1] if big else powers
        rows[1] /= self.shift
        return rows


_WEBP = {0: b"RIFF", 8: b"WEBP"}
_CANVAS = ((24, 3, False), (27, 3, False))
_KINDS = {
    "jpeg": _Kind({0: b"\xff\xd8\xff"}),  # its sides are behind segments of any length
    "png": _Kind({0: b"\x89PNG\r\n\x1a\n", 12: b"IHDR"}, ((16, 4, True), (20, 4, True))),
    "gif": _Kind({0: b"GIF8"}, ((6, 2, False), (8, 2, False))),
    "bmp": _Kind({0: b"BM"}, ((18, 4, False), (22, 4, False)), wrap=2.0**32),
    "lossy": _Kind({**_WEBP, 12: b"VP8 ", 23: b"\x9d\x01\x2a"}, ((26, 2, False), (28, 2, False)), modulus=2.0**14),
    "lossless": _Kind({**_WEBP, 12: b"VP8L", 20: b"\x2f"}, ((21, 4, False), (21, 4, False)), 2.0**14, plus=1, shift=2.0**14),
    "extended": _Kind({**_WEBP, 12: b"VP8X", 20: (2, 0)}, _CANVAS, plus=1),
    "animated": _Kind({**_WEBP, 12: b"VP8X", 20: (2, 2)}, _CANVAS, plus=1),
}
_PLACE = {name: place for place, name in enumerate(_KINDS)}
_MASKS, _EXPECTED = np.stack([kind.bits() for kind in _KINDS.values()], axis=1)
_WEIGHTS = np.concatenate([kind.weights() for kind in _KINDS.values()])
_MODULUS, _WRAP, _PLUS = ([[getattr(kind, name)] for kind in _KINDS.values()] for name in ("modulus", "wrap", "plus"))


def checked_header(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the bytes of an image, and whether it is a GIF or a PNG (scalars), once its header has been found good.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are empty, of no format that is decoded, an animated WebP, or declare more
            than PIXEL_LIMIT pixels or a side of more than SIDE_LIMIT (when the operation runs).
    """
    header = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_BYTES)
    found = tf.reduce_all(tf.equal(tf.bitwise.bitwise_and(header, _MASKS), _EXPECTED), axis=1)
    in_jpeg = found[_PLACE["jpeg"]]
    sides = tf.cond(in_jpeg, lambda: tf.cast(tf.io.extract_jpeg_shape(encoded), tf.float64)[:2], lambda: _sides(header, found))
    pixels, longest = tf.reduce_prod(sides), tf.reduce_max(sides)
    known, animated = tf.reduce_any(found), found[_PLACE["animated"]]

    def reason() -> tf.Tensor:
        unknown = tf.where(tf.equal(encoded, ""), EMPTY, UNKNOWN)
        # The longest side first, since an integer holds it and the pixels of shorter ones.
        too_long = tf.strings.join([TOO_LONG, tf.strings.as_string(tf.cast(longest, tf.int64)), "."])
        size = tf.where(longest > SIDE_LIMIT, too_long, too_large(tf.cast(pixels, tf.int64)))
        return tf.where(animated, ANIMATED, tf.where(known, size, unknown))

    good = known & ~animated & (pixels <= PIXEL_LIMIT) & (longest <= SIDE_LIMIT)
    return required(good, encoded, reason), found[_PLACE["gif"]], found[_PLACE["png"]]


def too_large(pixels: tf.Tensor) -> tf.Tensor:
    """Return the message, a scalar string, that an image of `pixels`, an integer, is too large."""
    return tf.strings.join([TOO_LARGE, tf.strings.as_string(pixels), "."])


def required(good: tf.Tensor, value: tf.Tensor, reason: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Return `value`. `reason` makes the message, a scalar string; it costs nothing where `good`, a scalar bool, is true.

    Raises:
        tf.errors.InvalidArgumentError: `good` is false (when the operation runs).
    """

    def refused() -> tf.Tensor:
        check = tf.raw_ops.Assert(condition=good, data=[reason()])
        # An eager operation has run by now and is None.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(value)

    return tf.cond(good, lambda: value, refused)


def _sides(header: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    # In float64, since the product of two sides of 32 bits is more than an integer of 64 holds.
    fields = tf.matmul(_WEIGHTS, tf.cast(header, tf.float64)[:, tf.newaxis])
    sides = tf.math.floormod(tf.floor(tf.reshape(fields, [-1, 2])), _MODULUS)
    sides = tf.minimum(sides, _WRAP - sides) + _PLUS
    return tf.reduce_sum(tf.where(found[:, tf.newaxis], sides, 0), axis=0)
