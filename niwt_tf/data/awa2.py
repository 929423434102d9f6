"""Reads Animals_with_Attributes2 (Xian et al. 2018): 50 classes, 85 predicates, images in JPEGImages/<class>/."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from niwt_tf.data.folder import image_names
from niwt_tf.data.lists import existing_directory, read_numbered_names, read_numbers
from niwt_tf.data.presence import MISSING_IMAGES, take_classes
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.errors import InputError, check_choice

_OFFICIAL = "Animals_with_Attributes2"
_LOG = logging.getLogger("niwt_tf")


def read_awa2_classes(data_dir: str | Path, binary: bool = False) -> tuple[tuple[str, ...], Knowledge]:
    """Return the class names and their predicates, whether or not there are images.

    A negative strength marks a value that nobody gave: it becomes the mean of that predicate over the classes that have one.

    Args:
        data_dir: the folder Animals_with_Attributes2 or the one that holds it.
        binary: whether to take the 0/1 matrix and not the continuous one (0 to 100).

    Raises:
        InputError: a file is absent or not in order.
    """
    official = _official_folder(existing_directory("data_dir", data_dir))
    _, classes = read_numbered_names(official / "classes.txt")
    _, predicates = read_numbered_names(official / "predicates.txt")
    path = official / f"predicate-matrix-{'binary' if binary else 'continuous'}.txt"
    values = read_numbers(path, len(predicates))
    if len(values) != len(classes):
        raise InputError(f"{path} must have one row for each of {len(classes)} classes. Received: {len(values)}.")
    return tuple(classes), Knowledge(_filled(values), tuple(predicates), ("",) * len(predicates))


def read_awa2(data_dir: str | Path, missing_images: str = "error", binary: bool = False) -> Dataset:
    """Read Animals with Attributes 2.

    Args:
        data_dir: the folder Animals_with_Attributes2 or the one that holds it.
        missing_images: "error", or "drop" to go on with the classes that have images.
        binary: whether to take the 0/1 predicates.

    Raises:
        InputError: a file is absent or not in order, or classes have no images.
    """
    check_choice("missing_images", missing_images, MISSING_IMAGES)
    class_names, knowledge = read_awa2_classes(data_dir, binary)
    root = _official_folder(Path(data_dir).expanduser()) / "JPEGImages"
    found = {name: image_names(root / name) if (root / name).is_dir() else [] for name in class_names}
    empty = [name for name, images in found.items() if not images]
    if len(empty) == len(class_names):
        raise InputError(f"{root} must hold images in one folder a class. Received: none for any of {len(empty)} classes.")
    if empty and missing_images == "error":
        raise InputError(
            f"{root} must hold images of every class (missing_images=drop goes on without the others). "
            f"Received: none for {len(empty)} of {len(class_names)} classes, the first {empty[0]!r}."
        )
    labels = [label for label, name in enumerate(class_names) for _ in found[name]]
    paths = tuple(f"{name}/{image}" for name, images in found.items() for image in images)
    dataset = Dataset("awa2", root, paths, np.array(labels, np.int32), class_names, knowledge)
    return take_classes(dataset, np.unique(dataset.labels)) if empty else dataset


def _official_folder(folder: Path) -> Path:
    for candidate in (folder, folder / _OFFICIAL):
        if (candidate / "predicates.txt").is_file():
            return candidate
    wanted = f"the folder {_OFFICIAL} with predicates.txt, or the folder that holds it"
    raise InputError(f"data_dir must be {wanted}. Received: {str(folder)!r}.")


def _filled(values: np.ndarray) -> np.ndarray:
    missing = values < 0
    if missing.any():
        _LOG.info("%d missing predicate values were replaced by their predicate's mean.", int(missing.sum()))
    known = np.where(missing, 0.0, values)
    mean = known.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    return np.where(missing, mean, values).astype(np.float32)
