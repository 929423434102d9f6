"""The first frame of a GIF as a file of its own: a decoder unpacks every frame, even where only the first is asked for."""

from __future__ import annotations

import tensorflow as tf

from niwt_tf.data.image_header import required, too_large
from niwt_tf.data.image_messages import NO_FRAME, PIXEL_LIMIT

_STEPS = 4096
_RUN = 256  # blocks of data that are stepped over at once where they are equally long, as all but the last are
_AT_BLOCK, _IN_EXTENSION, _IN_IMAGE, _AFTER_IMAGE, _LOST = range(5)
_EXTENSION, _IMAGE = 0x21, 0x2C


def first_frame(encoded: tf.Tensor) -> tf.Tensor:
    """Cut a GIF after its first frame; one that ends within it is returned as it is.

    Args:
        encoded: scalar string, the bytes of a GIF.

    Returns:
        Scalar string, a GIF of one frame.

    Raises:
        tf.errors.InvalidArgumentError: there is no frame, it lies behind too many blocks, or has more than PIXEL_LIMIT
            pixels (when the operation runs).
    """
    # The zero stands for everything behind the end.
    raw = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([1], tf.uint8)], 0)
    end = tf.size(raw) - 1

    def at(position: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(raw, tf.minimum(position, end)), tf.int32)

    def table(flags: tf.Tensor) -> tf.Tensor:
        """Return the bytes of the colour table that `flags` announce."""
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(position: tf.Tensor, state: tf.Tensor, pixels: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        after = tf.cond(state == _AT_BLOCK, lambda: block(position, pixels), lambda: data(position, state, pixels))
        return (*after, steps + 1)

    def block(position: tf.Tensor, pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kind = at(position)
        corner = tf.cast(at(position + tf.range(5, 9)), tf.int64)
        area = (corner[0] + 256 * corner[1]) * (corner[2] + 256 * corner[3])
        is_image, is_extension = tf.equal(kind, _IMAGE), tf.equal(kind, _EXTENSION)
        state = tf.where(is_image, _IN_IMAGE, tf.where(is_extension, _IN_EXTENSION, _LOST))
        # A descriptor of 10 bytes, its table and a code size; or the two bytes that name an extension.
        length = tf.where(is_image, 11 + table(at(position + 9)), 2)
        return position + length, state, tf.where(is_image, area, pixels)

    def data(position: tf.Tensor, state: tf.Tensor, pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        length = at(position)
        equal = tf.cast(tf.equal(at(position + (length + 1) * tf.range(_RUN)), length), tf.int32)
        stepped = tf.where(length > 0, tf.reduce_sum(tf.math.cumprod(equal)) * (length + 1), 1)
        ended = tf.where(tf.equal(state, _IN_IMAGE), _AFTER_IMAGE, _AT_BLOCK)
        return position + stepped, tf.where(length > 0, state, ended), pixels

    def going_on(position: tf.Tensor, state: tf.Tensor, pixels: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return (state < _AFTER_IMAGE) & (steps < _STEPS) & (position < end)

    start = (13 + table(at(tf.constant(10))), tf.constant(_AT_BLOCK), tf.constant(0, tf.int64), tf.constant(0))
    position, state, pixels, _ = tf.while_loop(going_on, step, start, parallel_iterations=1)
    cut_short = tf.equal(state, _IN_IMAGE) & (position >= end)
    content = required(tf.equal(state, _AFTER_IMAGE) | cut_short, encoded, lambda: tf.constant(NO_FRAME))
    content = required(pixels <= PIXEL_LIMIT, content, lambda: too_large(pixels))
    return tf.where(cut_short, content, tf.strings.substr(content, 0, position) + ";")
