"""Reads NABirds (Van Horn et al. 2015): 48,562 photographs of North American birds, in visual categories that become species.

The layout was written from its description and proven on a miniature: the archive itself was never at hand.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from niwt_tf.data.readers import archives
from niwt_tf.data.readers.annotations import per_image, read_boxes, read_parts
from niwt_tf.data.readers.tables import existing_directory, line_of, positions, read_names, read_numbered_names
from niwt_tf.data.schema import Dataset, no_knowledge
from niwt_tf.errors import InputError, suggestion

_ARCHIVE = archives.ARCHIVES["nabirds"]
_PUBLISHED_CLASSES = 404  # Zhu et al. 2017, and N3's paper after them
_DETAIL = re.compile(r"\s*\([^()]*\)\s*$")
_LOG = logging.getLogger("niwt_tf")


def species_of(category: str) -> str:
    """Return a category's name without what stands in parentheses behind it: sex, age, plumage or form."""
    return _DETAIL.sub("", category).strip() or category


def read_nabirds(data_dir: str | Path, missing_images: str = "error") -> Dataset:
    """Read NABirds from its folder or the one that holds it.

    Categories of one name but for the parentheses behind it become one class: "American Kestrel (Adult male)" and "American
    Kestrel (Female, immature)" are "American Kestrel". Nodes of the hierarchy without images are no classes. There are no
    attributes. Boxes and parts are read where present; `train_test_split.txt` is not a zero-shot split and is not used.

    Raises:
        InputError: files are absent (all are named) or not in order, or listed images are missing.
    """
    official = archives.official_folder(_ARCHIVE, existing_directory("data_dir", data_dir))
    missing = archives.missing_files(_ARCHIVE, official)
    if missing:
        raise archives.incomplete(official, missing)
    images = _Listed(official / "images.txt")
    of_labels = official / "image_class_labels.txt"
    numbers, names = read_numbered_names(official / "classes.txt")
    given = per_image(of_labels, 2, images.rows, len(images.paths))[:, 0]
    labels, class_names = _consolidated(names, positions(of_labels, numbers, given))
    parts, part_names = read_parts(official / "parts", images.rows, len(images.paths))
    boxes = read_boxes(official / "bounding_boxes.txt", images.rows, len(images.paths))
    dataset = Dataset("nabirds", official / "images", images.paths, labels, class_names, no_knowledge(len(class_names)))
    dataset = dataset.replace(boxes=boxes, parts=parts, part_names=part_names)
    return archives.drop_missing(dataset, missing_images, official / "images.txt")


def _consolidated(names: list[str], categories: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the labels of images, of which each is given its category's row, and the classes in the order of these."""
    used = np.unique(categories).tolist()
    class_names = tuple(dict.fromkeys(species_of(names[row]) for row in used))
    told = "%d categories with images became %d classes: what stands in parentheses behind a name is left off."
    _LOG.info(told, len(used), len(class_names))
    if len(categories) == _ARCHIVE.num_images and len(class_names) != _PUBLISHED_CLASSES:
        different = "All images of NABirds are of %d classes, where N3's paper has %d: its figures are of other classes."
        _LOG.warning(different, len(class_names), _PUBLISHED_CLASSES)
    label_of = {name: label for label, name in enumerate(class_names)}
    return np.array([label_of[species_of(names[row])] for row in categories.tolist()], np.int32), class_names


class _Listed:
    """The images that images.txt lists, each by its id and its path below images/."""

    def __init__(self, path: Path) -> None:
        self._row_of: dict[str, int] = {}
        paths = []
        for row, text in enumerate(read_names(path)):
            cells = text.split()
            where = f"{path}, line {line_of(path, row)}" if len(cells) != 2 or cells[0] in self._row_of else ""
            if len(cells) != 2:
                raise InputError(f"{where} must be the id of an image and its path. Received: {text[:80]!r}.")
            if where:
                raise InputError(f"{where} must have an id of its own. Received: {cells[0]!r} again.")
            self._row_of[cells[0]] = row
            paths.append(cells[1])
        if not paths:
            raise InputError(f"{path} must list at least one image. Received: an empty file.")
        self.paths = tuple(paths)

    def rows(self, path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where each row's image of a table stands in the list, and the row's other numbers."""
        rows, values = [], []
        for row, text in enumerate(read_names(path)):
            image, *cells = text.split()
            if image not in self._row_of or len(cells) != columns - 1 or not all(map(_is_number, cells)):
                raise self._strange(f"{path}, line {line_of(path, row)}", text, columns)
            rows.append(self._row_of[image])
            values.append([float(cell) for cell in cells])
        return np.array(rows, np.int64), np.array(values, np.float64).reshape(len(rows), columns - 1)

    def _strange(self, where: str, text: str, columns: int) -> InputError:
        image, *cells = text.split()
        if len(cells) != columns - 1 or not all(map(_is_number, cells)):
            numbers = "a number" if columns == 2 else f"{columns - 1} numbers"
            return InputError(f"{where} must be an image and {numbers}. Received: {text[:80]!r}.")
        near = suggestion(image, list(self._row_of))
        return InputError(f"{where} must name an image of images.txt. Received: {image[:80]!r}.{near}")


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
