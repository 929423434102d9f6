"""Images of which there are only published features: rows of a file `res101.mat` in the place of files in a folder.

`root` of `Images` is then the file, and a path is "row/name", the row counted from 1 as in MATLAB, such as
"17/001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg". Dimensions: M images, D numbers each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.tables import read_mat
from niwt_tf.errors import InputError, brief

ENDING = ".mat"
NO_PIXELS = "the data set has features of the images, not the images"


def holds_features(root: Path) -> bool:
    """Return whether the root of images is a file of features, and not a folder."""
    return root.suffix.lower() == ENDING


def feature_rows(path: Path) -> np.ndarray:
    """Return the features of all images in a file, float32 [M, D]; the last file that was read stays in memory.

    Raises:
        InputError: it cannot be read, or its `features` are not a matrix [D, M] of finite numbers.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} must be a readable MATLAB file. Received: {error.strerror or error}.") from None
    return _rows(os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=1)
def _rows(path: str, *_: int) -> np.ndarray:
    values = read_mat(Path(path), ["features"])["features"]
    rule = f"{path}: features must be a matrix of finite numbers, a column for each image."
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "iuf" or not values.size:
        raise InputError(f"{rule} Received: {brief(values)}.")
    rows = np.ascontiguousarray(values.T, np.float32)
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise InputError(f"{rule} Received: NaN or infinity in column {wrong[0] + 1}.")
    rows.setflags(write=False)
    return rows


def row_path(row: int, name: str) -> str:
    """Return the path of the image in a row, counted from 0."""
    return f"{row + 1}/{name}"


def rows_at(paths: Sequence[str]) -> np.ndarray:
    """Return the rows that paths mean, counted from 0, int64."""
    return np.array([int(path.partition("/")[0]) - 1 for path in paths], np.int64)


def row_digests(root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """Return what tells the features of images from others, by path."""
    rows = feature_rows(root)
    places = zip(paths, rows_at(paths), strict=True)
    return {path: hashlib.blake2b(rows[row].tobytes(), digest_size=16).digest() for path, row in places}
