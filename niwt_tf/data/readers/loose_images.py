"""Reads the images of a folder and of those within, whatever they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.readers.folder import image_names
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError


def loose_images(folder: Path, rule: str) -> Images:
    """Return the image files in a folder and below, all of one class that has the folder's name.

    Args:
        folder: where they are.
        rule: what the folder must be, for the message: the option's name first.

    Raises:
        InputError: it is no folder, cannot be read or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{rule}. Received: {str(folder)!r}, not a folder.")
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    paths = [str((parent / name).relative_to(folder)) for parent in folders for name in image_names(parent)]
    if not paths:
        raise InputError(f"{rule}. Received: {str(folder)!r}, without an image.")
    return Images(folder, tuple(paths), np.zeros(len(paths), np.int32), (folder.name,))
