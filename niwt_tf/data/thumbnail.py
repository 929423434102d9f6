"""Image files at a size to look at, whatever their mode, shape and resolution."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


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
