"""Reads a user's own folder: `classes.csv`, `images/<class>/*` and, if there, `descriptions/<class>.txt`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.readers import tables
from niwt_tf.data.readers.tables import check_has_rows, list_directory, plain_name
from niwt_tf.data.schema import Dataset
from niwt_tf.errors import InputError, require

# Formats that the decoder may refuse are listed as well: such a file must be named and counted, not passed over.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files (by extension) directly in a folder, sorted.

    Raises:
        InputError: the folder cannot be read.
    """
    return [entry.name for entry in list_directory(folder) if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.is_dir()]


def read_folder(data_dir: str | Path) -> Dataset:
    """Read a folder of images and class descriptions.

    Classes are the rows of `classes.csv`, in its order. A class without images is one to be learnt from its description alone.

    Raises:
        InputError: a part is absent or empty, the table is not in order, or a class folder or description has no row.
    """
    folder = tables.existing_directory("data_dir", data_dir)
    csv_path = folder / "classes.csv"
    if not csv_path.is_file():
        raise InputError(f"data_dir must hold classes.csv with one row a class. Received: {str(data_dir)!r} without it.")
    table = tables.read_class_table(csv_path)
    images = folder / "images"
    require(images.is_dir(), f"data_dir must hold images/ with one folder a class. Received: {str(data_dir)!r} without it.")
    class_folders = [entry for entry in list_directory(images) if entry.is_dir()]
    check_has_rows(csv_path, table.class_names, (entry.name for entry in class_folders), "class folder in images/")
    label_of = {name: label for label, name in enumerate(table.class_names)}
    found = [(label_of[plain_name(of.name)], f"{of.name}/{image}") for of in class_folders for image in image_names(of)]
    require(found, f"{images} must hold image files in one folder a class. Received: no image.")
    labels, paths = np.array([label for label, _ in found], np.int32), tuple(path for _, path in found)
    dataset = Dataset("folder", images, paths, labels, table.class_names, table.knowledge)
    return dataset.replace(class_texts=_descriptions(folder / "descriptions", csv_path, table.class_names))


def _descriptions(folder: Path, csv_path: Path, class_names: tuple[str, ...]) -> tuple[str, ...] | None:
    if not folder.is_dir():
        return None
    files = tables.text_files(folder)
    check_has_rows(csv_path, class_names, files, "file in descriptions/")
    return tuple(tables.read_text(files[name]).strip() if name in files else "" for name in class_names)
