"""One image file: its bytes, its pixels as a person sees them, and as a network takes them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from niwt_tf.data.decode import decode_image, decode_pixels, refusal
from niwt_tf.errors import InputError, brief


@dataclass(frozen=True)
class OneImage:
    """An image that can be decoded.

    Attributes:
        path: of the file.
        encoded: its bytes.
        pixels: uint8 [height, width, 3], RGB.
    """

    path: Path
    encoded: bytes
    pixels: np.ndarray

    def squashed(self, size: int) -> np.ndarray:
        """Return float32 [size, size, 3], RGB in 0..255, as a network takes it."""
        return np.asarray(decode_image(tf.constant(self.encoded), size))


def read_one_image(path: str | os.PathLike[str], argument: str) -> OneImage:
    """Read and decode one image.

    Args:
        path: of the file.
        argument: what named it, for messages.

    Raises:
        InputError: it is no path, or it cannot be read or decoded.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{argument} must be the path of a file. Received: {brief(path)}.")
    try:
        encoded = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # the latter where a path holds a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{argument} must be a file that can be read. Received: {os.fspath(path)!r} ({reason}).") from None
    try:
        return OneImage(Path(path), encoded, decode_pixels(tf.constant(encoded)).numpy())
    except tf.errors.OpError as error:
        rule = f"{argument} must be an image that can be decoded."
        raise InputError(f"{rule} Received: {os.fspath(path)!r} ({refusal(error)}).") from None
