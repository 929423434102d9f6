"""Which files of a folder the studio shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.readers.folder import photographs_below
from niwt_tf.data.readers.tables import existing_directory
from niwt_tf.errors import InputError


def spread_images(folder: str | Path, most: int) -> list[Path]:
    """Return the image files (by extension) in and below a folder; of more than `most`, as many at even distances.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    root = existing_directory("images", folder)
    found = photographs_below(root, say=False)  # of test images, in a page
    if not found:
        raise InputError(f"images must be a folder that holds image files. Received: {str(root)!r}, which holds none.")
    places = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [found[place] for place in places]
