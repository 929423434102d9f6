"""Refusing GIFs and PNGs that are animated, by their blocks alone: a decoder would take their first frame without a word.

Only core operations are used, and no pixel is unpacked: a GIF's decoder makes room for every frame.
"""

from __future__ import annotations

import tensorflow as tf

from niwt_tf.data.image_header import required, too_large
from niwt_tf.data.image_messages import ANIMATED, PIXEL_LIMIT

_STEPS = 4096
NO_FRAME = f"The image must be a GIF that holds one frame and ends within its first {_STEPS} blocks."
NO_PIXELS = f"The PNG must begin its pixels within its first {_STEPS} chunks."
_RUN = 256  # blocks of data that are stepped over at once where they are equally long, as all but the last are
_AT_BLOCK, _IN_EXTENSION, _IN_IMAGE, _ENDED = range(4)
_EXTENSION, _IMAGE = 0x21, 0x2C
_FIRST_CHUNK, _CHUNK_BYTES = 8, 12  # a chunk's length, name and checksum are 12 bytes
_PIXELS, _ANIMATION = (int.from_bytes(name, "big") for name in (b"IDAT", b"acTL"))


def still_gif(encoded: tf.Tensor) -> tf.Tensor:
    """Return a GIF of one frame up to its end, without what may lie behind; one that is cut off is returned as it is.

    Args:
        encoded: scalar string, the bytes of a GIF.

    Returns:
        Scalar string.

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
    """Return the bytes of a PNG, once it has been found not to announce several frames before its pixels.

    Args:
        encoded: scalar string, the bytes of a PNG.

    Returns:
        Scalar string, `encoded`.

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
