"""Splits given image by image: rows of a name and a role."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.schema import Dataset, Split
from niwt_tf.data.table import plain_name, read_rows
from niwt_tf.errors import InputError, check_choice, suggestion

ROLES = {"train": "train", "trainval": "train", "test_seen": "test_seen", "test_unseen": "test_unseen"}
_LOG = logging.getLogger("niwt_tf")


def read_role_list(path: Path) -> list[tuple[str, str, str]]:
    """Read a CSV of `image,role` and return (image, role, where it stands); the roles trainval and train are one.

    Raises:
        InputError: the header or a role is wrong, or an image is empty; the line is named.
    """
    rows = read_rows(path)
    if rows[0][1] != ["image", "role"]:
        raise InputError(f"{path}, line 1 must be 'image,role'. Received: {','.join(rows[0][1])[:80]!r}.")
    found = []
    for line, (image, role) in rows[1:]:
        found.append((image, ROLES[check_choice(f"{path}, line {line}: the role", role, ROLES)], f"{path}, line {line}"))
    return found


def classes_with_images(dataset: Dataset) -> np.ndarray:
    """Return the indices of the classes that have at least one image, int64, ascending."""
    return np.unique(dataset.labels).astype(np.int64)


def split_by_roles(
    dataset: Dataset, name: str, rows: Iterable[tuple[str, str, str]], source: Path, missing_images: str = "error"
) -> Dataset:
    """Return the data set with the split that (image, role, where it stands) rows make; other images are not used.

    Classes without images are unseen. With missing_images="drop", rows of images that are not there are passed over.

    Raises:
        InputError: a row names an image that the data set lacks, or one twice; a class is both seen and unseen; a seen class
            has no training image; fewer than 2 seen classes or no unseen one remain.
    """
    check_choice("missing_images", missing_images, ("error", "drop"))
    index_of = {plain_name(path): index for index, path in enumerate(dataset.paths)}
    images: dict[str, list[int]] = {"train": [], "test_seen": [], "test_unseen": []}
    used: dict[int, str] = {}
    rows = list(rows)
    for image, role, where in rows:
        index = index_of.get(image)
        if index is None:
            if missing_images == "drop":
                continue
            near = suggestion(image, _same_folder(image, dataset.paths))
            absent = sum(other not in index_of for other, _, _ in rows)
            which = "which is not there" if absent == 1 else f"which is not there, like {absent - 1} more of {len(rows)}"
            raise InputError(f"{where} must name an image of the data set. Received: {image!r}, {which}.{near}")
        if index in used:
            raise InputError(f"{where} must name each image once. Received: {image!r} again.")
        used[index] = role
        images[role].append(index)
    if not used:
        raise InputError(f"{source} must name images of the data set {dataset.name!r}. Received: none that is there.")
    indices = {role: np.sort(np.array(found, np.int64)) for role, found in images.items()}
    seen = np.unique(dataset.labels[np.concatenate([indices["train"], indices["test_seen"]])]).astype(np.int64)
    without_images = np.setdiff1d(np.arange(len(dataset.class_names)), classes_with_images(dataset))
    unseen = np.union1d(np.unique(dataset.labels[indices["test_unseen"]]), without_images).astype(np.int64)
    _check_roles(dataset, source, seen, unseen, np.unique(dataset.labels[indices["train"]]))
    split = Split(name, seen, unseen, indices["train"], indices["test_seen"], indices["test_unseen"])
    left_out = len(dataset.class_names) - len(seen) - len(unseen)
    if left_out:
        _LOG.warning("%s names no image of %d classes: they are neither seen nor unseen.", source, left_out)
    return dataset.replace(split=split)


def _check_roles(dataset: Dataset, source: Path, seen: np.ndarray, unseen: np.ndarray, trained: np.ndarray) -> None:
    both = np.intersect1d(seen, unseen)
    if len(both):
        named = dataset.class_names[both[0]]
        raise InputError(f"{source} must make a class either seen or unseen. Received: both for {named!r}.")
    untrained = np.setdiff1d(seen, trained)
    if len(untrained):
        named = dataset.class_names[untrained[0]]
        raise InputError(f"{source} must give every seen class a training image. Received: none for {named!r}.")


def _same_folder(image: str, paths: Sequence[str]) -> list[str]:
    folder = image.rpartition("/")[0]
    return [path for path in paths if path.rpartition("/")[0] == folder]
