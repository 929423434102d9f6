"""Pictures for the page: what the network's own decoder reads, small, and with a heat map over it."""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.data.images.decode import decode_pixels
from niwt_tf.errors import InputError

SHOWN = 384
_STRENGTH = 0.65


def decoded(encoded: bytes, name: str) -> np.ndarray:
    """Return the pixels uint8 [H, W, 3] of a file's bytes, decoded as the network does, not larger than the page shows them.

    Raises:
        InputError: it is not an image that can be decoded.
    """
    try:
        pixels = decode_pixels(tf.constant(encoded)).numpy()
    except tf.errors.OpError:
        rule = "An image must be a JPEG, PNG, WebP, GIF or BMP file that is complete, not animated and not too large"
        raise InputError(f"{rule}. Received: {name!r}.") from None
    return resized(pixels, SHOWN)


def resized(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Return an image uint8 [H, W, 3] with neither side above `longest` pixels; a smaller one stays as it is."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def with_heat(pixels: np.ndarray, heat_png: bytes) -> np.ndarray:
    """Return an image uint8 [H, W, 3] with a heat map over it: where there is no heat, the image is grey and dark.

    The PNG is of all of that image brought to a square, as the signature `explain` answers.
    """
    height, width = pixels.shape[:2]
    with Image.open(io.BytesIO(heat_png)) as opened:
        heat = np.asarray(opened.convert("RGB").resize((width, height), Image.Resampling.BILINEAR), np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    # The brighter the heat, the more of the image's own colours is left.
    share = heat.max(axis=2, keepdims=True) / 255.0
    image = share * pixels + (1 - share) * 0.6 * grey
    return np.clip((1 - _STRENGTH * share) * image + _STRENGTH * share * heat, 0, 255).astype(np.uint8)
