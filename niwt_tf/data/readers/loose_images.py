"""The photographs in folders, however deep, and in lists of files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.folder import each_photograph, photographs_below
from niwt_tf.data.readers.tables import existing_directory
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError

_MOST_PIECES = 50  # that are one path: with thousands of files every stretch of them would be looked for


def loose_images(folder: Path, rule: str) -> Images:
    """Return the image files in a folder and below, all of one class that has the folder's name.

    Args:
        folder: where they are.
        rule: what the folder must be, for the message: the option's name first.

    Raises:
        InputError: it is not a folder, cannot be read or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{rule}. Received: {str(folder)!r}, not a folder.")
    paths = tuple(str(path.relative_to(folder)) for path in photographs_below(folder))
    if not paths:
        raise InputError(f"{rule}. Received: {str(folder)!r}, without an image.")
    return Images(folder, paths, np.zeros(len(paths), np.int32), (folder.name,))


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


def image_files(given: str, argument: str = "--images") -> list[Path]:
    """Return the files that `each_image_file` yields."""
    return list(each_image_file(given, argument))


def each_image_file(given: str, argument: str = "--images") -> Iterator[Path]:
    """Yield the files that a list of files and folders names; of a folder the images in it and in its folders, sorted.

    The list has commas between its members; one may be a part of a name that is there.

    Raises:
        InputError: nothing is named, something is not there, or a folder has no image.
    """
    paths = paths_of(given)
    absent = next((path for path in paths if not os.path.lexists(path)), None)
    if absent is not None:
        raise InputError(f"{argument} must name files or folders that exist. Received: {str(absent)!r}.")
    if not paths:
        raise InputError(f"{argument} must name image files or folders of them, for instance {argument}=photos.")
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        is_empty = True
        for inside in each_photograph(path):
            is_empty = False
            yield inside
        if is_empty:
            raise InputError(f"A folder in {argument} must hold image files. Received: {str(path)!r}.")


def paths_of(given: str) -> list[Path]:
    """Return the paths in a list with commas, the longest names that are there: "a, b.jpg" is one file where it is there."""
    pieces, paths = given.split(","), []
    while pieces:
        whole = (count for count in range(min(len(pieces), _MOST_PIECES), 0, -1) if _path(pieces[:count]).strip())
        count = next((count for count in whole if os.path.lexists(_path(pieces[:count]))), 1)
        if _path(pieces[:count]):
            paths.append(Path(_path(pieces[:count])))
        pieces = pieces[count:]
    return paths


def _path(pieces: list[str]) -> str:
    joined = ",".join(pieces)
    return os.path.expanduser(joined if os.path.lexists(joined) else joined.strip())
