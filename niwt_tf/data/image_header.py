"""What sides an image file declares, read from its first bytes inside the graph.

An image of 100 kB can declare 30000 x 30000 pixels, and a decoder makes room for all of them before it finds nothing there. One
of 1 kB can be 1,000,000 x 1, and the resize keeps a row of that width for each row of the result. The header alone shows it.
Only core operations are used, and what is read is what TensorFlow's own decoders read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.data.image_messages import ANIMATED, EMPTY, PIXEL_LIMIT, SIDE_LIMIT, TOO_LARGE, TOO_LONG, UNKNOWN

_BYTES = 32
_WHOLE = 2.0**33  # more than any side


@dataclass(frozen=True)
class _Kind:
    """A format by its first bytes.

    Attributes:
        magic: what must be where; a pair is (bits that count, what they must be).
        sides: the bytes of a side, as (first byte, number, big-endian).
        modulus: a side is the rest after division by it.
        wrap: a side beyond half of it is negative, in two's complement.
        plus: what is added to a side.
        shift: the second side is divided by it.
    """

    magic: dict[int, bytes | tuple[int, int]]
    sides: tuple[tuple[int, int, bool], ...] = ()
    modulus: float = _WHOLE
    wrap: float = 2 * _WHOLE
    plus: float = 0
    shift: float = 1

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
    """Return the bytes of an image, and whether it is a GIF or a PNG, once its header has been found good.

    Args:
        encoded: scalar string, the bytes of a file.

    Returns:
        Scalar string, `encoded`; scalar bool, a GIF; scalar bool, a PNG.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are empty, of no format that is decoded, an animated WebP, or declare more
            than PIXEL_LIMIT pixels or a side of more than SIDE_LIMIT (when the operation runs).
    """
    header = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_BYTES)
    found = tf.reduce_all(tf.equal(tf.bitwise.bitwise_and(header, _MASKS), _EXPECTED), axis=1)
    sides = tf.cond(found[_PLACE["jpeg"]], lambda: _jpeg_sides(encoded), lambda: _sides(header, found))
    pixels, longest = tf.reduce_prod(sides), tf.reduce_max(sides)
    known, animated = tf.reduce_any(found), found[_PLACE["animated"]]

    def reason() -> tf.Tensor:
        unknown = tf.where(tf.equal(encoded, ""), EMPTY, UNKNOWN)
        # The longest side first, since an integer holds it and the pixels of shorter ones.
        size = tf.where(longest > SIDE_LIMIT, _too_long(longest), too_large(tf.cast(pixels, tf.int64)))
        return tf.where(animated, ANIMATED, tf.where(known, size, unknown))

    good = known & ~animated & (pixels <= PIXEL_LIMIT) & (longest <= SIDE_LIMIT)
    return required(good, encoded, reason), found[_PLACE["gif"]], found[_PLACE["png"]]


def too_large(pixels: tf.Tensor) -> tf.Tensor:
    """Return the message, a scalar string, that an image of `pixels`, an integer, is too large."""
    return tf.strings.join([TOO_LARGE, tf.strings.as_string(pixels), "."])


def required(good: tf.Tensor, value: tf.Tensor, reason: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Return `value`.

    Args:
        good: scalar bool.
        value: any tensor.
        reason: makes the message, a scalar string; it costs nothing where `good` is true.

    Raises:
        tf.errors.InvalidArgumentError: `good` is false (when the operation runs).
    """

    def refused() -> tf.Tensor:
        check = tf.raw_ops.Assert(condition=good, data=[reason()])
        # An eager operation has run by now and is None.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(value)

    return tf.cond(good, lambda: value, refused)


def _too_long(side: tf.Tensor) -> tf.Tensor:
    return tf.strings.join([TOO_LONG, tf.strings.as_string(tf.cast(side, tf.int64)), "."])


def _jpeg_sides(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.extract_jpeg_shape(encoded), tf.float64)[:2]


def _sides(header: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    # In float64, since the product of two sides of 32 bits is more than an integer of 64 holds.
    fields = tf.matmul(_WEIGHTS, tf.cast(header, tf.float64)[:, tf.newaxis])
    sides = tf.math.floormod(tf.floor(tf.reshape(fields, [-1, 2])), _MODULUS)
    sides = tf.minimum(sides, _WRAP - sides) + _PLUS
    return tf.reduce_sum(tf.where(found[:, tf.newaxis], sides, 0), axis=0)
