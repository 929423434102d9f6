"""What is said of images that cannot be decoded, and which messages are of an image. TensorFlow is not imported."""

from __future__ import annotations

import re

PIXEL_LIMIT = 2**25  # 100 MB as it is decoded
SIDE_LIMIT = 65_535  # as long as a JPEG or GIF can say; rows of that width are 176 MB in a resize to 224 x 224
EMPTY = "The image is empty: it has no bytes."
UNKNOWN = "The image must be a JPEG, PNG, WebP, GIF or BMP file: its first bytes match none of these."
ANIMATED = "The image must not be animated."
TOO_LARGE = f"The image must declare at most {PIXEL_LIMIT} pixels. Received: "
TOO_LONG = f"The image must have sides of at most {SIDE_LIMIT} pixels. Received: "

# Ours begin with "The image"; the decoders of TensorFlow name the format, as in "Invalid PNG data, size 12", or, for BMP,
# what only a file of pixels has: "Input size should match (header_size + row_size * abs_height)".
_OF_IMAGES = re.compile(r"\b(image|jpeg|jpg|png|gif|webp|bmp|header_size|pixels?)\b", re.IGNORECASE)
_NODES = re.compile(r"\{\{.*?\}\}")


def is_of_image(message: str) -> bool:
    """Return whether a message of a decoder, or of a server that passes it on, is of an image and not of the request."""
    return bool(_OF_IMAGES.search(_NODES.sub("", message)))
