"""What is said of images that cannot be decoded, and which messages are of an image. TensorFlow is not imported."""

from __future__ import annotations

import re

PIXEL_LIMIT = 2**26
EMPTY = "The image is empty: it has no bytes."
UNKNOWN = "The image must be a JPEG, PNG, WebP, GIF or BMP file: its first bytes are of none of these."
ANIMATED = "The image must not be an animated WebP, which cannot be decoded."
TOO_LARGE = f"The image must declare at most {PIXEL_LIMIT} pixels. Received: "
NO_FRAME = "The image must be a GIF that holds a frame within its first 4096 blocks."

# Ours begin with "The image"; the decoders of TensorFlow name the format, as in "Invalid PNG data, size 12", or, for BMP,
# what only a file of pixels has: "Input size should match (header_size + row_size * abs_height)".
_OF_IMAGES = re.compile(r"\b(image|jpeg|jpg|png|gif|webp|bmp|header_size|pixels?)\b", re.IGNORECASE)
_NODES = re.compile(r"\{\{.*?\}\}")


def is_of_image(message: str) -> bool:
    """Return whether a message of a decoder, or of a server that passes it on, is of an image and not of the request."""
    return bool(_OF_IMAGES.search(_NODES.sub("", message)))
