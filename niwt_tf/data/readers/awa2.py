"""Reads Animals_with_Attributes2 (Xian et al. 2018): 50 classes, 85 predicates, images in JPEGImages/<class>/."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.archives import ARCHIVES, MISSING_IMAGES, incomplete, missing_files, official_folder, take_classes
from niwt_tf.data.readers.folder import image_names
from niwt_tf.data.readers.tables import existing_directory, read_numbered_names, read_numbers
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.errors import InputError, check_choice

_ARCHIVE = ARCHIVES["awa2"]
_BINARY = dataclasses.replace(_ARCHIVE, files=(*_ARCHIVE.files[:-1], ("predicate-matrix-binary.txt",)))
_LOG = logging.getLogger("niwt_tf")


def read_awa2_classes(data_dir: str | Path, binary: bool = False) -> tuple[tuple[str, ...], Knowledge]:
    """Return the class names and their predicates, continuous (0 to 100) or 0/1, whether or not there are images.

    A negative strength marks a value that nobody gave: it becomes the mean of that predicate over the classes that have one.

    Raises:
        InputError: files are absent (all are named) or not in order.
    """
    archive = _BINARY if binary else _ARCHIVE
    official = official_folder(archive, existing_directory("data_dir", data_dir))
    missing = missing_files(archive, official)
    if missing:
        raise incomplete(official, missing + _classes_without_images(official))
    _, classes = read_numbered_names(official / "classes.txt")
    _, predicates = read_numbered_names(official / "predicates.txt")
    path = official / f"predicate-matrix-{'binary' if binary else 'continuous'}.txt"
    values = read_numbers(path, len(predicates))
    if len(values) != len(classes):
        raise InputError(f"{path} must have one row for each of {len(classes)} classes. Received: {len(values)}.")
    return tuple(classes), Knowledge(_filled(values), tuple(predicates), ("",) * len(predicates))


def read_awa2(data_dir: str | Path, missing_images: str = "error", binary: bool = False) -> Dataset:
    """Read Animals with Attributes 2 from its folder or the one that holds it; "drop" passes over the classes without images.

    Raises:
        InputError: files are absent (all are named) or not in order, an image's name contradicts its folder, or classes have
            no images.
    """
    check_choice("missing_images", missing_images, MISSING_IMAGES)
    class_names, knowledge = read_awa2_classes(data_dir, binary)
    root = official_folder(_BINARY if binary else _ARCHIVE, Path(os.path.expanduser(data_dir))) / "JPEGImages"
    found = _images_of(root, class_names)
    for name, images in found.items():
        for image in images:
            called = image.rpartition("_")[0]  # a file that is called after no class says nothing
            if called != name and called in found:
                raise InputError(
                    f"{root / name / image} must be an image of the class that its folder names, {name!r}. "
                    f"Received: a file that names {called!r}."
                )
    empty = [name for name, images in found.items() if not images]
    if len(empty) == len(class_names):
        raise InputError(
            f"{root} must hold images in one folder for each class. Received: none for any of {len(empty)} classes."
        )
    if empty and missing_images == "error":
        raise InputError(
            f"{root} must hold images of every class (missing_images=drop leaves the others out). "
            f"Received: none for {len(empty)} of {len(class_names)} classes, the first {empty[0]!r}."
        )
    labels = [label for label, name in enumerate(class_names) for _ in found[name]]
    paths = tuple(f"{name}/{image}" for name, images in found.items() for image in images)
    dataset = Dataset("awa2", root, paths, np.array(labels, np.int32), class_names, knowledge)
    return take_classes(dataset, np.unique(dataset.labels)) if empty else dataset


def _images_of(root: Path, class_names: Sequence[str]) -> dict[str, list[str]]:
    return {name: image_names(root / name) if (root / name).is_dir() else [] for name in class_names}


def _classes_without_images(official: Path) -> list[str]:
    if not (official / "classes.txt").is_file():
        return [] if (official / "JPEGImages").is_dir() else ["JPEGImages/"]
    found = _images_of(official / "JPEGImages", read_numbered_names(official / "classes.txt")[1])
    empty = [name for name, images in found.items() if not images]
    return [f"images of {len(empty)} of {len(found)} classes in JPEGImages/ (the first {empty[0]!r})"] if empty else []


def _filled(values: np.ndarray) -> np.ndarray:
    missing = values < 0
    if missing.any():
        _LOG.info("%d missing predicate values were replaced by their predicate's mean.", int(missing.sum()))
    known = np.where(missing, 0.0, values)
    mean = known.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    return np.where(missing, mean, values).astype(np.float32)
