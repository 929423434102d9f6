"""Reads NABirds (Van Horn et al. 2015): photographs of North American birds in visual categories, which are joined to species.

Written from the archive's description and proven on miniatures. It was never run on the real photographs, which are not here.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from niwt_tf.data.readers import archives, tables
from niwt_tf.data.readers.annotations import ReadRows, per_image, read_boxes, read_parts
from niwt_tf.data.readers.tables import line_of, positions, read_keyed_numbers
from niwt_tf.data.schema import Dataset, no_knowledge
from niwt_tf.errors import InputError

_ARCHIVE = archives.ARCHIVES["nabirds"]
_PUBLISHED_CLASSES = 404  # Zhu et al. 2017, and N3's paper after them
_NOTE = re.compile(r"(\s*\([^()]*\))+$")
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_LOG = logging.getLogger("niwt_tf")


def read_nabirds(data_dir: str | Path, missing_images: str = "error") -> Dataset:
    """Read NABirds from its folder or the one that holds it.

    Categories whose names differ only in what stands in parentheses behind them become one class, see `species_of`. Nodes of
    the tree that hold no image are no classes. Boxes and parts are read where present. `hierarchy.txt` is not needed, and
    `train_test_split.txt` is no zero-shot split: neither is used. There are no attributes: classes are described by texts. With
    missing_images="drop" only the images (and the classes) that are there count.

    Raises:
        InputError: files are absent (all are named) or not in order, a label contradicts its image's folder, or listed images
            are missing.
    """
    official = archives.whole_folder(
        _ARCHIVE, data_dir, missing_images, lambda folder: tuple(_listed_images(folder).values())
    )
    of_labels, root = official / "image_class_labels.txt", official / "images"
    listed = _listed_images(official)
    image_ids, paths, count = tuple(listed), tuple(listed.values()), len(listed)
    read_rows = _by_uuid(image_ids)
    category_ids, categories = tables.read_numbered_names(official / "classes.txt")
    held = positions(of_labels, category_ids, per_image(of_labels, 2, read_rows, count)[:, 0])
    _check_folders(of_labels, listed, category_ids, held)
    labels, class_names = consolidated(categories, held)
    if count == _ARCHIVE.num_images and len(class_names) != _PUBLISHED_CLASSES:
        told = "All images of NABirds make %d classes, but N3's paper has %d: its figures are for other classes."
        _LOG.warning(told, len(class_names), _PUBLISHED_CLASSES)
    parts, part_names = read_parts(official / "parts", read_rows, count)
    boxes = read_boxes(official / "bounding_boxes.txt", read_rows, count)
    dataset = Dataset("nabirds", root, paths, labels, class_names, no_knowledge(len(class_names)))
    dataset = dataset.replace(boxes=boxes, parts=parts, part_names=part_names)
    return archives.drop_missing(dataset, missing_images, official / "images.txt")


def species_of(category: str) -> str:
    """Return a category's name without what stands in parentheses behind it, and with single blanks between words.

    "American Kestrel (Female, immature)" and "American Kestrel  (Adult male)" are "American Kestrel".
    """
    plain = " ".join(category.split())
    return _NOTE.sub("", plain) or plain


def consolidated(categories: list[str], held: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the labels of M images and their classes, which categories of one species share.

    `held` are the images' categories, int64 [M], as places in `categories`. Classes come in the order of their first category
    that holds an image; labels are int32 [M].
    """
    with_images = np.unique(held)
    species = [species_of(categories[place]) for place in with_images]
    label_of = {name: label for label, name in enumerate(dict.fromkeys(species))}
    labels = np.zeros(len(categories), np.int32)
    labels[with_images] = [label_of[name] for name in species]
    told = "%d categories with images became %d classes: text in parentheses after a name is dropped."
    _LOG.info(told, len(with_images), len(label_of))
    return labels[held], tuple(label_of)


def _listed_images(official: Path) -> dict[str, str]:
    """Return the path of each image below images/ by its id, in the order of images.txt."""
    return tables.read_keyed_names(official / "images.txt", _uuid, "an id (32 hexadecimal digits)", "a path")


def _uuid(text: str) -> str | None:
    return text if _UUID.fullmatch(text) else None


def _by_uuid(image_ids: tuple[str, ...]) -> ReadRows:
    """Return what reads a table whose first column is an image's id."""
    place_of = {image_id: place for place, image_id in enumerate(image_ids)}

    def read_rows(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
        keys, values = read_keyed_numbers(path, columns)
        rows = np.array([place_of.get(key, -1) for key in keys], np.int64)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            where = f"{path}, line {line_of(path, int(unknown[0]))}"
            raise InputError(f"{where} must name an image of images.txt. Received: {keys[unknown[0]][:80]!r}.")
        return rows, values

    return read_rows


def _check_folders(of_labels: Path, listed: dict[str, str], category_ids: np.ndarray, held: np.ndarray) -> None:
    """Refuse an image in the folder of another category than its label's; folders that are no category's say nothing."""
    known = set(category_ids.tolist())
    for (image_id, path), number in zip(listed.items(), category_ids[held].tolist(), strict=True):
        folder = path.rpartition("/")[0]
        called = int(folder) if folder.isascii() and folder.isdigit() else number
        if called != number and called in known:
            line = line_of(of_labels, read_keyed_numbers(of_labels, 2)[0].index(image_id))
            rule = f"{of_labels}, line {line} must give the image the category of its folder in images.txt, {called}"
            raise InputError(f"{rule}. Received: {number} for {path!r}.")
