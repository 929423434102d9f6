"""Image bytes to pixels: the one decoder that training and serving share."""

from __future__ import annotations

import re

import tensorflow as tf

from niwt_tf.data.animation import still_gif, still_png
from niwt_tf.data.image_header import checked_header
from niwt_tf.errors import asserted


def decode_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Decode one JPEG, PNG, WebP, GIF or BMP image at its own size.

    Grey becomes three equal channels, CMYK JPEG becomes RGB, 16-bit PNG keeps its upper 8 bits, and an alpha channel is
    dropped. Only core operations are used, so the function can be part of a serving signature. An image is refused before
    any pixel is decoded where its header declares more than PIXEL_LIMIT of them, or a side of more than SIDE_LIMIT.
    So is an animation.

    Args:
        encoded: scalar string, the bytes of a file.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image that can be decoded, one that is too large, or an animation
            (when the operation runs).
    """
    image = tf.io.decode_image(_still(encoded), channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def decode_image(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decode one image as `decode_pixels` does and squash the whole of it to a square, with antialiasing.

    Args:
        encoded: scalar string, the bytes of a file.
        size: side of the result in pixels.

    Returns:
        float32 [size, size, 3], RGB in 0..255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image that can be decoded (when the operation runs).
    """
    pixels = decode_pixels(encoded)

    def squashed() -> tf.Tensor:
        resized = tf.image.resize(pixels, [size, size], method=tf.image.ResizeMethod.BILINEAR, antialias=True)
        return tf.clip_by_value(resized, 0.0, 255.0)

    # The resize of an image that has the size already changes nothing and would take more than half of the whole time.
    is_square = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size))
    image = tf.cond(is_square, lambda: tf.cast(pixels, tf.float32), squashed)
    return tf.ensure_shape(image, [size, size, 3])


def refusal(error: tf.errors.OpError) -> str:
    """Return in a few words why an image could not be decoded, without what only TensorFlow's makers can read."""
    lines = [line.strip() for line in re.sub(r"\{\{.*?\}\} *|\[Op:.*", "", error.message).splitlines()]
    said = [line for line in lines if line and not line.startswith("[[")]
    # Outside of a graph a traced function's error begins with a traceback, and what it says is at the end.
    line = (said[-1] if said[0].startswith("Graph execution error") else said[0]) if said else type(error).__name__
    return asserted(line).rstrip(".")


# Traced once a process: every pipeline and signature that decodes would trace these hundreds of operations again.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _still(encoded: tf.Tensor) -> tf.Tensor:
    """Return the bytes of an image that may be decoded."""
    checked, is_gif, is_png = checked_header(encoded)
    return tf.cond(is_gif, lambda: still_gif(checked), lambda: tf.cond(is_png, lambda: still_png(checked), lambda: checked))
