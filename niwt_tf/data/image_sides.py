"""Width and height of image files, by their headers alone."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image

from niwt_tf.data.schema import Images


def image_sides(images: Images) -> np.ndarray:
    """Return int64 [M, 2], width and height in pixels as they are stored; files were found good by `usable_images`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a large header, which was judged when the data were read
        return np.array([_sides(images, path) for path in images.paths], np.int64).reshape(-1, 2)


def _sides(images: Images, path: str) -> tuple[int, int]:
    with Image.open(images.root / path) as image:
        return image.size
