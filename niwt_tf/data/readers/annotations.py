"""Boxes and parts of images as CUB-200-2011 and NABirds write them: tables with a row for an image, or for a part of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.tables import positions, read_numbered_names
from niwt_tf.errors import InputError

# Reads a table of so many columns, of which the first is an image's id in the form of its archive. Returns where each row's
# image stands in the archive's list, int64 [rows], and the other columns, float64 [rows, columns - 1].
ReadRows = Callable[[Path, int], tuple[np.ndarray, np.ndarray]]


def per_image(path: Path, columns: int, read_rows: ReadRows, num_images: int) -> np.ndarray:
    """Return what a table of one row an image has behind the image, float64 [num_images, columns - 1], in the list's order.

    Raises:
        InputError: the table is not in order, or an image has no row or several.
    """
    rows, values = read_rows(path, columns)
    if len(rows) != num_images or len(np.unique(rows)) != len(rows):
        raise InputError(f"{path} must have one row for each of {num_images} images. Received: {len(rows)} rows.")
    ordered = np.zeros((num_images, columns - 1))
    ordered[rows] = values
    return ordered


def read_boxes(path: Path, read_rows: ReadRows, num_images: int) -> np.ndarray | None:
    """Return the boxes of images as x, y, width, height in pixels, float32 [num_images, 4], or None without the file.

    Raises:
        InputError: see `per_image`.
    """
    return per_image(path, 5, read_rows, num_images).astype(np.float32) if path.is_file() else None


def read_parts(folder: Path, read_rows: ReadRows, num_images: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return where the P parts of images are and what they are called, from part_locs.txt and parts.txt of a folder.

    Places are float32 [num_images, P, 3] as x, y in pixels and visibility 0 or 1; without part_locs.txt they are None.

    Raises:
        InputError: a file is not in order, or a row names a part that parts.txt does not.
    """
    path = folder / "part_locs.txt"
    if not path.is_file():
        return None, ()
    part_ids, names = read_numbered_names(folder / "parts.txt")
    rows, values = read_rows(path, 5)
    parts = np.zeros((num_images, len(names), 3), np.float32)
    parts[rows, positions(path, part_ids, values[:, 0])] = values[:, 1:]
    return parts, tuple(names)
