"""One image file: its bytes, its pixels as a person sees them, and as a network takes them.

TensorFlow and Pillow are imported inside the functions that need them, so that importing this is cheap.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError, brief

if TYPE_CHECKING:
    from PIL import Image


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
        import tensorflow as tf

        from niwt_tf.data.images.decode import decode_image

        return np.asarray(decode_image(tf.constant(self.encoded), size))


def read_one_image(path: str | os.PathLike[str], argument: str) -> OneImage:
    """Read and decode one image.

    Args:
        path: of the file.
        argument: what named it, for messages.

    Raises:
        InputError: it is no path, or it cannot be read or decoded.
    """
    import tensorflow as tf

    from niwt_tf.data.images.decode import decode_pixels, refusal

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


def thumbnail(path: Path, side: int) -> Image.Image | None:
    """Return the whole image as RGB with its longer side of `side` pixels, its shape kept, or None if it cannot be opened."""
    plain = opened(path, side)
    return None if plain is None else resized(plain, side)


def opened(path: Path, side: int) -> Image.Image | None:
    """Return the whole image as RGB, or None if it cannot be opened.

    Like the decoder that the network sees through, it drops an alpha channel, keeps the upper 8 of 16 bits, and does not turn a
    photograph as its camera says.

    Args:
        path: an image file.
        side: the longer side in pixels that is needed at least, where the file has as many; a JPEG file is decoded at a lower
            resolution if that is enough.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of oddities in the file, which the caller cannot act on
            image.draft("RGB", (2 * side, 2 * side))
            if image.mode.startswith("I"):  # 16 bits, of which Pillow would clip values instead of keeping the upper 8 bits
                upper = (np.asarray(image, np.float64) / 256).clip(0, 255)
                return Image.fromarray(upper.astype(np.uint8)).convert("RGB")
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def resized(image: Image.Image, side: int) -> Image.Image:
    """Return an image with its longer side of `side` pixels, its shape kept."""
    from PIL import Image

    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)


def image_sides(images: Images) -> np.ndarray:
    """Return int64 [M, 2], width and height in pixels as they are stored; files were found good by `usable_images`."""
    from PIL import Image

    def size(path: str) -> tuple[int, int]:
        with Image.open(images.root / path) as image:
            return image.size

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a large header, which was judged when the data were read
        return np.array([size(path) for path in images.paths], np.int64).reshape(-1, 2)
