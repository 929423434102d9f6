"""Which way up a photograph is to be seen, read from its file inside a graph: core operations alone.

A phone stores every photograph as its sensor lies and says in the EXIF data how it is to be turned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

UPRIGHT = 1
_ORIENTATION = 0x0112  # the tag, in the first directory of the EXIF data
_BYTE, _SHORT, _LONG = 1, 3, 4  # types that its value has
_PREFIX = b"Exif\0\0"
_HEAD = 16  # bytes that are looked at of a segment or chunk
_STEPS = 4096  # of them at most
_RUN = 256  # of equal ones at most that are stepped over at once
_DIRECTORY = 1024  # entries at most


# Traced once a process, like the check of the header.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return how a JPEG, PNG or WebP file, a scalar string, says that its pixels are turned, int32 in 1..8; 1 is upright.

    That is the orientation in the first EXIF data, which a PNG or WebP may have behind its pixels too. A file that says
    nothing, or nothing that can be read, is upright.
    """
    start = _exif_data(encoded)
    return tf.cond(start > 0, lambda: _first_directory(encoded, start), lambda: tf.constant(UPRIGHT))


def upright(pixels: tf.Tensor, turned: tf.Tensor) -> tf.Tensor:
    """Return pixels [H, W, 3] of an orientation, int32 in 1..8, as they are to be seen: [H, W, 3], or [W, H, 3] from 5 on."""

    def turning() -> tf.Tensor:
        stood = tf.cond(turned >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        mirrored = tf.cond(_is_one_of(turned, 2, 3, 6, 7), lambda: tf.reverse(stood, [1]), lambda: stood)
        return tf.cond(_is_one_of(turned, 3, 4, 7, 8), lambda: tf.reverse(mirrored, [0]), lambda: mirrored)

    return tf.cond(tf.equal(turned, UPRIGHT), lambda: pixels, turning)


def _is_one_of(value: tf.Tensor, *choices: int) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(choices, value.dtype)))


def _exif_data(encoded: tf.Tensor) -> tf.Tensor:
    """Return where the EXIF data of a file begin, int64, or 0."""
    begin = _bytes(encoded, _whole(0), 12)
    is_jpeg, is_png = _is(begin, 0, b"\xff\xd8"), _is(begin, 0, b"\x89PNG")
    is_webp = _is(begin, 0, b"RIFF") & _is(begin, 8, b"WEBP")
    formats = ((is_jpeg, 2, _segment), (is_png, 8, _chunk), (is_webp, 12, _part))
    walks = [(found, partial(_walked, encoded, first, step)) for found, first, step in formats]
    return tf.case(walks, default=lambda: _whole(0))


# Each takes the first bytes of a piece of a file and returns its length, where the EXIF data begin in it, or 0 where it has
# none, and whether none can follow.
def _segment(head: tf.Tensor) -> tuple[tf.Tensor, ...]:
    marker = head[1]
    # Any number of bytes 255 may stand before a marker. Tables come behind all data of applications and comments.
    length = tf.where(tf.equal(marker, 0xFF), _whole(1), 2 + _number(head[2:4], True))
    has_data = tf.equal(marker, 0xE1) & _is(head, 4, _PREFIX)
    over = tf.not_equal(head[0], 0xFF) | (marker < 0xE0) | (tf.not_equal(marker, 0xFF) & (length < 4))
    return length, tf.where(has_data, _whole(10), _whole(0)), over


def _chunk(head: tf.Tensor) -> tuple[tf.Tensor, ...]:
    length = _number(head[:4], True)
    over = _is(head, 4, b"IEND") | (length >= 2**31)
    return 12 + length, tf.where(_is(head, 4, b"eXIf"), 8 + _prefixed(head), _whole(0)), over


def _part(head: tf.Tensor) -> tuple[tf.Tensor, ...]:
    length = _number(head[4:8], False)
    return 8 + length + length % 2, tf.where(_is(head, 0, b"EXIF"), 8 + _prefixed(head), _whole(0)), tf.constant(False)


def _prefixed(head: tf.Tensor) -> tf.Tensor:
    """Return the length of what only a JPEG should have before the data, where a PNG or WebP has it too."""
    return tf.where(_is(head, 8, _PREFIX), _whole(len(_PREFIX)), _whole(0))


def _walked(encoded: tf.Tensor, first: int, piece: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]) -> tf.Tensor:
    end = tf.cast(tf.strings.length(encoded), tf.int64)

    def step(position: tf.Tensor, start: tf.Tensor, ended: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del start, ended
        length, data, over = piece(_bytes(encoded, position, _HEAD))
        # Equal chunks, as those of a PNG's pixels are, all but the last, are stepped over at once.
        places = _within(encoded, position + length * tf.range(_RUN, dtype=tf.int64))
        begins = tf.strings.substr(encoded, places, tf.fill([_RUN], _whole(8)))
        equal = tf.reduce_sum(tf.math.cumprod(tf.cast(tf.equal(begins, begins[0]), tf.int64)))
        return position + length * equal, tf.where(data > 0, position + data, data), over | (data > 0), steps + 1

    def going_on(position: tf.Tensor, start: tf.Tensor, ended: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return ~ended & (steps < _STEPS) & (position < end)

    state = (_whole(first), _whole(0), tf.constant(False), tf.constant(0))
    return tf.while_loop(going_on, step, state, parallel_iterations=1)[1]


def _first_directory(encoded: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Return the orientation in the first directory of EXIF data at `start`, int32 in 1..8."""
    head = _bytes(encoded, start, 8)
    big, known = _is(head, 0, b"MM"), _is(head, 0, b"MM") | _is(head, 0, b"II")
    directory = start + _either(head[4:8], big)
    count = tf.minimum(_either(_bytes(encoded, directory, 2), big), _DIRECTORY)
    content = tf.io.decode_raw(tf.strings.substr(encoded, _within(encoded, directory + 2), 12 * count), tf.uint8)
    entries = tf.cast(tf.reshape(content[: 12 * (tf.size(content) // 12)], [-1, 12]), tf.int64)
    tags, types = _either(entries[:, :2], big), _either(entries[:, 2:4], big)
    short, whole = _either(entries[:, 8:10], big), _either(entries[:, 8:12], big)
    values = tf.where(tf.equal(types, _SHORT), short, tf.where(tf.equal(types, _LONG), whole, entries[:, 8]))
    whole_number = tf.reduce_any(tf.equal(types[:, None], tf.constant([_BYTE, _SHORT, _LONG], tf.int64)), axis=1)
    is_it = tf.equal(tags, _ORIENTATION) & whole_number
    value = tf.reduce_max(tf.concat([tf.where(is_it, values, _whole(0)), [_whole(0)]], 0))
    return tf.cast(tf.where(known & (value >= 1) & (value <= 8), value, _whole(UPRIGHT)), tf.int32)


def _within(encoded: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    return tf.minimum(position, tf.cast(tf.strings.length(encoded), tf.int64))


def _bytes(encoded: tf.Tensor, position: tf.Tensor, count: int) -> tf.Tensor:
    """Return bytes from a position on, int64 [count]; behind the end they are 0."""
    found = tf.strings.substr(encoded, _within(encoded, position), _whole(count))
    return tf.cast(tf.io.decode_raw(found, tf.uint8, fixed_length=count), tf.int64)


def _whole(value: int) -> tf.Tensor:
    return tf.constant(value, tf.int64)


def _is(content: tf.Tensor, place: int, name: bytes) -> tf.Tensor:
    return tf.reduce_all(tf.equal(content[place : place + len(name)], tf.constant(list(name), tf.int64)))


def _number(content: tf.Tensor, big: bool) -> tf.Tensor:
    """Return the number that the last axis of bytes, int64, holds, most significant first where it is `big`."""
    count = int(content.shape[-1])
    powers = [256**place for place in range(count)]
    return tf.reduce_sum(content * tf.constant(powers[::-1] if big else powers, tf.int64), axis=-1)


def _either(content: tf.Tensor, big: tf.Tensor) -> tf.Tensor:
    return tf.where(big, _number(content, True), _number(content, False))
